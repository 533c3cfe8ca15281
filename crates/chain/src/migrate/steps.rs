//! The tables that are moved, in their order, and what becomes of a row.
//!
//! Each is moved in the order of its keys, so that every write is an append. The parts of a block, which lay in four trees
//! and lie in one now, move together.

use std::path::Path;

use lamella_tables::{
    Anchors, Bodies, Bytes, Canonical, Damage, Diffs, DutyKey, Fault, Headers, History, Key as _,
    KeyKind, Read as _, ReadError, ReadTxn, Registries, Row, SegmentKey, SignGuard, Signatures,
    SlotRoot, Slots, Table, Value as _, Votes, WriteTxn,
};
use lamella_types::{BlockHeader, Root, Slot};

use super::{diffs, error::MigrateError};
use crate::{schema2::Alone, vote_rows};

/// Bytes that one commit moves, and the parts of a block more: a kill costs no more than that to be moved again.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// A table on its way.
pub(super) struct Step {
    pub(super) table: &'static str,
    /// Moves rows behind a key, as many as a commit may.
    pub(super) copy: fn(&ReadTxn<'_>, &mut WriteTxn<'_>, &[u8], usize) -> Copied,
    /// Key of the last row that was moved.
    pub(super) last: fn(&ReadTxn<'_>) -> Result<Option<Vec<u8>>, ReadError>,
    /// Rows that the old table has, and the new one.
    pub(super) counts: Counts,
}

/// Counts the rows of a table in both databases.
pub(super) type Counts = fn(&ReadTxn<'_>, &ReadTxn<'_>) -> Result<(u64, u64), ReadError>;

/// What one commit moves.
pub(super) type Copied = Result<Chunk, MigrateError>;

/// What one commit moved.
#[derive(Debug, Default)]
pub(super) struct Chunk {
    pub(super) rows: u64,
    /// Key of the last one; `None` if there was none.
    pub(super) last: Option<Vec<u8>>,
    /// Whether that is all of the table.
    pub(super) is_end: bool,
}

/// Every step: Blocks as Headers, with the other parts.
pub(super) const STEPS: [Step; 8] = [
    step::<Registries>(),
    step::<History>(),
    step::<Anchors>(),
    step::<Headers>(),
    step::<Slots>(),
    step::<Canonical>(),
    step::<Votes>(),
    step::<SignGuard>(),
];

/// Compares a table of both databases row by row.
pub(super) type Compare = fn(&ReadTxn<'_>, &ReadTxn<'_>, &Path) -> Result<Compared, MigrateError>;

/// Every table but `Meta`, to be compared.
pub(super) const COMPARE: [(&str, Compare); 11] = [
    (Registries::NAME, compare::<Registries>),
    (History::NAME, compare::<History>),
    (Anchors::NAME, compare::<Anchors>),
    (Headers::NAME, compare::<Headers>),
    (Bodies::NAME, compare::<Bodies>),
    (Signatures::NAME, compare::<Signatures>),
    (Diffs::NAME, compare::<Diffs>),
    (Slots::NAME, compare::<Slots>),
    (Canonical::NAME, compare::<Canonical>),
    (Votes::NAME, compare::<Votes>),
    (SignGuard::NAME, compare::<SignGuard>),
];

/// What a comparison of two equal tables counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) rows: u64,
    /// Rows that could not be read and are not there any more (votes) or say something safe (guards).
    pub(super) replaced: u64,
}

/// What becomes of a row.
type Carried<T> = Result<Option<(<T as Table>::Key, <T as Table>::Value)>, ReadError>;

/// A table that is moved.
trait Carry: Table {
    /// The least key.
    const FIRST: Self::Key;

