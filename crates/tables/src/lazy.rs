//! Room for lazy commits, so that the engine never makes a checkpoint by itself.
//!
//! Where a lazy write transaction finds no page to reuse and the file's end is near, the engine makes the commit before it
//! a *checkpoint*: it flushes the pages, writes a meta page that says so, and then reuses the pages that only the checkpoint
//! before needs. That meta page it does not flush, and it may do so within a commit. If a power cut keeps a page that
//! was reused and loses the meta page, the next start goes back to a checkpoint whose pages are no longer its own, and nothing of
//! the database can be read, the sign guard included.
//!
//! It does none of this while the file has room, nor right after a flush that was asked for, which covers the meta page
//! too. So a transaction begins with room for all that it may write, or right after such a flush; and then it makes room
//! for those after it. Pages are reused once a flush has passed since they were freed: with one flush for every
//! [`UNFLUSHED_BYTES_MAX`] that are written, what one stretch frees the next one takes, and the room at the end stays.
//! Free pages are no room themselves: whether a large value finds enough of them side by side only the engine knows.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use libmdbx::{Database, Error, NoWriteMap, RW, Transaction, WriteFlags};

use crate::schema::{Meta, Table as _};

/// Free bytes at the end of the file with which a transaction without proofs begins: 7,000 votes written at once, of the
/// 9,216 that there can be and the handful that a slot brings. An import of a small block writes some 60 KB.
const ROOM_BYTES: u64 = 8 << 20;

/// Bytes of pages that a byte of values comes to, at most: a large value fills its pages but the last.
const WRITTEN_PER_BYTE: u64 = 2;

/// Bytes written after which the next transaction begins with a flush, as a rule: what a power cut takes, and what the file has
/// of free pages that wait for one. Each of them makes a commit wait, for longer the more there is to flush.
pub(crate) const UNFLUSHED_BYTES_MAX: u64 = 4 << 20;

/// Bytes of pages that a commit is reckoned to write beside its rows: the path to them in each tree.
const COMMIT_BYTES: u64 = 64 << 10;

/// Bytes of pages that a row is reckoned to take beside its own: half a page, since rows of one transaction share some.
const ROW_BYTES: u64 = 2 << 10;

/// Transactions between two attempts to make room. One is in vain where as many free pages lie side by side, and reads
/// the list of all free pages to find that out.
const ATTEMPT_TRANSACTIONS: u64 = 16;

/// The key of the value that makes room. It is never there after the transaction, nor has any row such a key.
const ROOM_KEY: [u8; 4] = [0xff; 4];

/// How often another process' or thread's commit may come between the flush and the transaction, or room not be had.
const BEGINS_MAX: u32 = 8;

/// Flushes that were asked for, until one fails. A system that could not write something may forget it and call the next
/// flush a success, and the engine asks again without a look back; so nothing is acknowledged after the first failure.
#[derive(Debug)]
pub(crate) struct Flushes {
    have_failed: AtomicBool,
    /// Bytes that may be written between two.
    unflushed_bytes_max: u64,
    /// Bytes that transactions may have written since the last one.
    unflushed_bytes: AtomicU64,
    /// The transaction from which on room may be made.
    next_attempt: AtomicU64,
}

impl Flushes {
    pub(crate) fn new(unflushed_bytes_max: u64) -> Self {
        Self {
            have_failed: AtomicBool::default(),
            unflushed_bytes_max,
            unflushed_bytes: AtomicU64::default(),
            next_attempt: AtomicU64::default(),
        }
    }

    /// Flushes what lazy commits have left to the system.
    pub(crate) fn flush(&self, engine: &Database<NoWriteMap>) -> libmdbx::Result<()> {
        self.require_sound()?;
        engine.sync(true).inspect_err(|_| self.have_failed.store(true, Ordering::Release))?;
        self.unflushed_bytes.store(0, Ordering::Relaxed);
        Ok(())
    }

    fn require_sound(&self) -> libmdbx::Result<()> {
        if self.have_failed.load(Ordering::Acquire) { Err(Error::Panic) } else { Ok(()) }
    }

    /// Counts a row of so many bytes.
    pub(crate) fn note(&self, bytes: usize) {
        let written = (bytes as u64).saturating_add(ROW_BYTES);
        self.unflushed_bytes.fetch_add(written, Ordering::Relaxed);
    }

    fn is_due(&self) -> bool {
        self.unflushed_bytes.load(Ordering::Relaxed) >= self.unflushed_bytes_max
    }

    /// Whether room may be made in a transaction after this one; not soon again then.
    fn may_make_room(&self, last_txnid: u64) -> bool {
        let is_time = last_txnid >= self.next_attempt.load(Ordering::Relaxed);
        if is_time {
            let next = last_txnid.saturating_add(ATTEMPT_TRANSACTIONS);
            self.next_attempt.store(next, Ordering::Relaxed);
        }
        is_time
    }
}

