//! Room for lazy commits, so that the engine never makes a checkpoint by itself.
//!
//! Where a lazy write transaction finds no page to reuse and the file's end is near, the engine makes the commit before it
//! a *checkpoint*: it flushes the pages, writes a meta page that says so, and then reuses the pages that only the checkpoint
//! before needs. That meta page it does not flush, and it may do so within a commit. If a power cut keeps a page that
//! was reused and loses the meta page, the next start goes back to a checkpoint whose pages are no longer its own, and nothing of
//! the database can be read, the sign guard included.
//!
//! It does none of this while the file has room, nor right after a flush that was asked for, which covers the meta page
//! too. So a transaction begins with room for all that it may write, or right after such a flush; then the file grows.

use std::sync::atomic::{AtomicBool, Ordering};

use libmdbx::{Database, Error, NoWriteMap, RW, Transaction};

/// Free bytes at the end of the file with which a transaction without proofs begins: 7,000 votes written at once, of the
/// 9,216 that there can be and the handful that a slot brings. An import of a small block writes some 60 KB.
const ROOM_BYTES: u64 = 8 << 20;

/// Bytes of pages that a byte of values comes to, at most: a large value fills its pages but the last.
const WRITTEN_PER_BYTE: u64 = 2;

/// How often another process' or thread's commit may come between the flush and the transaction.
const FLUSHES_MAX: u32 = 8;

/// Flushes that were asked for, until one fails. A system that could not write something may forget it and call the next
/// flush a success, and the engine asks again without a look back; so nothing is acknowledged after the first failure.
#[derive(Debug, Default)]
pub(crate) struct Flushes {
    have_failed: AtomicBool,
}

impl Flushes {
    /// Flushes what lazy commits have left to the system.
    pub(crate) fn flush(&self, engine: &Database<NoWriteMap>) -> libmdbx::Result<()> {
        self.require_sound()?;
        engine.sync(true).map(drop).inspect_err(|_| self.have_failed.store(true, Ordering::Release))
    }

    fn require_sound(&self) -> libmdbx::Result<()> {
        if self.have_failed.load(Ordering::Acquire) { Err(Error::Panic) } else { Ok(()) }
    }
}

/// Begins a write transaction that writes values of so many bytes.
///
/// # Cost
/// Where the file's end is near, a flush of all commits before.
pub(crate) fn begin<'a>(
    engine: &'a Database<NoWriteMap>,
    flushes: &Flushes,
    value_bytes: u64,
) -> libmdbx::Result<Transaction<'a, RW, NoWriteMap>> {
    flushes.require_sound()?;
    let needed = ROOM_BYTES.saturating_add(value_bytes.saturating_mul(WRITTEN_PER_BYTE));
    let mut flushed = None;
    for _ in 0..FLUSHES_MAX {
        // Nobody else commits while it is open.
        let txn = engine.begin_rw_txn()?;
        let info = engine.info()?;
        let page_bytes = u64::from(engine.stat()?.page_size());
        let used = (info.last_pgno() as u64 + 1).saturating_mul(page_bytes);
        let room = info.geometry().current_size().saturating_sub(used);
        if room >= needed || flushed == Some(info.last_txnid()) {
            return Ok(txn);
        }
        drop(txn);
        flushed = Some(info.last_txnid());
        flushes.flush(engine)?;
    }
    Err(Error::Busy)
}
