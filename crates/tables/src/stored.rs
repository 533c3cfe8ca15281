//! What lies at a key, judged by its address and length before a byte of it is touched.
//!
//! The engine takes a row's length from the page and does not check it. One flipped bit in it makes a slice that reaches
//! beyond the file, and reading that ends the process with SIGBUS, which no error handling sees. So every key and value
//! passes here, where only the slice's address and length are looked at: a value lies inside its page, or begins right
//! behind the head of a large page, whose count of pages the engine compares with the length and with the file.
//!
//! The engine's own validation would refuse more, but the binding does not offer it, and it costs more. What remains: a
//! flipped *offset* of a row in a page within the last 64 KiB of the file, which the engine follows by itself, and rows
//! read through a write transaction, whose changed pages lie anywhere in memory and are bounded by length alone.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use libmdbx::{Decodable, RO, RW};

use crate::fault::Fault;

/// Bytes of the head of a large page, behind which its one value begins.
const LARGE_PAGE_HEAD_BYTES: usize = 20;

/// Longest key of any table, with room for a table's number in it.
const KEY_BYTES_MAX: usize = 48;

/// Longest value of any table, seal included: an anchor in the longest stall, with 1,024 tracked roots and 4,096 votes for
/// each, has 0.7 MB.
const VALUE_BYTES_MAX: usize = 4 << 20;

/// Largest page of any database that this process opened. The map begins at a page of the system; where a database has
/// larger ones, which only benchmarks make, a value may cross the system's.
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Told at each opening.
pub(crate) fn note_page_bytes(bytes: usize) {
    PAGE_BYTES.fetch_max(bytes, Ordering::Relaxed);
}

/// Where the bytes of a transaction can lie.
pub(crate) trait Where {
    /// Whether these are all in the map of the file.
    const IN_THE_MAP: bool;
}

impl Where for RO {
    const IN_THE_MAP: bool = true;
}

impl Where for RW {
    const IN_THE_MAP: bool = false;
}

/// Whether a value at this address may be read.
fn check<K: Where>(address: usize, bytes: usize) -> Result<(), Fault> {
    if bytes > VALUE_BYTES_MAX {
        return Err(Fault::TooLong { got: bytes, max: VALUE_BYTES_MAX });
    }
    if !K::IN_THE_MAP {
        return Ok(());
    }
    let system_page = rustix::param::page_size();
    let offset = address % system_page;
    let fits = offset + bytes <= system_page || offset == LARGE_PAGE_HEAD_BYTES;
    let page = PAGE_BYTES.load(Ordering::Relaxed);
    if fits || (page > system_page && bytes <= page) {
        Ok(())
    } else {
        Err(Fault::LeavesPage { got: bytes })
    }
}

/// A value, copied out of its page.
pub(crate) struct StoredValue<K>(Result<Vec<u8>, Fault>, PhantomData<K>);

impl<K> StoredValue<K> {
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        self.0
    }
}

impl<K: Where> Decodable<'_> for StoredValue<K> {
    fn decode(found: &[u8]) -> libmdbx::Result<Self> {
        let checked = check::<K>(found.as_ptr().addr(), found.len());
        Ok(Self(checked.map(|()| found.to_vec()), PhantomData))
    }
}

/// That a value may be read, without reading it.
pub(crate) struct ReadableValue<K>(Result<(), Fault>, PhantomData<K>);

impl<K> ReadableValue<K> {
    pub(crate) fn check(self) -> Result<(), Fault> {
        self.0
    }
}

impl<K: Where> Decodable<'_> for ReadableValue<K> {
    fn decode(found: &[u8]) -> libmdbx::Result<Self> {
        Ok(Self(check::<K>(found.as_ptr().addr(), found.len()), PhantomData))
    }
}

/// A key, copied out of its page.
pub(crate) struct StoredKey(Result<Vec<u8>, Fault>);

impl StoredKey {
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        self.0
    }
}

impl Decodable<'_> for StoredKey {
    fn decode(found: &[u8]) -> libmdbx::Result<Self> {
        let (got, max) = (found.len(), KEY_BYTES_MAX);
        Ok(Self(if got <= max { Ok(found.to_vec()) } else { Err(Fault::TooLong { got, max }) }))
    }
}
