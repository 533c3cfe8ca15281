//! What becomes of a row of each table.

use lamella_tables::{
    Anchors, Bodies, Bytes, Canonical, Diffs, DutyKey, EngineError, Headers, History, Key as _,
    KeyKind, ReadError, Registries, Row, SegmentKey, SignGuard, Signatures, SlotRoot, Slots, Table,
    Value as _, Votes, WriteTxn,
};
use lamella_types::{BlockHeader, Root, Slot};

use super::{
    diffs,
    error::MigrateError,
    live,
    side::{Rows, Schema, Side},
};
use crate::{
    schema2::{self, LiveChain},
    vote_rows,
};

/// What becomes of a row.
pub(super) type Carried<T> = Result<Option<(<T as Table>::Key, <T as Table>::Value)>, MigrateError>;

/// A table that is moved.
pub(super) trait Carry: Table + 'static {
    /// The least key.
    const FIRST: Self::Key;

    /// The rows of a side from a key on, with the bytes that its schema gives them.
    fn rows<'t>(side: Side<'t, '_>, start: Self::Key) -> Result<Rows<'t, Self>, ReadError>
    where
        Self: Sized,
    {
        Ok(side.scan::<Self>(start)?)
    }

    /// What is to stand in the new table for a row of the old one; `None` for nothing.
    fn carry(_old: Side<'_, '_>, _to: Schema, row: Row<Self>) -> Carried<Self>
    where
        Self: Sized,
    {
        Ok(row.map(Some)?)
    }

    /// Writes a row and what moves with it, and counts the bytes.
    fn put(
        _old: Side<'_, '_>,
        to: Schema,
        new: &mut WriteTxn<'_>,
        key: &Self::Key,
        value: &Self::Value,
    ) -> Result<usize, MigrateError>
    where
        Self: Sized,
    {
        to.put::<Self>(new, key, value)?;
        Ok(value.encode().len())
    }

    /// Whether the row of this key has the block that it is of.
    fn has_block(_old: Side<'_, '_>, _key: &Self::Key) -> Result<bool, EngineError> {
        Ok(true)
    }
}

const FIRST_BLOCK: SlotRoot = SlotRoot::first_of(0);

impl Carry for Registries {
    const FIRST: Root = Root::ZERO;
}

impl Carry for History {
    const FIRST: SegmentKey = SegmentKey { index: 0, root: Root::ZERO };
}

impl Carry for Anchors {
    const FIRST: SlotRoot = FIRST_BLOCK;
}

impl Carry for Slots {
    const FIRST: Root = Root::ZERO;

    fn carry(_old: Side<'_, '_>, to: Schema, row: Row<Self>) -> Carried<Self> {
        unless_derived::<Self>(to, row)
    }
}

impl Carry for Canonical {
    const FIRST: Slot = 0;

    fn carry(_old: Side<'_, '_>, to: Schema, row: Row<Self>) -> Carried<Self> {
        unless_derived::<Self>(to, row)
    }
}

/// A row that cannot be read follows from headers. What is migrated to today's schema derives it in the end.
fn unless_derived<T: Table>(to: Schema, row: Row<T>) -> Carried<T> {
    match row {
        Err(ReadError::Damaged(_)) if to.is_today() => Ok(None),
        row => Ok(row.map(Some)?),
    }
}

impl Carry for Headers {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn put(
        old: Side<'_, '_>,
        to: Schema,
        new: &mut WriteTxn<'_>,
        key: &SlotRoot,
        header: &BlockHeader,
    ) -> Result<usize, MigrateError> {
        let mut bytes = header.encode().len();
        to.put::<Self>(new, key, header)?;
        if let Some(body) = old.body(key)? {
            to.put_body(new, key, &body)?;
            bytes += body.encode().len();
        }
        if let Some(Bytes(proof)) = old.get::<Signatures>(key)? {
            to.put_slice::<Signatures>(new, key, &proof)?;
            bytes += proof.len();
        }
        if let Some(Bytes(diff)) = old.get::<Diffs>(key)? {
            let diff = diffs::carry(old, to, key, header, &diff)?;
            to.put_slice::<Diffs>(new, key, &diff)?;
            bytes += diff.len();
        }
        Ok(bytes)
    }
}

