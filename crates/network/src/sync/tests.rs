//! Each rule of sync by itself. Where they meet is `simulation`.

mod claimed;
mod ranges;
mod roots;
mod simulation;
mod sources;

use std::{cell::RefCell, collections::BTreeSet, sync::Arc};

use lamella_types::{
    Block, Checkpoint, RejectionReason, Root, SignedBlock, Slot, Status, hash_tree_root,
};

use super::{limits::*, *};
use crate::peers::Offence;

const NOW_SLOT: Slot = 10_000;

/// A node whose chain is slots 1 to `head`, and the chain that its peers have.
struct Node {
    syncer: Syncer<u8>,
    tree: RefCell<BTreeSet<Root>>,
    chain: Vec<SignedBlock>,
}

fn chain(parent: Root, slots: impl Iterator<Item = Slot>, salt: u64) -> Vec<SignedBlock> {
    let mut parent_root = parent;
    let blocks = slots.map(|slot| {
        let block = Block { slot, proposer_index: salt, parent_root, ..Block::default() };
        parent_root = hash_tree_root(&block);
        SignedBlock { block, ..SignedBlock::default() }
    });
    blocks.collect()
}

fn root(block: &SignedBlock) -> Root {
    hash_tree_root(&block.block)
}

fn checkpoint(block: &SignedBlock) -> Checkpoint {
    Checkpoint { root: root(block), slot: block.block.slot }
}

impl Node {
    /// Everybody's chain has a block in each slot from 1 to `length`; the node has those up to `head`.
    fn new(length: Slot, head: Slot, finalized: Slot) -> Self {
        let chain = chain(Root::ZERO, 1..=length, 0);
        let at = |slot: Slot| checkpoint(&chain[usize::try_from(slot - 1).unwrap()]);
        let view = View { head: at(head), finalized: at(finalized), current_slot: NOW_SLOT };
        let here = chain.iter().filter(|block| block.block.slot <= head).map(root).collect();
        Self { syncer: Syncer::new(view, 64), tree: RefCell::new(here), chain }
    }

    fn connect(&mut self, peer: u8, head: Checkpoint, now_ms: u64) {
        self.syncer.peer_status(peer, Status { finalized: Checkpoint::default(), head }, now_ms);
    }

    fn tip(&self) -> Checkpoint {
        checkpoint(self.chain.last().unwrap())
    }

    fn poll(&mut self, now_ms: u64) -> Option<Action<u8>> {
        let tree = self.tree.borrow();
        self.syncer.poll(now_ms, &|root| tree.contains(root))
    }

    fn request(&mut self, now_ms: u64) -> (RequestId, u8, BlocksRequest) {
        match self.poll(now_ms) {
            Some(Action::Request { request, peer, blocks }) => (request, peer, blocks),
            other => panic!("not a request: {other:?}"),
        }
    }

    fn import(&mut self, now_ms: u64) -> (BatchId, Vec<Slot>) {
        match self.poll(now_ms) {
            Some(Action::Import { batch, blocks, .. }) => {
                (batch, blocks.iter().map(|block| block.block.slot).collect())
            }
            other => panic!("not an import: {other:?}"),
        }
    }

    fn penalty(&mut self, now_ms: u64) -> (u8, Offence) {
        match self.poll(now_ms) {
            Some(Action::Penalise { peer, offence, .. }) => (peer, offence),
            other => panic!("not a penalty: {other:?}"),
        }
    }

    /// Polls until nothing but judgements are left; these.
    fn settle(&mut self, now_ms: u64) -> Vec<(u8, Offence)> {
        let mut said = Vec::new();
        while let Some(action) = self.poll(now_ms) {
            match action {
                Action::Penalise { peer, offence, .. } => said.push((peer, offence)),
                Action::AskStatus { .. } => {}
                other => panic!("{other:?}"),
            }
        }
        said
    }

    fn answer(&mut self, request: RequestId, blocks: Vec<SignedBlock>, now_ms: u64) {
        self.respond(request, Ok(blocks), now_ms);
    }

    fn respond(
        &mut self,
        request: RequestId,
        outcome: Result<Vec<SignedBlock>, RequestFailure>,
        now_ms: u64,
    ) {
        let tree = self.tree.borrow();
        self.syncer.response(request, outcome, now_ms, &|root| tree.contains(root));
    }

    fn orphan(&mut self, peer: u8, block: &SignedBlock) -> bool {
        let tree = self.tree.borrow();
        self.syncer.orphan(peer, root(block), Arc::new(block.clone()), &|r| tree.contains(r))
    }

    fn blocks(&self, blocks: &BlocksRequest) -> Vec<SignedBlock> {
        let is_asked = |block: &&SignedBlock| match blocks {
            BlocksRequest::Range { start_slot, count } => {
                (*start_slot..start_slot + count).contains(&block.block.slot)
            }
            BlocksRequest::Roots(roots) => roots.contains(&root(block)),
        };
        self.chain.iter().filter(is_asked).cloned().collect()
    }

    /// The importer takes a batch of our chain up to `last`.
    fn imported(&mut self, batch: BatchId, last: Slot, now_ms: u64) {
        let here = self.chain.iter().filter(|block| block.block.slot <= last);
        self.tree.borrow_mut().extend(here.map(root));
        let head = checkpoint(&self.chain[usize::try_from(last - 1).unwrap()]);
        self.syncer.view.head = head;
        self.syncer.imported(batch, Outcome::Imported, now_ms);
    }
}

fn range(start_slot: Slot, count: u64) -> BlocksRequest {
    BlocksRequest::Range { start_slot, count }
}
