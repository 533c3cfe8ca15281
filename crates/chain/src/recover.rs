//! Fork choice from disk, and the rows that follow from others.
//!
//! A directory *knows* headers, bodies, states, proofs, votes and the guard. The live tree, the canonical index, the
//! slot index and the fork choice row *follow*: headers and votes give them. So a start that finds them damaged, lost
//! or at odds derives them again, in one commit that it counts in [`Recovered`], and a vote that cannot be read costs
//! that vote: it comes again by gossip. What does not follow from anything (a header, a state, the identity) stays an
//! error that names it, and a derived row that names a block whose header is gone is never deleted: it may be all that
//! is left to say so.
//!
//! The look at every start covers the live tree's range; deriving reads every header. `lamella db derive` does it unasked.

use std::collections::HashSet;

use lamella_block_store as block_store;
use lamella_fork_choice::{ForkChoice, Snapshot};
use lamella_tables::{
    Anchors, Canonical, Database, Diffs, Headers, Read, ReadError, SlotRoot, Slots, Table as _,
};
use lamella_types::BlockHeader;

use summaries::summaries;

use crate::{
    error::ChainOpenError,
    meta::{ForkChoiceRow, block_count, content},
    vote_rows::{self, StoredVotes},
};

mod rebuild;
mod summaries;

pub(crate) use rebuild::{put_fork_choice, rebuild, rebuild_slots};

/// Rows that a start wrote or dropped because they did not say what headers, states and votes say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Votes dropped: they could not be read, or held a place that another vote holds.
    pub votes: u64,
    /// Rows of Slots written again.
    pub slots: u64,
    /// Rows of Canonical written again or dropped.
    pub canonical: u64,
    /// Whether head, checkpoints, safe target, time or the number of blocks were derived again.
    pub fork_choice: bool,
}

impl Recovered {
    /// Rows in all.
    #[must_use]
    pub const fn row_count(&self) -> u64 {
        self.votes + self.slots + self.canonical + self.fork_choice as u64
    }

    /// Whether there was anything to derive again.
    #[must_use]
    pub fn is_something(&self) -> bool {
        *self != Self::default()
    }
}

/// Fork choice of a directory opened for writing. Upholds F1, L1 and C1 for whoever goes on with it.
///
/// # Errors
/// Damage that nothing derives, or the engine.
///
/// # Cost
/// One header, one state row, one row each of Slots and Canonical for each live block, about 1,030 while
/// finality is healthy. Where something disagrees, every header is read.
///
/// # Atomicity
/// At most one transaction.
pub(crate) fn open(database: &Database) -> Result<(ForkChoice, Recovered), ChainOpenError> {
    match look(&database.read()?) {
        Ok(Some(view)) => return Ok((view, Recovered::default())),
        // What damage means is for the rebuilding to say: it may be derived, it may be named.
        Ok(None)
        | Err(ChainOpenError::Read(ReadError::Damaged(_)) | ChainOpenError::Restore(_)) => {}
        Err(error) => return Err(error),
    }
    derive(database)
}

/// As [`open`], for whoever knows that there is something to derive: also below the live tree, where a start does not
/// look.
pub(crate) fn derive(database: &Database) -> Result<(ForkChoice, Recovered), ChainOpenError> {
    let mut txn = database.write()?;
    let rebuilt = rebuild::rebuild(&mut txn)?;
    txn.commit()?;
    Ok(rebuilt)
}

/// The view, if every row in the live tree's range agrees with it.
fn look(txn: &impl Read) -> Result<Option<ForkChoice>, ChainOpenError> {
    let Some(stored) = ForkChoiceRow::read(txn)? else { return Ok(None) };
    let root = SlotRoot::new(stored.tree_root.slot, stored.tree_root.root);
    if slots_lack_blocks(txn)? {
        return Ok(None);
    }
    let live = live_blocks(txn, root)?;
    for (key, _) in &live {
        if txn.get::<Slots>(&key.root)? != Some(key.slot) {
            return Ok(None);
        }
    }
    let votes = vote_rows::read_all(txn)?;
    if !votes.dropped.is_empty() {
        return Ok(None);
    }
    let view = restore(txn, &live, &stored, votes)?;
    let agrees =
        view.head() == stored.head && justified_is_highest(&view) && canonical_agrees(txn, &view)?;
    Ok(agrees.then_some(view))
}

