//! What a database says of itself, and how another schema says it.
//!
//! The hard idea: a row of `Meta` goes along exactly if what the other schema makes of it can be read back to the same bytes. A
//! row that fails this, or whose name the other schema does not have, is named, and there is no way.

use std::time::{Duration, UNIX_EPOCH};

use lamella_block_store::{self as block_store, Extent, SignatureFloor};
use lamella_tables::{
    Bytes, Damage, DatabaseView, Fault, Headers, Key as _, Meta, MetaName, Read as _, ReadError,
    ReadTxn, SlotRoot, Table as _, WriteTxn,
};
use lamella_types::{Checkpoint, Root, Slot};

use super::{
    error::MigrateError,
    live,
    row::MIGRATION,
    side::{Schema, Side},
};
use crate::{
    Identity, SCHEMA_VERSION,
    error::ChainOpenError,
    identity::{self, bad_row},
    meta::{self, ForkChoiceRow},
    schema2::{self, FLOOR, OldForkChoice, OldIdentity},
};

/// How much a block may be ahead of the clock that the file was written by.
const CLOCK_SLACK: Duration = Duration::from_secs(10);

/// What the rows of `Meta` say, in today's terms.
pub(super) struct Said {
    pub(super) identity: Identity,
    fork_choice: ForkChoiceRow,
    extent: Extent,
    head_slot: Slot,
}

/// The schema of a database, if there is a way from it.
pub(super) fn schema(txn: &ReadTxn<'_>) -> Result<Schema, MigrateError> {
    let row = identity::schema_row(txn)?.ok_or(ChainOpenError::NoIdentity("it has no schema"))?;
    let bad = || bad_row(&MetaName::new(identity::SCHEMA));
    let (version, constants) = row.split_first_chunk().ok_or_else(bad)?;
    let found = u32::from_be_bytes(*version);
    if found > SCHEMA_VERSION {
        return Err(ChainOpenError::Newer { found, known: SCHEMA_VERSION }.into());
    }
    let schema = Schema::of(found).ok_or(MigrateError::Schema { found })?;
    identity::check_layout(constants)?;
    Ok(schema)
}

impl Said {
    /// What a database says. Its slots have `slot_ms`, unless it says that itself.
    pub(super) fn read(side: Side<'_, '_>, slot_ms: u64) -> Result<Self, MigrateError> {
        let (identity, fork_choice, extent) =
            if side.schema.is_today() { todays(side)? } else { olds(side, slot_ms)? };
        let head_slot = slot_of(side, &fork_choice.head)?
            .ok_or_else(|| bad_row(&MetaName::new(meta::FORK_CHOICE)))?;
        Ok(Self { identity, fork_choice, extent, head_slot })
    }

    /// Refuses rows that `to` cannot say.
    pub(super) fn check_sayable(&self, old: Side<'_, '_>, to: Schema) -> Result<(), MigrateError> {
        let refuse = |key: String, what| {
            Err(MigrateError::Unsayable { to: to.version(), table: Meta::NAME, key, what })
        };
        for row in old.txn.scan::<Meta>(MetaName::new(""))? {
            let (name, Bytes(bytes)) = row?;
            let text = name.to_string();
            let same = match text.as_str() {
                identity::SCHEMA | MIGRATION | meta::BLOCKS | FLOOR => true,
                identity::IDENTITY if old.schema.is_today() => self.identity.encode() == bytes,
                meta::FORK_CHOICE if old.schema.is_today() => self.fork_choice.encode() == bytes,
                identity::IDENTITY | meta::FORK_CHOICE => true,
                Extent::NAME => to.is_today() || self.is_plain(old, &bytes)?,
                _ => return refuse(text, "it has no such row"),
            };
            if !same {
                return refuse(text, "it says more than there is room for");
            }
        }
        Ok(())
    }

    /// Whether an extent says no more than that blocks, states and proofs are here from the oldest block on, but for
    /// proofs that were pruned.
    fn is_plain(&self, old: Side<'_, '_>, bytes: &[u8]) -> Result<bool, ReadError> {
        let (first, parent_root) = first_block(old)?;
        let mut plain = Extent::begin(first, parent_root);
        plain.set_floor(self.extent.newest().proofs);
        Ok(plain.encode() == bytes)
    }

