//! What the old database says of itself, and whether it is one that there is a way from.

use std::time::{Duration, UNIX_EPOCH};

use lamella_block_store::{self as block_store, Extent, SignatureFloor};
use lamella_tables::{
    Bytes, Damage, Fault, Headers, Key as _, LockedView, Meta, MetaName, Read as _, ReadError,
    ReadTxn, SlotRoot, Table,
};
use lamella_types::{Checkpoint, Root, Slot};

use super::error::MigrateError;
use crate::{
    Identity, SCHEMA_VERSION,
    error::ChainOpenError,
    identity::{self, bad_row},
    meta::{self, ForkChoiceRow},
    recover,
    schema2::{self, Alone, LiveChain, OldForkChoice, OldIdentity},
};

/// How much a block may be ahead of the clock that the file was written by.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// What its rows of `Meta` say, and what those of schema 3 need besides.
pub(super) struct Old {
    pub(super) identity: OldIdentity,
    view: OldForkChoice,
    head_slot: Slot,
    tree_root: SlotRoot,
    extent: Extent,
}

/// Whether the database has today's schema. Any but that and schema 2 is refused.
pub(super) fn is_new(txn: &ReadTxn<'_>) -> Result<bool, MigrateError> {
    let row = identity::schema_row(txn)?.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
    let bad = || bad_row(&MetaName::new(identity::SCHEMA));
    let (version, constants) = row.split_first_chunk().ok_or_else(bad)?;
    match u32::from_be_bytes(*version) {
        SCHEMA_VERSION => Ok(true),
        schema2::VERSION => Ok(identity::check_layout(constants).map(|()| false)?),
        found if found > SCHEMA_VERSION => {
            Err(ChainOpenError::Newer { found, known: SCHEMA_VERSION }.into())
        }
        found => Err(MigrateError::Schema { found }),
    }
}

impl Old {
    pub(super) fn read(txn: &ReadTxn<'_>) -> Result<Self, MigrateError> {
        let identity = identity::old_row(txn)?;
        let name = MetaName::new(meta::FORK_CHOICE);
        let view = txn.get::<Meta>(&name)?.and_then(|Bytes(row)| OldForkChoice::decode(&row));
        let view = view.ok_or_else(|| bad_row(&name))?;
        let head_slot = slot_of(txn, &view.head)?.ok_or_else(|| bad_row(&name))?;
        let name = MetaName::new("signature_floor");
        let floor = match txn.get::<Meta>(&name)? {
            None => SignatureFloor::START,
            Some(Bytes(row)) => {
                let (key, finalized_slot) = schema2::floor(&row).ok_or_else(|| bad_row(&name))?;
                SignatureFloor { key, finalized_slot }
            }
        };
        let (first, header) = first_row::<Alone<Headers>>(txn, FIRST)?;
        // Its key is all that is asked of the row, and headers will show whether it is true.
        let tree_root = match first_row::<LiveChain>(txn, FIRST) {
            Err(ReadError::Damaged(damage)) => {
                SlotRoot::decode(&damage.key).ok_or(MigrateError::Damaged(damage))?
            }
            row => row?.0,
        };
        let mut extent = Extent::begin(first, header.parent_root);
        extent.set_floor(floor);
        Ok(Self { identity, view, head_slot, tree_root, extent })
    }

    /// The fork choice row of today.
    pub(super) fn fork_choice(&self) -> ForkChoiceRow {
        let OldForkChoice { head, safe_target, justified, finalized, time } = self.view;
        let tree_root = Checkpoint { root: self.tree_root.root, slot: self.tree_root.slot };
        ForkChoiceRow { tree_root, head, safe_target, justified, finalized, time }
    }

    pub(super) const fn extent(&self) -> &Extent {
        &self.extent
    }

    /// The identity of today.
    pub(super) fn identity(&self, slot_ms: u64) -> Identity {
        let OldIdentity { genesis_time, registry_root, proof_scheme } = self.identity.clone();
        Identity { genesis_time, registry_root, slot_ms, proof_scheme }
    }

    /// No block was stored before its slot: a slot length by which the head lies after the file's last change is wrong.
    /// A shorter one than the network's cannot be told.
    pub(super) fn check_slot_length(
        &self,
        old: &LockedView,
        slot_ms: u64,
    ) -> Result<(), MigrateError> {
        let written = old.last_written()?;
        let genesis = UNIX_EPOCH.checked_add(Duration::from_secs(self.identity.genesis_time));
        let since = genesis.and_then(|genesis| written.duration_since(genesis).ok());
        // A file that is older than its chain says nothing: its time was set by somebody.
        let Some(since) = since else { return Ok(()) };
        let head_slot = self.head_slot;
        let head = Duration::from_millis(head_slot.saturating_mul(slot_ms));
        match head.checked_sub(since) {
            Some(early) if early > CLOCK_SLACK => {
                let early_s = early.as_secs();
                Err(MigrateError::SlotLength { slot_ms, head_slot, early_s })
            }
            _ => Ok(()),
        }
    }

    /// The old live tree is what headers give from its root on: it may be all that is left of a lost block.
    pub(super) fn compare_live_tree(
        &self,
        old: &ReadTxn<'_>,
        new: &ReadTxn<'_>,
    ) -> Result<(), MigrateError> {
        let live = recover::live_blocks(new, self.tree_root)?;
        let mut live = live.into_iter().map(|(key, header)| (key, header.parent_root));
        let differs = |key: SlotRoot| {
            let fault = Fault::Content("headers give another live tree".to_owned());
            MigrateError::Damaged(Damage::new::<LiveChain>(key.encode(), fault))
        };
        for row in old.scan::<LiveChain>(FIRST)? {
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
}

/// The slot of a block: by the index, and where its row cannot be read, by the headers.
pub(super) fn slot_of(txn: &ReadTxn<'_>, root: &Root) -> Result<Option<Slot>, ReadError> {
    match block_store::slot(txn, root) {
        Err(ReadError::Damaged(_)) => {}
        slot => return slot,
    }
    for key in txn.scan_keys::<Alone<Headers>>(FIRST)? {
        let key = key?;
        if key.root == *root {
            return Ok(Some(key.slot));
        }
    }
    Ok(None)
}

const FIRST: SlotRoot = SlotRoot::first_of(0);

fn first_row<T: Table>(txn: &ReadTxn<'_>, start: T::Key) -> Result<(T::Key, T::Value), ReadError> {
    let row = txn.scan::<T>(start)?.next();
    row.unwrap_or_else(|| {
        Err(Damage::new::<T>([], Fault::Content("the table is empty".to_owned())).into())
    })
}
