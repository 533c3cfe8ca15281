//! Bits flipped in the heads of rows, in the file: each read is an answer or an error, and no process ends by a signal.

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::FileExt as _, process::ExitStatusExt as _},
    path::Path,
    process::{Command, Stdio},
};

use lamella_tables::{
    Bytes, Canonical, Database, DatabaseView, Headers, OpenMode, Options, Read as _, Signatures,
    SlotRoot, TABLES,
};
use lamella_types::{BlockHeader, Root};

/// Where a process of this test binary finds the database, and at which flip it begins.
const FLIP: &str = "LAMELLA_TEST_FLIP";

const PAGE_BYTES: usize = 4096;
const PAGE_HEAD_BYTES: usize = 20;
const LEAF: u16 = 2;

/// Bits of a row's head. The engine's debug builds abort by an assertion where the last 16, the key's length, are wrong;
/// what is released has no assertions.
const HEAD_BITS: usize = if cfg!(debug_assertions) { 48 } else { 64 };

fn fill(path: &Path) {
    let database = Database::open(path, Options::new(OpenMode::Create)).unwrap();
    let mut txn = database.write().unwrap();
    for slot in 0..120_u64 {
        let header = BlockHeader { slot, ..BlockHeader::default() };
        let key = SlotRoot::new(slot, header.root());
        txn.put::<Headers>(&key, &header).unwrap();
        txn.put::<Canonical>(&slot, &key.root).unwrap();
        let proof_bytes = if slot % 40 == 39 { 100_000 } else { 900 };
        txn.put::<Signatures>(&key, &Bytes(vec![7; proof_bytes])).unwrap();
    }
    txn.commit().unwrap();
}

/// The bits of the heads of the first, a middle and the last row of each leaf page: `[value length: u32 | flags: u8 |
/// 0: u8 | key length: u16]`.
fn bits(data: &[u8]) -> Vec<usize> {
    let number = |at: usize| u16::from_le_bytes([data[at], data[at + 1]]);
    let pages = (0..data.len() / PAGE_BYTES).map(|page| page * PAGE_BYTES);
    let leaves = pages.filter(|page| number(page + 10) == LEAF);
    let mut bits = Vec::new();
    for page in leaves {
        let rows = usize::from(number(page + 12) / 2);
        for row in [0, rows / 2, rows.saturating_sub(1)] {
            let row =
                page + PAGE_HEAD_BYTES + usize::from(number(page + PAGE_HEAD_BYTES + 2 * row));
            bits.extend((0..HEAD_BITS).map(|bit| row * 8 + bit));
        }
    }
    bits
}

fn read_everything(path: &Path) {
    let Ok(view) = DatabaseView::open(path) else { return };
    let Ok(txn) = view.read() else { return };
    for table in TABLES {
        if let Ok(Some(rows)) = txn.raw_rows(table.name) {
            rows.take(1000).for_each(drop);
        }
        if let Ok(Some(keys)) = txn.raw_keys(table.name, &[]) {
            keys.take(1000).for_each(drop);
        }
    }
    let Ok(keys) = txn.scan_keys::<Signatures>(SlotRoot::first_of(0)) else { return };
    let keys: Vec<_> = keys.take(1000).flatten().collect();
    let _ = txn.get_many::<Signatures>(&keys);
    for key in keys {
        let _ = (txn.get::<Signatures>(&key), txn.has::<Signatures>(&key));
        let _ = (txn.get::<Headers>(&key), txn.get::<Canonical>(&key.slot));
    }
    let _ = (txn.last::<Signatures>(), txn.last::<Headers>().map(|row| row.is_some()));
    if let Ok(rows) = txn.scan::<Canonical>(0) {
        rows.take(1000).for_each(drop);
    }
}

/// Not a test by itself: what the test below runs, so that a signal ends another process.
#[test]
fn flips_bits_if_told_to() {
    let Ok(told) = std::env::var(FLIP) else { return };
    let (from, path) = told.split_once(' ').unwrap();
    let path = Path::new(path);
    let data = fs::read(path.join("mdbx.dat")).unwrap();
    let file = fs::OpenOptions::new().write(true).open(path.join("mdbx.dat")).unwrap();
    for (index, bit) in bits(&data).into_iter().enumerate().skip(from.parse().unwrap()) {
        fs::write(path.join("at"), index.to_string()).unwrap();
        let at = (bit / 8) as u64;
        file.write_all_at(&[data[bit / 8] ^ (1 << (bit % 8))], at).unwrap();
        read_everything(path);
        file.write_all_at(&[data[bit / 8]], at).unwrap();
    }
    fs::write(path.join("at"), "end").unwrap();
}

/// Symptom: 79 of 700 flipped bits in the heads of rows ended the process with SIGBUS, at start and in `db verify`.
/// Mechanism: the engine makes a slice of whatever length the page says, and reading it left the file. Fix: a slice's
/// address and length are checked before a byte of it is touched.
#[test]
fn no_flipped_bit_in_the_head_of_a_row_ends_the_process() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    fill(path);
    let pristine = fs::read(path.join("mdbx.dat")).unwrap();
    let flips = bits(&pristine);
    let (mut from, mut signals) = (0, Vec::new());
    while from < flips.len() {
        fs::write(path.join("mdbx.dat"), &pristine).unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "signals::flips_bits_if_told_to"])
            .env(FLIP, format!("{from} {}", path.display()))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        let at = fs::read_to_string(path.join("at")).unwrap();
        let Ok(at) = at.parse::<usize>() else { break };
        signals.push((flips[at], status.signal()));
        from = at + 1;
    }
    writeln!(std::io::stdout().lock(), "{} bits flipped", flips.len()).unwrap();
    assert!(flips.len() > 1000, "{}", flips.len());
    assert_eq!(signals, []);
    let view = DatabaseView::open(path).unwrap();
    assert_eq!(
        view.read().unwrap().get::<Canonical>(&0).unwrap().map(|root| root == Root::ZERO),
        Some(false)
    );
}
