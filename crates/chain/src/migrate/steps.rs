//! The tables that are moved, in their order: a commit's worth of rows, and all of them looked at or compared.
//!
//! Each is moved in the order of its keys, so that every write is an append. The parts of a block move together: their
//! trees are four in one schema and two in the other, and grow at their ends in both.

use std::path::Path;

use lamella_tables::{
    Anchors, Bodies, Canonical, Damage, Diffs, Fault, Headers, History, Key as _, Read as _,
    ReadError, ReadTxn, Registries, SignGuard, Signatures, Slots, Table, Value as _, Votes,
    WriteTxn,
};

use super::{
    carry::Carry,
    error::MigrateError,
    of_new,
    side::{Schema, Side},
};
use crate::schema2::LiveChain;

/// Bytes that one commit moves, and the parts of a block more: a kill costs no more than that to be moved again.
const COMMIT_BYTES_MAX: usize = 8 << 20;

/// A table on its way.
pub(super) struct Step {
    pub(super) table: &'static str,
    /// Moves rows behind a key, as many as a commit may.
    pub(super) copy: fn(Side<'_, '_>, Schema, &mut WriteTxn<'_>, &[u8], usize) -> Copied,
    /// Key of the last row that was moved.
    pub(super) last: fn(Side<'_, '_>) -> Result<Option<Vec<u8>>, ReadError>,
    /// Rows of a database.
    pub(super) count: fn(Side<'_, '_>) -> Result<u64, ReadError>,
}

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
const STEPS: &[Step] = &[
    step::<Registries>(),
    step::<History>(),
    step::<Anchors>(),
    step::<Headers>(),
    step::<Slots>(),
    step::<Canonical>(),
    step::<Votes>(),
    step::<SignGuard>(),
    step::<LiveChain>(),
];

/// The steps of a migration to this schema: today's has no table of the live tree.
pub(super) fn steps(to: Schema) -> &'static [Step] {
    &STEPS[..STEPS.len() - usize::from(to.is_today())]
}

/// A table of both databases, to be looked at whole.
pub(super) struct Tables {
    pub(super) table: &'static str,
    /// Compares it row by row.
    pub(super) compare: fn(Side<'_, '_>, Side<'_, '_>, &Path) -> Result<Compared, MigrateError>,
    /// Counts the rows that would go along, each looked at.
    pub(super) look: fn(Side<'_, '_>, Schema) -> Result<Compared, MigrateError>,
}

/// Every table but `Meta`.
const TABLES: &[Tables] = &[
    tables::<Registries>(),
    tables::<History>(),
    tables::<Anchors>(),
    tables::<Headers>(),
    tables::<Bodies>(),
    tables::<Signatures>(),
    tables::<Diffs>(),
    tables::<Slots>(),
    tables::<Canonical>(),
    tables::<Votes>(),
    tables::<SignGuard>(),
    tables::<LiveChain>(),
];

/// The tables of a migration to this schema.
pub(super) fn all(to: Schema) -> &'static [Tables] {
    &TABLES[..TABLES.len() - usize::from(to.is_today())]
}

/// What two equal tables have, or one that was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Compared {
    pub(super) rows: u64,
    /// Rows that could not be read and are not there any more (votes) or say something safe (guards).
    pub(super) replaced: u64,
}

const fn step<T: Carry>() -> Step {
    Step { table: T::NAME, copy: copy::<T>, last: last::<T>, count: count::<T> }
}

const fn tables<T: Carry>() -> Tables {
    Tables { table: T::NAME, compare: compare::<T>, look: look::<T> }
}

fn copy<T: Carry>(
    old: Side<'_, '_>,
    to: Schema,
    new: &mut WriteTxn<'_>,
    after: &[u8],
    rows_max: usize,
) -> Copied {
    let after = T::Key::decode(after);
    let start = after.clone().unwrap_or(T::FIRST);
    let (mut chunk, mut bytes) = (Chunk::default(), 0);
    for row in T::rows(old, start)? {
        let Some((key, value)) = T::carry(old, to, row)? else { continue };
        if after.as_ref() == Some(&key) {
            continue;
        }
        if chunk.rows >= rows_max as u64 || bytes >= COMMIT_BYTES_MAX {
            return Ok(chunk);
        }
        bytes += T::put(old, to, new, &key, &value)?;
        chunk.rows += 1;
        chunk.last = Some(key.encode());
    }
    Ok(Chunk { is_end: true, ..chunk })
}

fn last<T: Table>(new: Side<'_, '_>) -> Result<Option<Vec<u8>>, ReadError> {
    Ok(new.last::<T>()?.transpose()?.map(|(key, _)| key.encode()))
}

fn count<T: Carry>(side: Side<'_, '_>) -> Result<u64, ReadError> {
    Ok(side.scan_keys::<T>(T::FIRST)?.count() as u64)
}

/// Counts the rows of a table that would go along, and says which cannot.
pub(super) fn look<T: Carry>(old: Side<'_, '_>, to: Schema) -> Result<Compared, MigrateError> {
    let mut looked = Compared::default();
    for row in T::rows(old, T::FIRST)? {
        let is_damaged = row.is_err();
        let carried = T::carry(old, to, row)?;
        looked.replaced += u64::from(is_damaged || carried.is_none());
        looked.rows += u64::from(carried.is_some());
    }
    Ok(looked)
}

fn compare<T: Carry>(
    old: Side<'_, '_>,
    new: Side<'_, '_>,
    path: &Path,
) -> Result<Compared, MigrateError> {
    let mut compared = Compared::default();
    let differs = |key: &T::Key| MigrateError::Differs {
        table: T::NAME,
        key: key.to_string(),
        path: path.to_owned(),
    };
    let mut ours = T::rows(new, T::FIRST)?.map(|row| row.map_err(|error| of_new(error, path)));
    for row in T::rows(old, T::FIRST)? {
        let is_damaged = row.is_err();
        let carried = T::carry(old, new.schema, row)?;
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

/// Rows of the old indexes that cannot be read.
pub(super) fn damaged_indexes(old: Side<'_, '_>) -> Result<Vec<Damage>, ReadError> {
    fn of<T: Carry>(old: Side<'_, '_>, found: &mut Vec<Damage>) -> Result<(), ReadError> {
        for row in T::rows(old, T::FIRST)? {
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
