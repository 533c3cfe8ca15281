//! Deriving again: every derived row beside what headers, states and votes say, and what differs written anew.

use std::collections::BTreeMap;

use lamella_block_store::{self as block_store, Extent};
use lamella_fork_choice::{ForkChoice, Snapshot, limits::TREE_LAG_SLOTS};
use lamella_state_store::StateStore;
use lamella_tables::{
    Canonical, EngineError, Headers, Read as _, ReadError, SlotRoot, Slots, Table, Votes, WriteTxn,
};
use lamella_types::{Root, Slot};

use super::{Recovered, live_blocks, restore, summaries};
use crate::{
    error::ChainOpenError,
    meta::{ForkChoiceRow, block_count, content},
    settle::settle,
    vote_rows::{self, StoredVotes},
};

/// Derives everything that follows from headers, states and votes, and writes what differs.
pub(crate) fn rebuild(txn: &mut WriteTxn<'_>) -> Result<(ForkChoice, Recovered), ChainOpenError> {
    let stored = readable(ForkChoiceRow::read(txn))?.flatten();
    let counted = readable(block_count(txn))?.flatten();
    let slots = rebuild_slots(txn)?;
    for root in stored.iter().flat_map(|row| [row.head, row.justified.root, row.finalized.root]) {
        if block_store::header(txn, &root)?.is_none() {
            let what = format!("the fork choice row names block {root}, whose header is lost");
            return Err(content::<Slots>(&root, &what).into());
        }
    }
    let votes = vote_rows::read_all(txn)?;
    for (key, _) in &votes.dropped {
        txn.delete::<Votes>(key)?;
    }
    let votes_dropped = votes.dropped.len() as u64;
    let mut view = derive(txn, stored, votes)?;
    settle(&mut view, true);

    let chain = canonical_chain(txn, &view)?;
    let from = chain.keys().next().copied().unwrap_or_default();
    let canonical =
        replace::<Canonical>(txn, from, &chain, |slot, root| SlotRoot::new(*slot, *root))?;
    let row = ForkChoiceRow::of(&view);
    vote_rows::put_changes(txn, &view.drain_vote_changes())?;
    row.put(txn)?;
    let fork_choice = stored != Some(row) || counted != block_count(txn)?;
    Ok((view, Recovered { votes: votes_dropped, slots, canonical, fork_choice }))
}

/// The fork choice row of indexed blocks without votes.
pub(crate) fn put_fork_choice(txn: &mut WriteTxn<'_>) -> Result<(), ChainOpenError> {
    let mut view = derive(txn, None, StoredVotes::default())?;
    settle(&mut view, true);
    Ok(ForkChoiceRow::of(&view).put(txn)?)
}

/// Fork choice from the stored checkpoints if blocks bear them out, else from what the blocks themselves say.
fn derive(
    txn: &WriteTxn<'_>,
    stored: Option<ForkChoiceRow>,
    votes: StoredVotes,
) -> Result<ForkChoice, ChainOpenError> {
    let found = stored.map(|row| SlotRoot::new(row.tree_root.slot, row.tree_root.root));
    let found = found.filter(|root| matches!(txn.has::<Headers>(root), Ok(true)));
    if let Some(stored) = stored {
        let finalized = SlotRoot::new(stored.finalized.slot, stored.finalized.root);
        let lagging = root_below(txn, finalized, finalized.slot)?;
        // The older first: the row of the true root may be the one that is lost.
        let mut roots: Vec<_> = found.into_iter().chain([lagging]).collect();
        roots.sort_unstable();
        for root in roots {
            let live = live_blocks(txn, root)?;
            let is_live = |root| live.iter().any(|(key, _)| key.root == root);
            // At interval 3 it moves again; until then the justified block bounds votes as tightly as can be.
            let safe_target = match is_live(stored.safe_target) {
                true => stored.safe_target,
                false => stored.justified.root,
            };
            let stored = ForkChoiceRow { safe_target, ..stored };
            match restore(txn, &live, &stored, votes.clone()) {
                Ok(view) if super::justified_is_highest(&view) => return Ok(view),
                Ok(_) | Err(ChainOpenError::Restore(_)) => {}
                Err(error) => return Err(error),
            }
        }
    }
    let root = match found {
        Some(root) => root,
        None => {
            let tip = txn.last::<Headers>()?.transpose()?;
            let (tip, _) = tip.ok_or(ChainOpenError::NoIdentity("it has no block"))?;
            root_below(txn, tip, StateStore::checkpoints(txn, tip)?.finalized.slot)?
        }
    };
    let blocks = summaries(txn, &live_blocks(txn, root)?)?;
    Ok(ForkChoice::restore(Snapshot::derived(blocks, votes.rows))?)
}

