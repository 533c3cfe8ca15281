//! Proofs that are bad or missing, asked for again, and blocks that rotted. The audit finds bad proofs, a checkpoint may
//! begin without its own, and scrubbing finds what rotted.
//!
//! One block at a time is asked for by root, of one peer after the other, and far less often than sync asks. What comes is
//! checked by a worker, stored in one transaction with its mark gone, and served from then on. Where nobody has it, peers
//! are left alone for a long while: they may have checked it meanwhile, and others may have come.

use std::sync::Arc;

use lamella_network::{
    PeerId,
    peers::Offence,
    requests::{BlocksRequest, RequestFailure, RequestId},
    service::Command,
    standing::SyncStatus,
};
use lamella_tables::{ReadError, SlotRoot};
use lamella_types::{RejectionReason, SignedBlock, Slot, hash_tree_root};
use tracing::{debug, info};

use super::{Node, StoreFailure, scrub::Wanted, workers::Urgency};
use crate::{proofs::verify_block, source::OneBlock};

/// Slots between two requests.
const PAUSE_SLOTS: u64 = 4;

/// Slots until peers of whom none had any of it are asked again.
const REST_SLOTS: u64 = 256;

/// The numbers of these requests; sync counts its own from 0.
const FIRST_REQUEST: RequestId = 1 << 63;

/// What is asked for, and when next.
#[derive(Debug, Default)]
pub(super) struct Mend {
    asked: Option<Asked>,
    requests: u64,
    /// Requests that brought nothing since the last that did.
    fruitless: usize,
    due: Slot,
    /// Blocks that scrubbing found damaged, and that nobody here has.
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    request: RequestId,
    peer: PeerId,
    key: SlotRoot,
}

impl Mend {
    /// Where scrubbing says what it wants.
    pub(super) const fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// Whether a request is one of these, and not sync's.
    pub(super) const fn is_its(request: RequestId) -> bool {
        request >= FIRST_REQUEST
    }
}

impl Node {
    /// Asks for a block whose proof is bad or missing, if there is one, and nothing better to do.
    ///
    /// # Errors
    /// A failure of our store.
    pub(super) fn mend(&mut self, slot: Slot) -> Result<(), StoreFailure> {
        if slot < self.mend.due || self.facts.sync_status() == SyncStatus::Syncing {
            return Ok(());
        }
        self.mend.due = slot + PAUSE_SLOTS;
        // The network answers every request, if only with a failure.
        if self.mend.asked.is_some() {
            return Ok(());
        }
        let mut bad = match self.chain.bad_proofs() {
            Ok(bad) => bad,
            Err(failure @ ReadError::Engine(_)) => return Err(failure.into()),
            // The audit reads the same row, and says so.
            Err(ReadError::Damaged(_)) => Vec::new(),
        };
        bad.extend(self.mend.wanted.all());
        let peers: Vec<PeerId> = self.network.peers().all().iter().map(|info| info.peer).collect();
        let (Some(rounds), Some(first)) = (self.mend.fruitless.checked_div(bad.len()), bad.first())
        else {
            return Ok(());
        };
        let key = bad.get(self.mend.fruitless % bad.len()).unwrap_or(first);
        let Some(peer) = peers.get(rounds) else {
            self.mend.fruitless = 0;
            self.mend.due = slot + if peers.is_empty() { PAUSE_SLOTS } else { REST_SLOTS };
            return Ok(());
        };
        let request = FIRST_REQUEST + self.mend.requests;
        self.mend.requests += 1;
        self.mend.asked = Some(Asked { request, peer: *peer, key: *key });
        debug!(block = %key, %peer, "Asking for a block again");
        let blocks = BlocksRequest::Roots(vec![key.root]);
        self.tell(Command::Request { request, peer: *peer, blocks });
        Ok(())
    }

    /// A peer answered, or will not.
    pub(super) fn mend_answered(
        &mut self,
        request: RequestId,
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
    ) {
        let Some(asked) = self.mend.asked.take_if(|asked| asked.request == request) else { return };
        self.mend.fruitless += 1;
        let Ok([block]) = outcome.as_deref() else {
            return debug!(block = %asked.key, peer = %asked.peer, "Not there");
        };
        if self.mend.wanted.all().contains(&asked.key) {
            return self.repair_from(asked, block.clone());
        }
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let (block, root) = (block.clone(), asked.key.root);
        let check = move || {
            let is_it = hash_tree_root(&block.block) == root;
            let checked = match is_it {
                true => verify_block(&*scheme, &validators, &block, root),
                false => Err(RejectionReason::InvalidBlockProof),
            };
            checked.map(|()| block)
        };
        // If too much is to do, it is asked for again.
        self.later(Urgency::Background, check, move |node, checked| node.mended(asked, checked));
    }

    fn mended(
        &mut self,
        asked: Asked,
        checked: Result<SignedBlock, RejectionReason>,
    ) -> Result<(), StoreFailure> {
        let Asked { peer, key, .. } = asked;
        match checked {
            Ok(block) => {
                if self.chain.replace_bad_proof(&key, &block.proof)? {
                    info!(block = %key, %peer, "A proof that was bad or missing is good now");
                }
                self.mend.fruitless = 0;
                // There may have been too many bad ones to go on.
                self.audit = self.audit.more();
            }
            Err(reason) => {
                debug!(block = %key, %peer, %reason, "An answer with a bad proof");
                self.tell(Command::Penalise(peer, Offence::InvalidAnswer));
            }
        }
        Ok(())
    }

    /// A block that rotted has come. It is believed by its hash, its proof if it is good.
    fn repair_from(&mut self, asked: Asked, block: SignedBlock) {
        let (scheme, validators) = (Arc::clone(&self.scheme), self.validators.clone());
        let (chain, wanted) = (Arc::clone(&self.chain), self.mend.wanted.clone());
        let repair = move || {
            let root = asked.key.root;
            if hash_tree_root(&block.block) != root {
                return Ok(None);
            }
            let is_proof_checked = verify_block(&*scheme, &validators, &block, root).is_ok();
            let mut source = OneBlock { block, is_proof_checked };
            wanted.forget(&asked.key);
            chain.repair_block(asked.key, &mut source).map(Some)
        };
        self.later(Urgency::Background, repair, move |node, repaired| {
            let Asked { peer, key, .. } = asked;
            let Some(repaired) = repaired? else {
                node.tell(Command::Penalise(peer, Offence::InvalidAnswer));
                return Ok(());
            };
            node.metrics.scrub.repaired(&repaired);
            node.mend.fruitless = 0;
            let rows = repaired.row_count();
            info!(block = %key, %peer, rows, "A block that was damaged is whole again");
            Ok(())
        });
    }
}
