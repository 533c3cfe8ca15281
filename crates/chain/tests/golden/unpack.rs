//! The golden directories, unpacked: one of each schema, made by the code of its time. Shared by the tests of this crate and
//! of the program: their one home.
//!
//! Nodes ran at slots of 300 ms, were killed and started again, and pruned proofs. Pages that nothing reaches, by the
//! judgement of the build that wrote them, are zeros. Never made anew: a build of an old schema is not in the tree.

use std::{fs, path::Path};

/// Bytes of each data file, nearly all zeros.
const FILE_BYTES: usize = 256 << 10;

/// Slot length of the networks that they are of.
pub const SLOT_MS: u64 = 300;

/// A golden directory.
#[derive(Debug)]
#[allow(dead_code, reason = "the tests of each crate read what they need")]
pub struct Golden {
    /// Its schema.
    pub schema: u32,
    /// `[offset: u32 LE | length: u32 LE | bytes]` for each run of its data file that is not zeros.
    sparse: &'static [u8],
    /// What its own build said: `lamella db checksum --json`.
    pub checksum: &'static str,
    /// `lamella db info --json`.
    pub info: &'static str,
    /// Unix seconds of its genesis.
    pub genesis_time: u64,
    /// Slot of its head.
    pub head_slot: u64,
}

macro_rules! golden {
    ($schema:literal, $genesis_time:literal, $head_slot:literal) => {
        Golden {
            schema: $schema,
            sparse: include_bytes!(concat!("schema", $schema, "/mdbx.dat.sparse")),
            checksum: include_str!(concat!("schema", $schema, "/checksum.json")),
            info: include_str!(concat!("schema", $schema, "/info.json")),
            genesis_time: $genesis_time,
            head_slot: $head_slot,
        }
    };
}

/// One of each schema: by one validator's node, by two nodes, by one.
pub const GOLDEN: [Golden; 3] =
    [golden!(1, 1_795_320_733, 21), golden!(2, 1_795_272_101, 43), golden!(3, 1_795_320_825, 20)];

impl Golden {
    /// Writes its data file into a folder.
    pub fn unpack(&self, directory: &Path) {
        let mut file = vec![0; FILE_BYTES];
        let mut rest = self.sparse;
        while let Some((head, after)) = rest.split_first_chunk::<8>() {
            let number =
                |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap()) as usize;
            let (bytes, after) = after.split_at(number(4));
            file[number(0)..][..bytes.len()].copy_from_slice(bytes);
            rest = after;
        }
        fs::write(directory.join("mdbx.dat"), file).unwrap();
    }
}
