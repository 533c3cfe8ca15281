//! Full states as rows: in parts, since the tables take no row longer than one of ours can be, and a full state has 8.8 MB.

use lamella_tables::{Anchors, Bytes, Read as _, ReadTxn, SlotRoot, WriteTxn};

/// Bytes of a part.
const PART_BYTES: usize = 2 << 20;

/// Where a part of a state is kept: those of one state are neighbours.
fn part_key(key: SlotRoot, part: usize) -> SlotRoot {
    SlotRoot::new(key.slot << 8 | part as u64, key.root)
}

/// Writes a state's bytes.
pub fn put_parts(txn: &mut WriteTxn<'_>, key: SlotRoot, state: &[u8]) {
    for (part, bytes) in state.chunks(PART_BYTES).enumerate() {
        txn.put_slice::<Anchors>(&part_key(key, part), bytes).unwrap();
    }
}

/// Reads them back.
#[must_use]
pub fn get_parts(txn: &ReadTxn<'_>, key: SlotRoot) -> Vec<u8> {
    let part = |part| txn.get::<Anchors>(&part_key(key, part)).unwrap();
    let mut state = Vec::new();
    for Bytes(bytes) in (0..).map_while(part) {
        state.extend(bytes);
    }
    state
}
