//! What lies at a key, judged by its address and length before a byte of it is touched.
//!
//! The engine takes a row's length from the page and does not check it. One flipped bit in it makes a slice that reaches
//! beyond the file, and reading that ends the process with SIGBUS, which no error handling sees. So every key and value
//! passes here, where only the slice's address and length are looked at: neither is longer than its table's longest, and
//! a value lies inside its page, or begins right behind the head of a large page, whose count of pages the engine compares
//! with the length and with the file.
//!
//! The engine's own validation would refuse more, but the binding does not offer it, and it costs more. What remains: a
//! flipped *offset* of a row in a page within the last 64 KiB of the file, which the engine follows by itself, and rows
//! read through a write transaction, whose changed pages lie anywhere in memory: these are bounded by their table's longest
//! alone, which for most tables is a few bytes.

use std::{
    marker::PhantomData,
    sync::atomic::{AtomicUsize, Ordering},
};

use libmdbx::{Decodable, RO, RW};

use crate::{fault::Fault, schema::Table};

/// Bytes of the head of a large page, behind which its one value begins.
const LARGE_PAGE_HEAD_BYTES: usize = 20;

/// Sizes of the pages of all databases that this process opened, as a sum: each is a power of two. One as a rule, and then
/// a value is judged by the pages that it lies in; the system's may be larger or smaller.
static PAGE_SIZES: AtomicUsize = AtomicUsize::new(0);

/// Told at each opening.
pub(crate) fn note_page_bytes(bytes: usize) {
    PAGE_SIZES.fetch_or(bytes, Ordering::Relaxed);
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

/// Whether a value at this address may be read: it is no longer than its table's longest, and inside its page.
pub(crate) fn check<K: Where>(value: &[u8], max: usize) -> Result<(), Fault> {
    let (address, got) = (value.as_ptr().addr(), value.len());
    if got > max {
        return Err(Fault::TooLong { got, max });
    }
    let sizes = PAGE_SIZES.load(Ordering::Relaxed);
    let mut pages = (0..usize::BITS).map(|bit| 1 << bit).filter(|bytes| sizes & bytes != 0);
    let system_page = rustix::param::page_size();
    if !K::IN_THE_MAP || pages.any(|page| fits(address, got, page, system_page)) {
        Ok(())
    } else {
        Err(Fault::LeavesPage { got })
    }
}

/// Whether bytes at this address lie inside a page of the database, or right behind the head of a large one. The map
/// begins at a page of the system, so where the database's are larger, as only benchmarks make them, it does not say
/// where one begins.
const fn fits(address: usize, bytes: usize, page: usize, system_page: usize) -> bool {
    let aligned = if page < system_page { page } else { system_page };
    let offset = address % aligned;
    offset == LARGE_PAGE_HEAD_BYTES || offset + bytes <= aligned || page > aligned && bytes <= page
}

/// A value of a table, copied out of its page.
pub(crate) struct StoredValue<K, T>(Result<Vec<u8>, Fault>, PhantomData<(K, T)>);

impl<K, T> StoredValue<K, T> {
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        self.0
    }
}

impl<K: Where, T: Table> Decodable<'_> for StoredValue<K, T> {
    fn decode(found: &[u8]) -> libmdbx::Result<Self> {
        let checked = check::<K>(found, T::STORED_BYTES_MAX);
        Ok(Self(checked.map(|()| found.to_vec()), PhantomData))
    }
}

/// A key of a table, copied out of its page.
pub(crate) struct StoredKey<T>(Result<Vec<u8>, Fault>, PhantomData<T>);

impl<T> StoredKey<T> {
    pub(crate) fn bytes(self) -> Result<Vec<u8>, Fault> {
        self.0
    }
}

impl<T: Table> Decodable<'_> for StoredKey<T> {
    fn decode(found: &[u8]) -> libmdbx::Result<Self> {
        Ok(Self(check_key(found, *T::KEY_BYTES.end()).map(|()| found.to_vec()), PhantomData))
    }
}

/// Whether a key may be read.
pub(crate) const fn check_key(key: &[u8], max: usize) -> Result<(), Fault> {
    let got = key.len();
    if got <= max { Ok(()) } else { Err(Fault::TooLong { got, max }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Symptom: on a system of pages of 16 KiB or more every proof, anchor and segment of a file of 4 KiB pages was
    /// called damaged. Mechanism: values were judged by the system's pages, but a large page of the file begins inside
    /// one of those. Fix: they are judged by the file's.
    #[test]
    fn a_value_is_judged_by_the_pages_of_its_file_on_any_system() {
        let (base, page) = (7 << 20, 4 << 10);
        for system_page in [4 << 10, 16 << 10, 64 << 10] {
            for index in 0..16 {
                let at = base + index * page;
                assert!(fits(at + LARGE_PAGE_HEAD_BYTES, 500_000, page, system_page), "large");
                assert!(fits(at + 30, page - 30, page, system_page), "up to the page's end");
                assert!(!fits(at + 30, page - 29, page, system_page), "beyond it");
            }
        }
        // Larger pages than the system's.
        assert!(fits(base + 4000, 60_000, 64 << 10, 4 << 10));
        assert!(!fits(base + 4000, 66_000, 64 << 10, 4 << 10));
    }
}