/// Begins a write transaction that writes values of so many bytes.
///
/// # Cost
/// Where the file's end is near, and once for every [`UNFLUSHED_BYTES_MAX`] written, a flush of all commits before.
/// Where the end is near, 12 MiB of memory besides, and twice the values, set to zeros and given back.
pub(crate) fn begin<'a>(
    engine: &'a Database<NoWriteMap>,
    flushes: &Flushes,
    value_bytes: u64,
) -> libmdbx::Result<Transaction<'a, RW, NoWriteMap>> {
    flushes.require_sound()?;
    let needed = ROOM_BYTES.saturating_add(value_bytes.saturating_mul(WRITTEN_PER_BYTE));
    let mut flushed = None;
    for _ in 0..BEGINS_MAX {
        // Nobody else commits while it is open.
        let txn = engine.begin_rw_txn()?;
        let (room, left) = room(engine)?;
        let last_txnid = engine.info()?.last_txnid();
        let is_flushed = flushed == Some(last_txnid);
        if !is_flushed && (room < needed || flushes.is_due()) {
            drop(txn);
            flushed = Some(last_txnid);
            flushes.flush(engine)?;
            continue;
        }
        let more = needed.saturating_add(UNFLUSHED_BYTES_MAX);
        let is_short = room < needed && more < left;
        if is_short && flushes.may_make_room(last_txnid) && make_room(&txn, more).is_err() {
            // It is good for nothing now. The next one makes do with what there is, as the engine would.
            continue;
        }
        flushes.unflushed_bytes.fetch_add(COMMIT_BYTES, Ordering::Relaxed);
        return Ok(txn);
    }
    Err(Error::Busy)
}

/// Bytes at the file's end that no page has, and those that it may have at most.
fn room(engine: &Database<NoWriteMap>) -> libmdbx::Result<(u64, u64)> {
    let info = engine.info()?;
    let page_bytes = u64::from(engine.stat()?.page_size());
    let used = (info.last_pgno() as u64 + 1).saturating_mul(page_bytes);
    let geometry = info.geometry();
    let free = |end: u64| end.saturating_sub(used);
    Ok((free(geometry.current_size()), free(geometry.max_size())))
}

/// Has the file end so many bytes further on, if fewer free pages lie side by side: a value that needs them is written and
/// taken back at once. What it grew by stays with the commit, and its pages are never written.
fn make_room(txn: &Transaction<'_, RW, NoWriteMap>, bytes: u64) -> libmdbx::Result<()> {
    let tree = txn.open_table(Some(Meta::PLACE.tree))?;
    let bytes = usize::try_from(bytes).map_err(|_| Error::TooLarge)?;
    txn.put_with(&tree, ROOM_KEY, bytes, WriteFlags::NO_OVERWRITE, |_| ())?;
    txn.del(&tree, ROOM_KEY, None).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Database, Durability, OpenMode, Options, Read as _, Signatures, SlotRoot};
    use lamella_types::Root;

    /// Bytes of a proof, and how many of them lie in the tree: within 8 MiB of the end of a file as it begins, 128 MiB.
    const PROOF_BYTES: usize = 190_000;
    const PROOFS: u64 = 660;

    fn lazy(path: &std::path::Path, size_bytes_max: Option<usize>) -> Database {
        let durability = Durability::Lazy;
        let options = Options { durability, size_bytes_max, ..Options::new(OpenMode::Create) };
        Database::open(path, options).unwrap()
    }

    /// Writes the proofs of these slots, a commit for each, and drops old ones but so many; the flushes that came with it.
    fn write(database: &Database, kept: u64, slots: std::ops::Range<u64>) -> u64 {
        let unflushed = || database.flushes.unflushed_bytes.load(Ordering::Relaxed);
        let key = |slot| SlotRoot::new(slot, Root::ZERO);
        let mut flushes = 0;
        for slot in slots {
            let before = unflushed();
            let mut txn = database.write_values(PROOF_BYTES as u64).unwrap();
            flushes += u64::from(unflushed() <= before);
            let proof = Bytes(vec![u8::try_from(slot % 251).unwrap(); PROOF_BYTES]);
            txn.put::<Signatures>(&key(slot), &proof).unwrap();
            if let Some(old) = slot.checked_sub(kept) {
                assert!(txn.delete::<Signatures>(&key(old)).unwrap());
            }
            txn.commit().unwrap();
        }
        flushes
    }

    /// Symptom: in a file that stayed full every lazy commit was flushed, 1.33 ms an import instead of 0.40.
    /// Mechanism: the room at the end was short and never grew, since after each flush there were pages to reuse.
    /// Fix: who finds it short makes room for those after it.
    #[test]
    fn a_file_that_stays_full_is_flushed_for_many_commits_at_once() {
        // Given a file of which so much is used that there is no room at its end,
        let folder = tempfile::tempdir().unwrap();
        let database = lazy(folder.path(), None);
        write(&database, PROOFS, 0..PROOFS + 100);
        let before = database.stats().unwrap();
        // when each of 300 commits takes as much, 250 KB, as it gives back,
        let flushes = write(&database, PROOFS, PROOFS + 100..PROOFS + 400);
        // then there is a flush for every 4 MiB, and the file is no longer for it.
        assert!((10..=30).contains(&flushes), "{flushes}");
        let stats = database.stats().unwrap();
        assert_eq!(stats.file_bytes, before.file_bytes);
        assert!(stats.file_bytes <= 192 << 20, "{stats:?}");
        // What made room is nowhere.
        let rows = database.read().unwrap().table_stats().unwrap();
        let meta = rows.iter().find(|stats| stats.name == Meta::PLACE.tree).unwrap();
        assert_eq!(meta.rows, 0, "{meta:?}");
    }

    #[test]
    fn a_file_that_may_not_grow_is_used_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let database = lazy(folder.path(), Some(24 << 20));
        write(&database, 40, 0..200);
        assert!(database.stats().unwrap().file_bytes <= 24 << 20);
    }
}
