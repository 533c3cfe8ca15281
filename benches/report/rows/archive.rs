//! History as files.

use crate::{
    format::bytes,
    measured::Measured,
    row::{Limit, Row, at_most, beside, per_second},
};

/// Slots of a segment.
const SLOTS: f64 = 1024.0;

pub fn rows(measured: &Measured) -> Vec<Row> {
    let sizes = [(8, 40.0), (400, 60.0), (4096, 200.0)];
    let sizes = sizes.into_iter().map(|(validators, limit)| size(measured, validators, limit));
    sizes.chain([verify(measured)]).collect()
}

fn size(measured: &Measured, validators: u64, limit: f64) -> Row {
    let figure = |what: &str| measured.figure(&format!("archive/{what}/{validators}"));
    let ours = figure("bytes_a_slot");
    Row {
        what: match validators {
            8 => "a slot in the archive, V 8",
            400 => "a slot in the archive, V 400",
            _ => "a slot in the archive, V 4096",
        },
        inside: "no clock: a segment of 1,024 blocks in the middle of the chain, every block and state proven; 3% of the votes \
                 come a block late; no block proofs",
        neighbour: "-",
        checks: vec![at_most("", ours, limit, bytes)],
        baselines: vec![
            beside("SSZ blocks under zstd, no state", figure("baseline_blocks"), ours, bytes),
            beside(
                "these and a full state every 1,024 slots, one state proven",
                figure("baseline_blocks_and_state"),
                ours,
                bytes,
            ),
        ],
    }
}

fn verify(measured: &Measured) -> Row {
    let slots = |of, name: &str, limit| per_second(of, measured, name, SLOTS, "segment", limit);
    Row {
        what: "verify an archive, slots a second",
        inside: "one thread, bytes in memory: digest, decompression, every header, body and state hashed, and all written again \
                 to see that it is canonical. Sealing has blocks and states in memory",
        neighbour: "-",
        checks: vec![
            slots("V 8", "archive/verify/V8", Limit::AtLeast(50_000.0)),
            slots("V 400", "archive/verify/V400", Limit::None),
            slots("V 4096", "archive/verify/V4096", Limit::None),
            slots("sealing, V 8", "archive/seal/V8", Limit::None),
            slots("sealing, V 4096", "archive/seal/V4096", Limit::None),
        ],
        baselines: Vec::new(),
    }
}
