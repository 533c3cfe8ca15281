//! The golden directory of schema 2, unpacked. Shared by the tests of this crate and of the program: its one home.

use std::{fs, path::Path};

/// Bytes of the data file, nearly all zeros.
const FILE_BYTES: usize = 256 << 10;

/// `[offset: u32 LE | length: u32 LE | bytes]` for each run that is not zeros.
const SPARSE: &[u8] = include_bytes!("mdbx.dat.sparse");

/// Slot length of the network that it is of.
pub const SLOT_MS: u64 = 300;

/// Unix seconds of its genesis.
pub const GENESIS_TIME: u64 = 1_795_272_101;

/// Slot of its head.
pub const HEAD_SLOT: u64 = 43;

/// Writes its data file into a folder.
pub fn unpack(directory: &Path) {
    let mut file = vec![0; FILE_BYTES];
    let mut rest = SPARSE;
    while let Some((head, after)) = rest.split_first_chunk::<8>() {
        let number = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
        let (bytes, after) = after.split_at(number(4));
        file[number(0)..][..bytes.len()].copy_from_slice(bytes);
        rest = after;
    }
    fs::write(directory.join("mdbx.dat"), file).unwrap();
}