/// The last ancestor that trails `finalized_slot` by the tree's lag, or the block that the directory begins with.
///
/// # Cost
/// One header for each block on the way: the tree's lag, while finality is healthy.
fn root_below(
    txn: &WriteTxn<'_>,
    from: SlotRoot,
    finalized_slot: Slot,
) -> Result<SlotRoot, ChainOpenError> {
    // Upholds P3: nothing that lost its state is of the live tree.
    let floor = readable(Extent::read(txn))?.map_or(0, |extent| extent.states_floor());
    let mut at = from;
    while at.slot.saturating_add(TREE_LAG_SLOTS) > finalized_slot {
        match parent(txn, at)? {
            Some(parent) if parent.slot >= floor => at = parent,
            _ => break,
        }
    }
    Ok(at)
}

/// The stored parent of a block; `None` for the block that the directory begins with.
fn parent(txn: &WriteTxn<'_>, key: SlotRoot) -> Result<Option<SlotRoot>, ChainOpenError> {
    let lost = |what: &str| content::<Headers>(&key, what);
    let header = block_store::header_at(txn, &key)?.ok_or_else(|| lost("the header is lost"))?;
    match block_store::slot(txn, &header.parent_root)? {
        Some(slot) if slot < key.slot => Ok(Some(SlotRoot::new(slot, header.parent_root))),
        None if Extent::read(txn)?.at(key.slot).is_some_and(|range| range.oldest == key) => {
            Ok(None)
        }
        _ => Err(lost("the header of its parent is lost").into()),
    }
}

/// The head's chain from the tree's root up, and below it as far as headers can be read: down to the oldest block of its
/// range of the extent, then from the newest of the range before.
fn canonical_chain(
    txn: &WriteTxn<'_>,
    view: &ForkChoice,
) -> Result<BTreeMap<Slot, Root>, ChainOpenError> {
    let mut chain: BTreeMap<_, _> =
        view.chain(&view.head()).map(|block| (block.slot, block.root)).collect();
    let root = view.tree_root();
    let mut at = SlotRoot::new(root.slot, root.root);
    let extent = readable(Extent::read(txn))?;
    let mut before: Vec<_> =
        extent.iter().flat_map(Extent::ranges).filter_map(|range| range.newest).collect();
    loop {
        match parent(txn, at) {
            Ok(Some(parent)) => at = parent,
            Ok(None) => match before.pop() {
                Some(newest) => at = newest,
                None => return Ok(chain),
            },
            Err(ChainOpenError::Read(ReadError::Damaged(_))) => return Ok(chain),
            Err(error) => return Err(error),
        }
        chain.insert(at.slot, at.root);
    }
}

/// Makes the rows of a table from `from` on those that are expected, and counts the rows that were not.
///
/// # Errors
/// A row that would go although it names a block whose header is gone: then the header was lost.
fn replace<T: Table<Value = Root>>(
    txn: &mut WriteTxn<'_>,
    from: T::Key,
    expected: &BTreeMap<T::Key, Root>,
    block: impl Fn(&T::Key, &Root) -> SlotRoot,
) -> Result<u64, ChainOpenError>
where
    T::Key: Ord,
{
    let stored: Vec<T::Key> = txn.scan_keys::<T>(from)?.collect::<Result<_, _>>()?;
    let mut changed = 0;
    for key in &stored {
        let value = readable(txn.get::<T>(key))?.flatten();
        if value.is_some() && value.as_ref() == expected.get(key) {
            continue;
        }
        if let Some(named) = value.map(|value| block(key, &value))
            && !txn.has::<Headers>(&named)?
            && block_store::header(txn, &named.root)?.is_none()
        {
            return Err(content::<Headers>(&named, "the header is lost").into());
        }
        if !expected.contains_key(key) {
            txn.delete::<T>(key)?;
        }
        changed += 1;
    }
    for (key, value) in expected {
        if readable(txn.get::<T>(key))?.flatten() != Some(*value) {
            changed += u64::from(!txn.has::<T>(key)?);
            txn.put::<T>(key, value)?;
        }
    }
    Ok(changed)
}

/// Every readable header's block in the slot index, written in the order of its keys.
pub(crate) fn rebuild_slots(txn: &mut WriteTxn<'_>) -> Result<u64, ReadError> {
    let mut wrong = Vec::new();
    for row in txn.scan::<Headers>(SlotRoot::first_of(0))? {
        // A damaged header below the live tree keeps nobody from starting; in it, it is named.
        let Some((key, _)) = readable(row)? else { continue };
        if readable(txn.get::<Slots>(&key.root))?.flatten() != Some(key.slot) {
            wrong.push(key);
        }
    }
    wrong.sort_unstable_by_key(|key| key.root);
    for key in &wrong {
        txn.put::<Slots>(&key.root, &key.slot)?;
    }
    Ok(wrong.len() as u64)
}

/// A read whose damage is as good as absence, since the row is about to be derived.
fn readable<T>(read: Result<T, ReadError>) -> Result<Option<T>, EngineError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ReadError::Damaged(_)) => Ok(None),
        Err(ReadError::Engine(error)) => Err(error),
    }
}
