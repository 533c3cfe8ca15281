//! Whom a repair asks: the transition, an archive, a node, or a block that a peer gave.

use lamella_chain::repair::Source;
use lamella_state_transition::compute_post_state;
#[cfg(feature = "archive")]
use lamella_tables::SegmentKey;
use lamella_tables::SlotRoot;
use lamella_types::{Block, BlockBody, BlockHeader, MultiMessageAggregate, SignedBlock, State};
#[cfg(feature = "archive")]
use lamella_types::{Root, Segment, Validators};

#[cfg(feature = "archive")]
use tracing::debug;

#[cfg(feature = "archive")]
use crate::{checkpoint::Client, proofs::verify_block};

/// Why there is nobody to ask.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The archive cannot be read.
    #[cfg(feature = "archive")]
    #[error(transparent)]
    Archive(Box<lamella_shipping::ShippingError>),
    /// This build has no archives.
    #[cfg(not(feature = "archive"))]
    #[error("this build knows no archives (feature `archive`)")]
    NoArchives,
}

/// Does work with whoever can be asked: the archive at this address, or nobody but the directory. With what the archive
/// could not give, and why.
///
/// # Errors
/// [`SourceError`].
pub(crate) fn with<T>(
    archive: Option<&str>,
    work: impl FnOnce(&mut dyn Source) -> T,
) -> Result<(T, Vec<String>), SourceError> {
    let Some(address) = archive else { return Ok((work(&mut Alone), Vec::new())) };
    #[cfg(feature = "archive")]
    {
        use lamella_shipping::{
            ShippingError,
            parts::Parts,
            remote::Remote,
            store::{Access, Store},
        };
        let failed = |error: ShippingError| SourceError::Archive(Box::new(error));
        let store = Store::open(address, Access::Read).map_err(|error| failed(error.into()))?;
        let remote = Remote::find(store, None).map_err(failed)?;
        let parts = Parts::of(&remote).map_err(failed)?;
        let mut archive = OfArchive { parts, node: Routes::of(address) };
        let done = work(&mut archive);
        Ok((done, archive.parts.failures().map(ToString::to_string).collect()))
    }
    #[cfg(not(feature = "archive"))]
    {
        let _ = address;
        Err(SourceError::NoArchives)
    }
}

/// The transition, and nobody to ask.
struct Alone;

impl Source for Alone {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        compute_post_state(parent, block).ok().map(|(state, _)| state)
    }
}

/// The transition, and an archive; a node gives what is in no segment too.
#[cfg(feature = "archive")]
struct OfArchive<'a> {
    parts: lamella_shipping::parts::Parts<'a>,
    node: Option<Routes>,
}

/// What a node serves besides its archive: single blocks and states, by root.
#[cfg(feature = "archive")]
struct Routes {
    url: String,
    client: Client,
}

#[cfg(feature = "archive")]
impl Routes {
    /// Of the node at this address, if it is a node's.
    fn of(address: &str) -> Option<Self> {
        let is_node = ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme));
        is_node
            .then(|| Self { url: address.trim_end_matches('/').to_owned(), client: Client::new() })
    }

    /// Whoever asks compares it with what it must hash to.
    fn block(&self, key: &SlotRoot) -> Option<SignedBlock> {
        let found = self.client.block_of(&self.url, &key.root);
        found.inspect_err(|error| debug!(block = %key, %error, "The node does not give it")).ok()
    }

    fn state(&self, key: &SlotRoot) -> Option<State> {
        let found = self.client.state_of(&self.url, &key.root);
        found.inspect_err(|error| debug!(block = %key, %error, "The node does not give it")).ok()
    }
}

#[cfg(feature = "archive")]
impl Source for OfArchive<'_> {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        Alone.transition(parent, block)
    }

    fn block(&mut self, key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        self.parts.block(key).or_else(|| {
            let SignedBlock { block, .. } = self.node.as_ref()?.block(key)?;
            Some((block.header(), block.body))
        })
    }

    fn state(&mut self, key: &SlotRoot) -> Option<State> {
        self.node.as_ref()?.state(key)
    }

    fn segment(&mut self, key: &SegmentKey) -> Option<Segment> {
        self.parts.segment(key)
    }

    fn registry(&mut self, root: &Root) -> Option<Validators> {
        self.parts.registry(root)
    }

    /// A sidecar's digest shows only that it is what was shipped.
    fn proof(
        &mut self,
        key: &SlotRoot,
        block: &Block,
        scheme: &str,
    ) -> Option<MultiMessageAggregate> {
        use lamella_xmss::scheme::SchemeName;
        let mut known = [SchemeName::Raw, SchemeName::RawTest, SchemeName::Trust].into_iter();
        let scheme = known.find(|known| known.name() == scheme)?.scheme();
        let shipped = self.parts.proof(key);
        let of_node = || Some(self.node.as_ref()?.block(key)?.proof);
        let proof = shipped.or_else(of_node)?;
        let signed = SignedBlock { block: block.clone(), proof };
        verify_block(&*scheme, self.parts.validators(), &signed, key.root).ok()?;
        Some(signed.proof)
    }
}

/// The transition, and one block. Its proof is given only if it was checked.
pub(crate) struct OneBlock {
    pub(crate) block: SignedBlock,
    pub(crate) is_proof_checked: bool,
}

impl Source for OneBlock {
    fn transition(&self, parent: &State, block: &Block) -> Option<State> {
        Alone.transition(parent, block)
    }

    fn block(&mut self, _: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        Some((self.block.block.header(), self.block.block.body.clone()))
    }

    fn proof(&mut self, key: &SlotRoot, _: &Block, _: &str) -> Option<MultiMessageAggregate> {
        let is_it = self.is_proof_checked && self.block.block.header().root() == key.root;
        is_it.then(|| self.block.proof.clone())
    }
}
