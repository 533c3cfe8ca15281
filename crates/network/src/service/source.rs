//! The blocks that a node serves, asked for through a trait: this crate knows nothing of tables.

use std::{io, panic::resume_unwind, sync::Arc};

use lamella_types::{Root, Slot, Status};
use tokio::task::spawn_blocking;

use super::meter::Meter;
use crate::{
    requests::BlocksRequest,
    wire::chunk::{ResponseChunk, ResponseCode},
};

/// A block as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceBlock {
    /// No such block.
    Unknown,
    /// The block is there, its proof is pruned; the text says so to a peer.
    Pruned(String),
    /// SSZ of the signed block.
    Found(Vec<u8>),
}

/// Which blocks a range of slots has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceRange {
    /// The canonical blocks, ascending; empty slots have none.
    Roots(Vec<Root>),
    /// The range begins where this node has no blocks to serve; the text says so to a peer.
    Unavailable(String),
}

/// The store cannot answer. Peers learn no details.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store cannot answer; its log says why")]
pub struct SourceFailure;

/// What the network reads from a node. Each call is one short read of its own: nothing is held between two, so a
/// peer that reads its answer slowly pins nothing. Called on threads that may block.
pub trait BlockSource: Send + Sync + 'static {
    /// Where our chain is. Cheap: called for every peer that connects or asks.
    fn status(&self) -> Status;

    /// One block.
    ///
    /// # Errors
    /// [`SourceFailure`].
    fn block(&self, root: &Root) -> Result<SourceBlock, SourceFailure>;

    /// The canonical blocks of `count` slots.
    ///
    /// # Errors
    /// [`SourceFailure`].
    fn canonical_roots(&self, start_slot: Slot, count: u64) -> Result<SourceRange, SourceFailure>;
}

/// An answer that is read block by block as it is written, so that one block at a time is in memory.
pub struct Serving {
    source: Arc<dyn BlockSource>,
    meter: Meter,
    request: BlocksRequest,
    roots: Option<std::vec::IntoIter<Root>>,
    has_ended: bool,
}

impl Serving {
    /// The answer to a request, of which nothing is read yet.
    pub(super) fn new(source: Arc<dyn BlockSource>, meter: Meter, request: BlocksRequest) -> Self {
        Self { source, meter, request, roots: None, has_ended: false }
    }

    /// The next chunk, as soon as its bytes may go out; an error chunk is the last.
    ///
    /// # Errors
    /// The network ends.
    pub(super) async fn next(mut self) -> io::Result<(Self, Option<ResponseChunk>)> {
        if self.has_ended {
            return Ok((self, None));
        }
        // The read may touch the disk, and connections share their threads.
        let read = spawn_blocking(move || {
            let chunk = self.read();
            self.has_ended = chunk.as_ref().is_none_or(|chunk| chunk.code != ResponseCode::Success);
            (self, chunk)
        });
        let (serving, chunk) = read.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(cancelled) => io::Error::other(cancelled),
        })?;
        if let Some(chunk) = &chunk {
            serving.meter.pay(chunk.payload.len()).await;
        }
        Ok((serving, chunk))
    }

    fn read(&mut self) -> Option<ResponseChunk> {
        let failed = || ResponseChunk::error(ResponseCode::ServerError, "storage failure");
        if self.roots.is_none() {
            let range = match &self.request {
                BlocksRequest::Roots(roots) => Ok(SourceRange::Roots(roots.clone())),
                BlocksRequest::Range { start_slot, count } => {
                    self.source.canonical_roots(*start_slot, *count)
                }
            };
            match range {
                Ok(SourceRange::Roots(roots)) => self.roots = Some(roots.into_iter()),
                Ok(SourceRange::Unavailable(text)) => {
                    return Some(ResponseChunk::error(ResponseCode::ResourceUnavailable, &text));
                }
                Err(SourceFailure) => return Some(failed()),
            }
        }
        for root in self.roots.as_mut()? {
            return match self.source.block(&root) {
                // A root that is not here is skipped, as leanSpec does; one that our own index named is lost.
                Ok(SourceBlock::Unknown) => match self.request {
                    BlocksRequest::Roots(_) => continue,
                    BlocksRequest::Range { .. } => Some(failed()),
                },
                Ok(SourceBlock::Found(ssz)) => Some(ResponseChunk::success(ssz)),
                // What cannot be served whole ends the answer: an answer never looks complete when it is not.
                Ok(SourceBlock::Pruned(text)) => {
                    Some(ResponseChunk::error(ResponseCode::ResourceUnavailable, &text))
                }
                Err(SourceFailure) => Some(failed()),
            };
        }
        None
    }
}

impl std::fmt::Debug for Serving {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serving").field("request", &self.request).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use tokio::{runtime::Builder, time::Instant};

    use super::*;

    struct Empty;

    fn free() -> Meter {
        Meter::new(Vec::new(), Instant::now())
    }

    impl BlockSource for Empty {
        fn status(&self) -> Status {
            Status::default()
        }

        fn block(&self, _: &Root) -> Result<SourceBlock, SourceFailure> {
            Ok(SourceBlock::Unknown)
        }

        fn canonical_roots(&self, _: Slot, _: u64) -> Result<SourceRange, SourceFailure> {
            Ok(SourceRange::Roots(vec![Root::ZERO]))
        }
    }

    /// Symptom: a block whose row in the slot index was lost was left out of a range that looked whole.
    /// Mechanism: roots that are unknown were skipped, also those that our own canonical index names.
    /// Fix: they are skipped where the peer named them; in a range they fail the answer.
    #[test]
    fn a_block_of_our_own_chain_that_is_not_found_fails_the_range() {
        let first = |request| Serving::new(Arc::new(Empty), free(), request).read();
        let range = first(BlocksRequest::Range { start_slot: 0, count: 1 });
        assert_eq!(range.map(|chunk| chunk.code), Some(ResponseCode::ServerError));
        assert_eq!(first(BlocksRequest::Roots(vec![Root::ZERO])), None);
    }

    /// Symptom: a node that stopped while it answered a peer could panic.
    /// Mechanism: a read that the ending runtime no longer began was taken for one that had panicked.
    /// Fix: it is an error of the stream, and the stream ends with the runtime.
    #[test]
    fn an_answer_that_meets_the_end_of_the_network_is_an_error() {
        let serving = || Serving::new(Arc::new(Empty), free(), BlocksRequest::Roots(Vec::new()));
        let runtime = Builder::new_current_thread().build().unwrap();
        let (_, end) = runtime.block_on(serving().next()).unwrap();
        assert_eq!(end, None);
        let handle = runtime.handle().clone();
        drop(runtime);
        let _entered = handle.enter();
        assert!(block_on(serving().next()).is_err());
    }
}