    /// Writes the rows, all but the schema's.
    pub(super) fn put(&self, new: &mut WriteTxn<'_>, to: Schema) -> Result<(), ReadError> {
        if to.is_today() {
            self.identity.put_row(new)?;
            self.extent.put(new)?;
            return self.fork_choice.put(new);
        }
        let Identity { genesis_time, registry_root, proof_scheme, .. } = self.identity.clone();
        let identity = OldIdentity { genesis_time, registry_root, proof_scheme };
        let ForkChoiceRow { head, safe_target, justified, finalized, time, .. } = self.fork_choice;
        let view = OldForkChoice { head, safe_target, justified, finalized, time };
        let mut put = |name, bytes| new.put::<Meta>(&MetaName::new(name), &Bytes(bytes));
        put(identity::IDENTITY, identity.encode())?;
        put(meta::FORK_CHOICE, view.encode())?;
        let SignatureFloor { key, finalized_slot } = self.extent.newest().proofs;
        if self.extent.newest().proofs != SignatureFloor::START {
            put(FLOOR, [&key.encode()[..], &finalized_slot.to_be_bytes()].concat())?;
        }
        Ok(())
    }

    /// No block was stored before its slot: a slot length by which the head lies after the file's last change is wrong.
    /// A shorter one than the network's cannot be told.
    pub(super) fn check_slot_length(&self, old: &DatabaseView) -> Result<(), MigrateError> {
        let Identity { genesis_time, slot_ms, .. } = self.identity;
        let written = old.last_written()?;
        let genesis = UNIX_EPOCH.checked_add(Duration::from_secs(genesis_time));
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
}

fn todays(side: Side<'_, '_>) -> Result<(Identity, ForkChoiceRow, Extent), MigrateError> {
    let view = ForkChoiceRow::read(side.txn)?;
    let view = view.ok_or_else(|| bad_row(&MetaName::new(meta::FORK_CHOICE)))?;
    Ok((Identity::read_row(side.txn)?, view, Extent::read(side.txn)?))
}

fn olds(
    side: Side<'_, '_>,
    slot_ms: u64,
) -> Result<(Identity, ForkChoiceRow, Extent), MigrateError> {
    let OldIdentity { genesis_time, registry_root, proof_scheme } = identity::old_row(side.txn)?;
    let identity = Identity { genesis_time, registry_root, slot_ms, proof_scheme };
    let name = MetaName::new(meta::FORK_CHOICE);
    let view = side.txn.get::<Meta>(&name)?.and_then(|Bytes(row)| OldForkChoice::decode(&row));
    let OldForkChoice { head, safe_target, justified, finalized, time } =
        view.ok_or_else(|| bad_row(&name))?;
    let name = MetaName::new(FLOOR);
    let floor = match side.txn.get::<Meta>(&name)? {
        None => SignatureFloor::START,
        Some(Bytes(row)) => {
            let (key, finalized_slot) = schema2::floor(&row).ok_or_else(|| bad_row(&name))?;
            SignatureFloor { key, finalized_slot }
        }
    };
    let (first, parent_root) = first_block(side)?;
    let mut extent = Extent::begin(first, parent_root);
    extent.set_floor(floor);
    let root = live::root(side)?;
    let tree_root = Checkpoint { root: root.root, slot: root.slot };
    let view = ForkChoiceRow { tree_root, head, safe_target, justified, finalized, time };
    Ok((identity, view, extent))
}

/// The oldest block, and its parent.
fn first_block(side: Side<'_, '_>) -> Result<(SlotRoot, Root), ReadError> {
    let row = side.scan::<Headers>(FIRST)?.next().unwrap_or_else(|| {
        Err(Damage::new::<Headers>([], Fault::Content("the table is empty".to_owned())).into())
    });
    row.map(|(key, header)| (key, header.parent_root))
}

/// The slot of a block: by the index, and where its row cannot be read, by the headers.
pub(super) fn slot_of(side: Side<'_, '_>, root: &Root) -> Result<Option<Slot>, ReadError> {
    match block_store::slot(side.txn, root) {
        Err(ReadError::Damaged(_)) => {}
        slot => return slot,
    }
    for key in side.scan_keys::<Headers>(FIRST)? {
        let key = key?;
        if key.root == *root {
            return Ok(Some(key.slot));
        }
    }
    Ok(None)
}

const FIRST: SlotRoot = SlotRoot::first_of(0);