    /// What is to stand in the new table for a row of the old one; `None` for nothing.
    fn carry(_old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self>
    where
        Self: Sized,
    {
        row.map(Some)
    }

    /// Writes a row and what moves with it, and counts the bytes.
    fn put(
        _old: &ReadTxn<'_>,
        new: &mut WriteTxn<'_>,
        key: &Self::Key,
        value: &Self::Value,
    ) -> Result<usize, ReadError>
    where
        Self: Sized,
    {
        new.put::<Self>(key, value)?;
        Ok(value.encode().len())
    }

    /// Whether the row of this key has the block that it is of.
    fn has_block(_old: &ReadTxn<'_>, _key: &Self::Key) -> Result<bool, ReadError> {
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

    fn carry(_old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self> {
        unless_damaged::<Self>(row)
    }
}

impl Carry for Canonical {
    const FIRST: Slot = 0;

    fn carry(_old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self> {
        unless_damaged::<Self>(row)
    }
}

/// A row that cannot be read follows from headers, and is derived in the end.
fn unless_damaged<T: Table>(row: Row<Alone<T>>) -> Carried<T> {
    match row {
        Err(ReadError::Damaged(_)) => Ok(None),
        row => row.map(Some),
    }
}

/// Rows of the old indexes that cannot be read.
pub(super) fn damaged_indexes(old: &ReadTxn<'_>) -> Result<Vec<Damage>, ReadError> {
    fn of<T: Carry>(old: &ReadTxn<'_>, found: &mut Vec<Damage>) -> Result<(), ReadError> {
        for row in old.scan::<Alone<T>>(T::FIRST)? {
            match row {
                Ok(_) => {}
                Err(ReadError::Damaged(damage)) => found.push(damage),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
    let mut found = Vec::new();
    of::<Slots>(old, &mut found)?;
    of::<Canonical>(old, &mut found)?;
    Ok(found)
}

fn is_there<T: Table>(new: &ReadTxn<'_>, key: &[u8]) -> Result<bool, ReadError> {
    Ok(T::Key::decode(key).map_or(Ok(false), |key| new.has::<T>(&key))?)
}

/// Whether the new index has a row where the old one had this. Where it has none, the old row may be all that is left of
/// a block.
pub(super) fn is_derived(new: &ReadTxn<'_>, damage: &Damage) -> Result<bool, ReadError> {
    Ok(match damage.table {
        Slots::NAME => is_there::<Slots>(new, &damage.key)?,
        _ => is_there::<Canonical>(new, &damage.key)?,
    })
}

impl Carry for Headers {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn put(
        old: &ReadTxn<'_>,
        new: &mut WriteTxn<'_>,
        key: &SlotRoot,
        header: &BlockHeader,
    ) -> Result<usize, ReadError> {
        let mut bytes = header.encode().len();
        new.put::<Self>(key, header)?;
        if let Some(body) = old.get::<Alone<Bodies>>(key)? {
            new.put::<Bodies>(key, &body)?;
            bytes += body.encode().len();
        }
        if let Some(Bytes(proof)) = old.get::<Alone<Signatures>>(key)? {
            new.put_slice::<Signatures>(key, &proof)?;
            bytes += proof.len();
        }
        if let Some(Bytes(diff)) = old.get::<Alone<Diffs>>(key)? {
            let diff = diffs::carry(old, key, header, &diff)?;
            new.put_slice::<Diffs>(key, &diff)?;
            bytes += diff.len();
        }
        Ok(bytes)
    }
}

macro_rules! part_of_a_block {
    ($($part:ident),+) => {$(
        impl Carry for $part {
            const FIRST: SlotRoot = FIRST_BLOCK;

            fn has_block(old: &ReadTxn<'_>, key: &SlotRoot) -> Result<bool, ReadError> {
                Ok(old.has::<Alone<Headers>>(key)?)
            }
        }
    )+};
}

part_of_a_block!(Bodies, Signatures);

impl Carry for Diffs {
    const FIRST: SlotRoot = FIRST_BLOCK;

    fn carry(old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self> {
        let (key, Bytes(diff)) = row?;
        let header = old.get::<Alone<Headers>>(&key)?;
        let carried =
            header.map_or(Ok(Vec::new()), |header| diffs::carry(old, &key, &header, &diff));
        Ok(Some((key, Bytes(carried?))))
    }

    fn has_block(old: &ReadTxn<'_>, key: &SlotRoot) -> Result<bool, ReadError> {
        Ok(old.has::<Alone<Headers>>(key)?)
    }
}

impl Carry for Votes {
    const FIRST: SlotRoot = FIRST_BLOCK;

    /// A vote that cannot be read costs that vote: it comes again by gossip.
    fn carry(_old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self> {
        let row = row.and_then(|(key, Bytes(old))| {
            let bytes = [&[vote_rows::FORMAT], &old[..]].concat();
            vote_rows::check(&key, &bytes).map(|_| Some((key, Bytes(bytes))))
        });
        match row {
            Err(ReadError::Damaged(_)) => Ok(None),
            row => row,
        }
    }
}

impl Carry for SignGuard {
    const FIRST: DutyKey = DutyKey { validator_index: 0, kind: KeyKind::Attestation };

    /// What a damaged guard's key has signed is not known: it signs no more (G1).
    fn carry(_old: &ReadTxn<'_>, row: Row<Alone<Self>>) -> Carried<Self> {
        match row {
            Err(ReadError::Damaged(damage)) => match DutyKey::decode(&damage.key) {
                Some(key) => Ok(Some((key, Slot::MAX))),
                None => Err(damage.into()),
            },
            row => row.map(Some),
        }
    }
}

const fn step<T: Carry>() -> Step {
    Step { table: T::NAME, copy: copy::<T>, last: last::<T>, counts: counts::<T> }
}

fn copy<T: Carry>(
    old: &ReadTxn<'_>,
    new: &mut WriteTxn<'_>,
    after: &[u8],
    rows_max: usize,
) -> Copied {
    let after = T::Key::decode(after);
    let start = after.clone().unwrap_or(T::FIRST);
    let (mut chunk, mut bytes) = (Chunk::default(), 0);
    for row in old.scan::<Alone<T>>(start)? {
        let Some((key, value)) = T::carry(old, row)? else { continue };
        if after.as_ref() == Some(&key) {
            continue;
        }
        if chunk.rows >= rows_max as u64 || bytes >= COMMIT_BYTES_MAX {
            return Ok(chunk);
        }
        bytes += T::put(old, new, &key, &value)?;
        chunk.rows += 1;
        chunk.last = Some(key.encode());
    }
    Ok(Chunk { is_end: true, ..chunk })
}

fn last<T: Table>(new: &ReadTxn<'_>) -> Result<Option<Vec<u8>>, ReadError> {
    Ok(new.last::<T>()?.transpose()?.map(|(key, _)| key.encode()))
}

fn counts<T: Carry>(old: &ReadTxn<'_>, new: &ReadTxn<'_>) -> Result<(u64, u64), ReadError> {
    let old = old.scan_keys::<Alone<T>>(T::FIRST)?.count();
    let new = new.scan_keys::<T>(T::FIRST)?.count();
    Ok((old as u64, new as u64))
}

fn compare<T: Carry>(
    old: &ReadTxn<'_>,
    new: &ReadTxn<'_>,
    path: &Path,
) -> Result<Compared, MigrateError> {
    let mut compared = Compared::default();
    let differs = |key: &T::Key| MigrateError::Differs {
        table: T::NAME,
        key: key.to_string(),
        path: path.to_owned(),
    };
    let mut ours = new.scan::<T>(T::FIRST)?.map(|row| row.map_err(|error| of_new(error, path)));
    for row in old.scan::<Alone<T>>(T::FIRST)? {
        let is_damaged = row.is_err();
        let carried = T::carry(old, row)?;
        compared.replaced += u64::from(is_damaged || carried.is_none());
        let Some((key, value)) = carried else { continue };
        match ours.next().transpose()? {
            Some((our_key, our_value))
                if our_key == key && our_value.encode() == value.encode() =>
            {
                compared.rows += 1;
            }
            _ if !T::has_block(old, &key)? => {
                let fault = Fault::Content("its block has no header".to_owned());
                return Err(MigrateError::Damaged(Damage::new::<T>(key.encode(), fault)));
            }
            _ => return Err(differs(&key)),
        }
    }
    match ours.next().transpose()? {
        None => Ok(compared),
        Some((key, _)) => Err(differs(&key)),
    }
}

/// What an unreadable row of the new database means: it is not what was written.
pub(super) fn of_new(error: ReadError, path: &Path) -> MigrateError {
    match error {
        ReadError::Damaged(damage) => MigrateError::Differs {
            table: damage.table,
            key: damage.key_text(),
            path: path.to_owned(),
        },
        ReadError::Engine(error) => MigrateError::Engine(error),
    }
}
