//! The live tree: a table of its own before schema 3, which follows from headers and the root that a row of `Meta` names.

use std::collections::HashSet;

use lamella_tables::{Damage, Fault, Headers, Key as _, MetaName, Read as _, ReadError, SlotRoot};
use lamella_types::Root;

use super::{error::MigrateError, side::Side};
use crate::{
    identity::bad_row,
    meta::{self, ForkChoiceRow},
    recover,
    schema2::LiveChain,
};

const FIRST: SlotRoot = SlotRoot::first_of(0);

/// Root of the live tree.
pub(super) fn root(side: Side<'_, '_>) -> Result<SlotRoot, ReadError> {
    if side.schema.is_today() {
        let row = ForkChoiceRow::read(side.txn)?;
        let row = row.ok_or_else(|| bad_row(&MetaName::new(meta::FORK_CHOICE)))?;
        return Ok(SlotRoot::new(row.tree_root.slot, row.tree_root.root));
    }
    match side.txn.scan::<LiveChain>(FIRST)?.next() {
        None => {
            Err(Damage::new::<LiveChain>([], Fault::Content("the table is empty".to_owned()))
                .into())
        }
        // Its key is all that is asked of the row, and headers will show whether it is true.
        Some(Err(ReadError::Damaged(damage))) => {
            SlotRoot::decode(&damage.key).ok_or(ReadError::Damaged(damage))
        }
        Some(row) => row.map(|(key, _)| key),
    }
}

/// The live tree with each block's parent, as headers give it.
pub(super) fn of_headers(
    side: Side<'_, '_>,
    root: SlotRoot,
) -> Result<Vec<(SlotRoot, Root)>, ReadError> {
    if side.schema.is_today() {
        let live = recover::live_blocks(side.txn, root)?;
        return Ok(live.into_iter().map(|(key, header)| (key, header.parent_root)).collect());
    }
    let (mut live, mut roots) = (Vec::new(), HashSet::new());
    for row in side.scan::<Headers>(root)? {
        let (key, header) = row?;
        if key == root || roots.contains(&header.parent_root) {
            roots.insert(key.root);
            live.push((key, header.parent_root));
        }
    }
    Ok(live)
}

/// The table of an old database is what headers give from its root on: it may be all that is left of a lost block.
pub(super) fn compare(old: Side<'_, '_>, new: Side<'_, '_>) -> Result<(), MigrateError> {
    let mut live = of_headers(new, root(old)?)?.into_iter();
    let differs = |key: SlotRoot| {
        let fault = Fault::Content("headers give another live tree".to_owned());
        MigrateError::Damaged(Damage::new::<LiveChain>(key.encode(), fault))
    };
    for row in old.txn.scan::<LiveChain>(FIRST)? {
        let (key, parent_root) = match row {
            // What it said follows from the header; its key says which.
            Err(ReadError::Damaged(damage)) => {
                (SlotRoot::decode(&damage.key).ok_or(MigrateError::Damaged(damage))?, None)
            }
            row => row.map(|(key, parent_root)| (key, Some(parent_root)))?,
        };
        let same = |(at, parent): (SlotRoot, Root)| {
            at == key && parent_root.is_none_or(|root| root == parent)
        };
        if !live.next().is_some_and(same) {
            return Err(differs(key));
        }
    }
    live.next().map_or(Ok(()), |(key, _)| Err(differs(key)))
}
