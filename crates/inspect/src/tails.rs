//! What of a chain is not in a sealed segment, as a writer's chain of tail objects.
//!
//! The hard idea: the database is the queue. Nobody hands blocks over, so nothing is lost with a process or by a queue that
//! was full: what comes next is what the published view holds and no object has yet, parents before children, forks
//! included; and before it the canonical blocks that left the view, finalized, before anyone looked. A start knows less of
//! what it told before than the archive does, and tells it twice: whoever imports it does not mind.

use std::collections::HashSet;

use lamella_archive::{BuildError, NetworkId, SealedTail, Tail, TailFile, WriterId, limits};
use lamella_block_store as block_store;
use lamella_chain::{Chain, TailPosition};
use lamella_tables::{Canonical, Headers, Read as _, ReadTxn, SlotRoot};
use lamella_types::{Checkpoint, Root, SignedBlock, Slot, hash_tree_root, limits::SEGMENT_ROOTS};

use super::{
    error::{LookupError, contradiction},
    stored,
};

/// Why the next object of a tail cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// The database.
    #[error(transparent)]
    Lookup(#[from] LookupError),
    /// The blocks do not make an object.
    #[error(transparent)]
    Build(#[from] BuildError),
}

/// A writer's tail: what it has told, and so what comes next.
#[derive(Debug, Clone)]
pub struct TailLog {
    network: NetworkId,
    position: TailPosition,
    /// Every canonical block up to this slot was told, or is in a segment.
    floor: Slot,
    /// Blocks above the floor that were told.
    told: HashSet<Root>,
    /// Blocks of an object.
    blocks_max: usize,
}

/// The next object, not told yet.
#[derive(Debug, Clone)]
pub struct NextTail {
    /// The object.
    pub sealed: SealedTail,
    /// What it was made of.
    pub plan: TailPlan,
    /// Whether there is more to be told after it.
    pub has_more: bool,
    floor: Slot,
}

impl NextTail {
    /// Blocks in it.
    #[must_use]
    pub const fn block_count(&self) -> usize {
        self.plan.keys.len()
    }
}

/// What an object says, but for the blocks themselves: they are read when it is made.
#[derive(Debug, Clone)]
pub struct TailPlan {
    position: TailPosition,
    head: Checkpoint,
    justified: Checkpoint,
    finalized: Checkpoint,
    keys: Vec<SlotRoot>,
}

impl TailPlan {
    /// Its newest block's slot.
    #[must_use]
    pub fn last_slot(&self) -> Slot {
        self.keys.iter().map(|key| key.slot).max().unwrap_or_default()
    }

    /// The object, with its blocks as they are stored now.
    ///
    /// # Errors
    /// Damage of a block.
    pub fn seal(&self, network: NetworkId, txn: &ReadTxn<'_>) -> Result<SealedTail, TailError> {
        let blocks = self.keys.iter().map(|key| as_stored(txn, key)).collect::<Result<_, _>>()?;
        let TailPosition { writer, next: sequence, digest: previous } = self.position;
        let Self { head, justified, finalized, .. } = *self;
        let writer = WriterId(writer);
        let tail = Tail { network, writer, sequence, previous, head, justified, finalized, blocks };
        Ok(tail.seal()?)
    }
}

impl TailLog {
    /// A new writer's tail of this chain: from the first slot on that no segment can hold yet.
    #[must_use]
    pub fn new(network: NetworkId, writer: WriterId, chain: &Chain) -> Self {
        let position = TailPosition { writer: writer.0, next: 0, digest: Root::ZERO };
        let sealed = chain.fork_choice().latest_finalized().slot / SEGMENT_ROOTS as u64;
        let floor = (sealed * SEGMENT_ROOTS as u64).saturating_sub(1);
        Self::resume(network, position, floor)
    }

    /// A tail that goes on here: every canonical block up to `floor` was told before.
    #[must_use]
    pub fn resume(network: NetworkId, position: TailPosition, floor: Slot) -> Self {
        let (told, blocks_max) = (HashSet::new(), limits::TAIL_BLOCKS_MAX);
        Self { network, position, floor, told, blocks_max }
    }

    /// The same with fewer blocks to an object.
    #[must_use]
    pub fn with_blocks_max(self, blocks_max: usize) -> Self {
        Self { blocks_max: blocks_max.clamp(1, limits::TAIL_BLOCKS_MAX), ..self }
    }

    /// Which object comes next.
    #[must_use]
    pub const fn position(&self) -> TailPosition {
        self.position
    }

    /// The slot up to which every canonical block was told.
    #[must_use]
    pub const fn floor(&self) -> Slot {
        self.floor
    }

    /// The next object, if there is something that was not told.
    ///
    /// # Errors
    /// Damage of a block that has to be told.
    ///
    /// # Cost
    /// A look at each block of the live tree; the blocks of the object are read in one transaction.
    pub fn next(&self, chain: &Chain) -> Result<Option<NextTail>, TailError> {
        // Published after its commit, so all of the view is stored.
        let view = chain.fork_choice();
        let txn = chain.read().map_err(LookupError::from)?;
        let root_slot = view.tree_root().slot;
        let mut keys = self.left_behind(&txn, root_slot)?;
        let behind = keys.len();
        let live = view.nodes().filter(|block| self.is_new(block.slot, &block.root));
        let live = live.map(|block| SlotRoot::new(block.slot, block.root));
        keys.extend(live.take(self.blocks_max + 1));
        let has_more = keys.len() > self.blocks_max;
        keys.truncate(self.blocks_max);
        let Some(newest) = keys.last() else { return Ok(None) };
        // In the middle of a backlog the head is not told yet.
        let (head, floor) = match has_more {
            false => (view.head_summary().checkpoint(), root_slot),
            true if behind >= keys.len() => (checkpoint(newest), newest.slot),
            true => (checkpoint(newest), root_slot.saturating_sub(1)),
        };
        let (justified, finalized) = (view.latest_justified(), view.latest_finalized());
        let plan = TailPlan { position: self.position, head, justified, finalized, keys };
        let (sealed, floor) = (plan.seal(self.network, &txn)?, floor.max(self.floor));
        Ok(Some(NextTail { sealed, plan, has_more, floor }))
    }

    /// The object was told: what comes after it is next. What left the live tree is forgotten, since it can never come again.
    pub fn told(&mut self, next: &NextTail, chain: &Chain) {
        self.moved(next.sealed.link.digest, next.plan.keys.iter().map(|key| key.root));
        self.floor = next.floor;
        let view = chain.fork_choice();
        self.told.retain(|root| view.contains(root));
    }

    /// The next object was told by an earlier life of this writer, which does not remember.
    pub fn told_before(&mut self, file: &TailFile) {
        let blocks = file.tail().blocks.iter();
        let roots = blocks.map(|signed| hash_tree_root(&signed.block));
        self.moved(file.link().digest, roots);
    }

    fn moved(&mut self, digest: Root, roots: impl Iterator<Item = Root>) {
        let TailPosition { writer, next, .. } = self.position;
        self.position = TailPosition { writer, next: next + 1, digest };
        self.told.extend(roots);
    }

    fn is_new(&self, slot: Slot, root: &Root) -> bool {
        slot > self.floor && !self.told.contains(root)
    }

    /// Canonical blocks above the floor that left the live tree untold.
    fn left_behind(
        &self,
        txn: &ReadTxn<'_>,
        root_slot: Slot,
    ) -> Result<Vec<SlotRoot>, LookupError> {
        let mut keys = Vec::new();
        for row in txn.scan::<Canonical>(self.floor + 1)? {
            let (slot, root) = row?;
            if slot >= root_slot || keys.len() > self.blocks_max {
                break;
            }
            if self.is_new(slot, &root) {
                keys.push(SlotRoot::new(slot, root));
            }
        }
        Ok(keys)
    }
}

fn checkpoint(key: &SlotRoot) -> Checkpoint {
    Checkpoint { root: key.root, slot: key.slot }
}

/// The block with its proof as it is stored: whoever imports it judges that.
fn as_stored(txn: &ReadTxn<'_>, key: &SlotRoot) -> Result<SignedBlock, LookupError> {
    let lost = || contradiction::<Headers>(key, "the block is lost".to_owned());
    if let Some(header) = block_store::header_at(txn, key)? {
        stored::check_body(txn, key, &header)?;
    }
    Ok(block_store::block_as_stored(txn, key)?.ok_or_else(lost)?)
}