impl Carry for Bodies {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn rows<'t>(side: Side<'t, '_>, start: SlotRoot) -> Result<Rows<'t, Self>, ReadError> {
        Ok(side.bodies(start)?)
    }

    fn has_block(old: Side<'_, '_>, key: &SlotRoot) -> Result<bool, EngineError> {
        old.has::<Headers>(key)
    }
}

impl Carry for Signatures {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn has_block(old: Side<'_, '_>, key: &SlotRoot) -> Result<bool, EngineError> {
        old.has::<Headers>(key)
    }
}

impl Carry for Diffs {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn carry(old: Side<'_, '_>, to: Schema, row: Row<Self>) -> Carried<Self> {
        let (key, Bytes(diff)) = row?;
        let header = old.get::<Headers>(&key)?;
        let carried =
            header.map_or(Ok(Vec::new()), |header| diffs::carry(old, to, &key, &header, &diff));
        Ok(Some((key, Bytes(carried?))))
    }

    fn has_block(old: Side<'_, '_>, key: &SlotRoot) -> Result<bool, EngineError> {
        old.has::<Headers>(key)
    }
}

impl Carry for Votes {
    const FIRST: SlotRoot = FIRST_BLOCK;

    /// A vote that cannot be read costs that vote: it comes again by gossip. Of today's databases it is a finding, as any.
    fn carry(old: Side<'_, '_>, to: Schema, row: Row<Self>) -> Carried<Self> {
        let format: &[u8] = if old.schema.is_today() { &[] } else { &[vote_rows::FORMAT] };
        let checked = row.and_then(|(key, Bytes(stored))| {
            let bytes = [format, &stored[..]].concat();
            vote_rows::check(&key, &bytes).map(|_| (key, bytes))
        });
        let (key, bytes) = match checked {
            Err(ReadError::Damaged(_)) if !old.schema.is_today() => return Ok(None),
            checked => checked?,
        };
        if to.is_today() {
            return Ok(Some((key, Bytes(bytes))));
        }
        let old_bytes = &bytes[1..];
        if schema2::vote(old_bytes).is_none() {
            let (key, what) = (key.to_string(), "it says more than there is room for");
            return Err(MigrateError::Unsayable { to: to.version(), table: Self::NAME, key, what });
        }
        Ok(Some((key, Bytes(old_bytes.to_vec()))))
    }
}

impl Carry for SignGuard {
    const FIRST: DutyKey = DutyKey { validator_index: 0, kind: KeyKind::Attestation };

    /// What a damaged guard's key has signed is not known: it signs no more (G1). Of today's databases it is a finding.
    fn carry(old: Side<'_, '_>, _to: Schema, row: Row<Self>) -> Carried<Self> {
        match row {
            Err(ReadError::Damaged(damage)) if !old.schema.is_today() => {
                match DutyKey::decode(&damage.key) {
                    Some(key) => Ok(Some((key, Slot::MAX))),
                    None => Err(MigrateError::Damaged(damage)),
                }
            }
            row => Ok(row.map(Some)?),
        }
    }
}

impl Carry for LiveChain {
    const FIRST: SlotRoot = FIRST_BLOCK;

    /// Today's databases have no such table: what it would say follows from their headers.
    fn rows<'t>(side: Side<'t, '_>, start: SlotRoot) -> Result<Rows<'t, Self>, ReadError> {
        if !side.schema.is_today() {
            return Ok(side.scan::<Self>(start)?);
        }
        let live = live::of_headers(side, live::root(side)?)?;
        Ok(Box::new(live.into_iter().skip_while(move |(key, _)| *key < start).map(Ok)))
    }
}
