//! Damage, made in the bytes of a real file: what must be seen, how much is, and that nothing panics or hangs.

#![allow(clippy::cast_possible_truncation, reason = "a small file")]

mod places;

use std::{collections::BTreeMap, io, ops::ControlFlow, os::unix::fs::FileExt};

use lamella_types::hash_tree_root;

use super::{PageReport, file::PageFile, layout::Meta, walk};
use crate::page_fault::{PageFault, PageTree};
use crate::{Bytes, Canonical, Database, Diffs, OpenMode, Options, Signatures, SlotRoot, Slots};
use places::{Place, places};

/// Pages of 512 bytes make a small file of high trees.
const PAGE_BYTES: usize = 512;

/// A file in memory, one sector of which may be unreadable.
struct Disk {
    bytes: Vec<u8>,
    unreadable: Option<u64>,
}

impl FileExt for Disk {
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        const SECTOR: u64 = 512;
        if self.unreadable.is_some_and(|bad| {
            bad / SECTOR * SECTOR < offset + into.len() as u64
                && offset < bad / SECTOR * SECTOR + SECTOR
        }) {
            return Err(io::Error::from_raw_os_error(5));
        }
        let start = usize::try_from(offset).unwrap().min(self.bytes.len());
        let count = into.len().min(self.bytes.len() - start);
        into[..count].copy_from_slice(&self.bytes[start..start + count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

/// A database of every shape that a page can have: trees of three levels, large values, short and long free lists.
fn real_file() -> Disk {
    let directory = tempfile::tempdir().unwrap();
    let options = Options { page_bytes: Some(PAGE_BYTES), ..Options::new(OpenMode::Create) };
    let database = Database::open(directory.path(), options).unwrap();
    let key = |slot: u64| SlotRoot::new(slot, hash_tree_root(&slot));
    let mut txn = database.write().unwrap();
    for slot in 0..160 {
        txn.put::<Canonical>(&slot, &key(slot).root).unwrap();
        txn.put::<Slots>(&key(slot).root, &slot).unwrap();
        txn.put::<Diffs>(&key(slot), &Bytes(vec![1; slot as usize])).unwrap();
    }
    for slot in 0..8 {
        let bytes = if slot == 3 { 60_000 } else { 900 };
        txn.put::<Signatures>(&key(slot), &Bytes(vec![2; bytes])).unwrap();
    }
    txn.commit().unwrap();
    for slot in 3..7 {
        let mut txn = database.write().unwrap();
        txn.delete::<Signatures>(&key(slot)).unwrap();
        txn.put::<Canonical>(&slot, &key(9).root).unwrap();
        txn.commit().unwrap();
    }
    drop(database);
    let mut bytes = std::fs::read(directory.path().join("mdbx.dat")).unwrap();
    let meta =
        (0..3).map(|page| Meta::of(&bytes[page * PAGE_BYTES..])).max_by_key(Meta::transaction);
    bytes.truncate(meta.unwrap().present_pages as usize * PAGE_BYTES);
    Disk { bytes, unreadable: None }
}

/// The walk from the meta page that the engine would take.
fn check(disk: &Disk) -> PageReport {
    let metas = disk.bytes.chunks(PAGE_BYTES).take(3).map(Meta::of);
    let newest = metas.filter_map(|meta| meta.transaction()).max().unwrap_or_default();
    let file = PageFile::new(disk, PAGE_BYTES);
    let progress = &mut |_| ControlFlow::Continue(());
    walk(file, disk.bytes.len() as u64, newest, progress).unwrap_or_else(|report| *report)
}

#[test]
fn every_flipped_bit_that_could_do_harm_is_seen() {
    let mut disk = real_file();
    let clean = check(&disk);
    assert_eq!(clean.findings, []);
    assert!(
        clean.branch_pages > 10 && clean.large_pages > 5 && clean.free_pages > 100,
        "{clean:?}"
    );
    let mut seen = BTreeMap::<Place, (u32, u32)>::new();
    for (place, range) in places(&disk.bytes) {
        for at in range {
            for bit in 0..8 {
                disk.bytes[at] ^= 1 << bit;
                let (found, of) = seen.entry(place).or_default();
                *found += u32::from(check(&disk).finding_count > 0);
                *of += 1;
                disk.bytes[at] ^= 1 << bit;
            }
        }
    }
    // `cargo test -- --nocapture` prints what docs/data-layout.md says.
    for (place, (found, of)) in &seen {
        println!("{place:?}: {found} of {of}");
    }
    for (place, (found, of)) in &seen {
        assert!(found * 1_000 >= of * place.least_seen_per_mille(), "{place:?}: {found} of {of}");
    }
    assert_eq!(check(&disk).findings, []);
}

#[test]
fn no_damage_makes_the_walk_panic_or_run_on() {
    let mut disk = real_file();
    let pages = check(&disk).pages;
    // A few reads for each page at most, whatever the bytes say.
    let limit = 4 * pages * PAGE_BYTES as u64;
    let places = places(&disk.bytes).into_iter();
    let places = places.filter(|(place, _)| !matches!(place, Place::Unused | Place::Value));
    for at in places.flat_map(|(_, range)| range) {
        let good = disk.bytes[at];
        disk.bytes[at] = !good;
        assert!(check(&disk).bytes_read < limit, "byte {at}");
        disk.bytes[at] = good;
    }
    let mut state = 1_u64;
    let mut random = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..4_000 {
        let (from, bytes) = (random(disk.bytes.len() - 64), 1 + random(64));
        let good = disk.bytes[from..from + bytes].to_vec();
        disk.bytes[from..from + bytes].fill_with(|| random(256) as u8);
        assert!(check(&disk).bytes_read < limit, "round {round}: {bytes} bytes at {from}");
        disk.bytes[from..from + bytes].copy_from_slice(&good);
    }
    assert_eq!(check(&disk).findings, []);
}

#[test]
fn a_cut_file_is_a_finding_and_a_grown_one_is_none() {
    let mut disk = real_file();
    let whole = disk.bytes.clone();
    for cut in (0..whole.len()).step_by(211) {
        disk.bytes.truncate(whole.len() - 1 - cut);
        assert!(check(&disk).finding_count > 0, "{} bytes", disk.bytes.len());
    }
    disk.bytes = [whole, vec![0xff; 40_000]].concat();
    assert_eq!(check(&disk).findings, []);
}

#[test]
fn a_sector_that_cannot_be_read_is_named_and_the_walk_goes_on() {
    let mut disk = real_file();
    let clean = check(&disk);
    let reached: Vec<usize> = places::pages_with_headers(&disk.bytes);
    for page in reached {
        let offset = (page * PAGE_BYTES) as u64;
        disk.unreadable = Some(offset);
        let report = check(&disk);
        let error = "Input/output error (os error 5)".to_owned();
        let fault = PageFault::Unreadable { offset, error };
        assert!(report.findings.iter().any(|finding| finding.fault == fault), "{report:?}");
        // What is behind it cannot be known, so nothing is called lost or miscounted.
        assert_eq!(report.finding_count, 1, "{report:?}");
        assert!(report.rows > 0 && report.pages == clean.pages, "{report:?}");
    }
}

/// What the engine must never be handed: a page that a table uses, named by the free list.
#[test]
fn a_page_in_use_that_the_free_list_names_is_named_with_both() {
    let mut disk = real_file();
    let places = places(&disk.bytes);
    let entry = places.iter().find(|(place, _)| *place == Place::FreeListNumber).unwrap();
    let used = places::pages_with_headers(&disk.bytes)[5] as u32;
    disk.bytes[entry.1.clone()].copy_from_slice(&used.to_le_bytes());
    let report = check(&disk);
    let both = report.findings.iter().find(|finding| finding.fault == PageFault::UsedAndFree);
    assert_eq!(both.map(|finding| finding.page), Some(used), "{report:?}");
    let tables = report.findings.iter().filter(|finding| finding.tree != PageTree::Free).count();
    assert!(tables <= 1, "{report:?}");
}