/// A lost row of Slots makes its block unknown, anywhere in the chain; counting rows costs nothing.
fn slots_lack_blocks(txn: &impl Read) -> Result<bool, ReadError> {
    let stats = txn.table_stats()?;
    let rows = stats.iter().find(|table| table.name == Slots::NAME).map(|table| table.rows);
    Ok(rows != block_count(txn)?)
}

/// No live block's state justifies more: an old fork choice row put back shows here.
pub(crate) fn justified_is_highest(view: &ForkChoice) -> bool {
    let justified = view.latest_justified().slot;
    view.nodes().all(|block| block.justified.slot <= justified)
}

/// Whether Canonical has the head's chain above the tree's root, and nothing else.
fn canonical_agrees(txn: &impl Read, view: &ForkChoice) -> Result<bool, ReadError> {
    let mut chain: Vec<_> =
        view.chain(&view.head()).map(|block| (block.slot, block.root)).collect();
    let mut rows = txn.scan::<Canonical>(view.tree_root().slot)?;
    while let Some(block) = chain.pop() {
        if rows.next().transpose()? != Some(block) {
            return Ok(false);
        }
    }
    Ok(rows.next().is_none())
}

/// Fork choice as blocks, votes and the stored checkpoints give it, whatever head was stored.
pub(crate) fn restore(
    txn: &impl Read,
    live: &[(SlotRoot, BlockHeader)],
    stored: &ForkChoiceRow,
    votes: StoredVotes,
) -> Result<ForkChoice, ChainOpenError> {
    Ok(ForkChoice::restore(Snapshot {
        blocks: summaries(txn, live)?,
        latest_justified: stored.justified,
        latest_finalized: stored.finalized,
        safe_target: stored.safe_target,
        time: stored.time,
        votes: votes.rows,
    })?)
}

/// The live tree as headers give it: its root and all stored descendants, in key order.
///
/// # Errors
/// A damaged or lost header: one whose key a block names as its parent, or the root's.
pub(crate) fn live_blocks(
    txn: &impl Read,
    root: SlotRoot,
) -> Result<Vec<(SlotRoot, BlockHeader)>, ReadError> {
    let (mut live, mut headers) = (Vec::new(), HashSet::new());
    let mut roots = HashSet::from([root.root]);
    for row in txn.scan::<Headers>(root)? {
        let (key, header) = row?;
        headers.insert(key);
        if key == root || roots.contains(&header.parent_root) {
            roots.insert(key.root);
            live.push((key, header));
        } else if block_store::header(txn, &header.parent_root)?.is_none() {
            let what = format!("its parent {} is not stored", header.parent_root);
            return Err(content::<Headers>(&key, &what));
        }
    }
    // A leaf whose header is lost is nobody's parent; its state is left to say that it was there.
    for key in txn.scan_keys::<Diffs>(root)?.chain(txn.scan_keys::<Anchors>(root)?) {
        let key = key?;
        if !headers.contains(&key) {
            return Err(content::<Headers>(&key, "the header is lost"));
        }
    }
    match live.first() {
        Some((first, _)) if *first == root => Ok(live),
        _ => Err(content::<Headers>(&root, "the header is lost")),
    }
}

/// Blocks of the live tree.
///
/// # Errors
/// A damaged or lost header, or the engine.
pub fn live_block_count(txn: &impl Read, row: &ForkChoiceRow) -> Result<u64, ReadError> {
    let root = SlotRoot::new(row.tree_root.slot, row.tree_root.root);
    Ok(live_blocks(txn, root)?.len() as u64)
}
