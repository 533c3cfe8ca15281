//! The canonical blocks of a range of slots, with the proof that they are all there are.
//!
//! The hard idea: a row that is lost looks like a slot that was skipped. But a block names its parent. So a walk reads
//! one block more than it was asked for, the next one after the range or the head, and follows the links: the first
//! block's parent lies before the range, each other's is the block before it, and what comes after the range descends
//! from its last block. A link that does not hold is damage, never a gap.
//!
//! A walk may go on in another transaction; whoever does that asks first whether [`Walk::last`] is still there.

use lamella_block_store as block_store;
use lamella_tables::{Canonical, Headers, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Root, Slot};

use super::{
    ends::{Ends, Stretch, within},
    error::{LookupError, contradiction},
};

/// A block of the head's chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Linked {
    /// Its slot and root.
    pub key: SlotRoot,
    /// Its header, which hashes to the root.
    pub header: BlockHeader,
}

/// A walk over the canonical blocks of the slots `from..=to`.
#[derive(Debug)]
pub struct Walk {
    from: Slot,
    to: Slot,
    last: Option<SlotRoot>,
    /// Slot of the newest block before the range.
    before: Option<Slot>,
    /// Slot of the oldest block after the range.
    after: Option<Slot>,
    is_done: bool,
}

impl Walk {
    /// A walk that has read nothing yet.
    #[must_use]
    pub const fn new(from: Slot, to: Slot) -> Self {
        Self { from, to, last: None, before: None, after: None, is_done: to < from }
    }

    /// The newest block that was given out.
    #[must_use]
    pub const fn last(&self) -> Option<SlotRoot> {
        self.last
    }

    /// Whether everything was given out and the end was proven.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Slots of the blocks around the range, where it was found to be empty.
    pub(crate) const fn neighbours(&self) -> Option<(Slot, Slot)> {
        match (self.before, self.after) {
            (Some(before), Some(after)) => Some((before, after)),
            _ => None,
        }
    }

    /// The next blocks, at most so many.
    ///
    /// # Errors
    /// [`NotStored`](super::NotStored) if a slot of the range is in a hole or after the head; damage, also where a row
    /// is missing.
    ///
    /// # Cost
    /// A canonical row and a header for each block, and one more of each.
    pub fn next_blocks(
        &mut self,
        txn: &ReadTxn<'_>,
        blocks_max: usize,
    ) -> Result<Vec<Linked>, LookupError> {
        let ends = Ends::read(txn)?;
        let [stretch, other] = [within(txn, self.from, &ends)?, within(txn, self.to, &ends)?];
        if stretch != other {
            return Err(ends.not_held(stretch.newest.slot + 1).into());
        }
        self.step(txn, &stretch, blocks_max)
    }

    /// As [`Self::next_blocks`], of a range within this stretch.
    pub(crate) fn step(
        &mut self,
        txn: &ReadTxn<'_>,
        stretch: &Stretch,
        blocks_max: usize,
    ) -> Result<Vec<Linked>, LookupError> {
        let mut blocks = Vec::new();
        if self.is_done {
            return Ok(blocks);
        }
        let start = self.last.map_or(self.from, |last| last.slot.saturating_add(1));
        for row in txn.scan::<Canonical>(start)? {
            let (slot, root) = row?;
            // What comes after a hole proves nothing of the block before it.
            if !stretch.is_open && self.last == Some(stretch.newest) {
                break;
            }
            let linked = self.link(txn, stretch, SlotRoot::new(slot, root))?;
            if slot > self.to {
                (self.after, self.is_done) = (Some(slot), true);
                return Ok(blocks);
            }
            if blocks.len() == blocks_max {
                return Ok(blocks);
            }
            blocks.push(linked);
            self.last = Some(linked.key);
        }
        let newest = stretch.newest;
        if self.last != Some(newest) {
            let what = format!("no row, yet the block {} is there", newest.root);
            return Err(contradiction::<Canonical>(&newest.slot, what).into());
        }
        self.is_done = true;
        Ok(blocks)
    }

    /// The block of a canonical row, if it follows what the walk has seen.
    fn link(
        &mut self,
        txn: &ReadTxn<'_>,
        stretch: &Stretch,
        key: SlotRoot,
    ) -> Result<Linked, ReadError> {
        let lost = |what: String| contradiction::<Canonical>(&key.slot, what);
        let newest = stretch.newest;
        if key.slot >= newest.slot && key != newest {
            let end = if stretch.is_open { "the head" } else { "the last block before a hole" };
            return Err(lost(format!("block {}, yet {end} is {newest}", key.root)));
        }
        let header = block_store::header_at(txn, &key)?;
        let header = header.ok_or_else(|| {
            contradiction::<Headers>(&key, "no row, yet it is canonical".to_owned())
        })?;
        let parent = header.parent_root;
        match self.last {
            Some(last) if last.root == parent => {}
            Some(last) => {
                return Err(lost(format!(
                    "the parent of block {} is {parent}, the row before names {last}: one between is lost or wrong",
                    key.root
                )));
            }
            None if key == stretch.oldest => {
                if parent != stretch.parent_root {
                    let said = stretch.parent_root;
                    return Err(lost(format!("the parent is {parent}, the extent says {said}")));
                }
            }
            None => {
                let before = block_store::slot(txn, &parent)?;
                let Some(before) = before.filter(|before| *before < self.from) else {
                    let at =
                        before.map_or("not stored".to_owned(), |slot| format!("at slot {slot}"));
                    return Err(lost(format!(
                        "the first row from slot {} on, yet the parent {parent} of its block is {at}",
                        self.from
                    )));
                };
                self.before = Some(before);
            }
        }
        Ok(Linked { key, header })
    }
}

/// Roots of the canonical blocks of `count` slots from `start_slot` on, ascending, up to the head; skipped slots have none.
///
/// # Errors
/// [`NotStored::BeforeOldest`](super::NotStored::BeforeOldest) before the stretch that ends at the head: no other has
/// proofs, which whoever asks wants. Or damage, also where a row is missing.
///
/// # Cost
/// As [`Walk::next_blocks`].
pub fn canonical_roots(
    txn: &ReadTxn<'_>,
    start_slot: Slot,
    count: u64,
) -> Result<Vec<Root>, LookupError> {
    let ends = Ends::read(txn)?;
    let stretch = ends.newest();
    if start_slot < stretch.oldest.slot {
        return Err(ends.not_held(start_slot).into());
    }
    if count == 0 || start_slot > ends.head.slot {
        return Ok(Vec::new());
    }
    let to = start_slot.saturating_add(count - 1).min(ends.head.slot);
    let blocks = Walk::new(start_slot, to).step(txn, &stretch, usize::MAX)?;
    Ok(blocks.into_iter().map(|block| block.key.root).collect())
}
