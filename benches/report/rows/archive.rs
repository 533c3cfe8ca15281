//! History as files.

use crate::{
    format::{bytes, rate, ratio, seconds},
    measured::Measured,
    row::{Check, Limit, Row, at_most, beside, per_second, quotient, told},
};

/// Slots of a segment.
const SLOTS: f64 = 1024.0;

pub fn rows(measured: &Measured) -> Vec<Row> {
    let sizes = [(8, 40.0), (400, 60.0), (4096, 200.0)];
    let sizes = sizes.into_iter().map(|(validators, limit)| size(measured, validators, limit));
    let whole = [verify, verify_whole, export, restore, beside_import];
    let whole = whole.map(|row: fn(&Measured) -> Row| row(measured));
    let followed = [lag(measured), eight_followers(measured)];
    sizes.chain(whole).chain(followed).collect()
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

fn verify_whole(measured: &Measured) -> Row {
    Row {
        what: "verify an archive of 2^18 slots",
        inside: "once, V 8, from a folder, its files in the page cache: as `lamella archive verify --deep`, every header, body and state",
        neighbour: "-",
        checks: vec![at_most("", measured.figure("whole/verify/seconds"), 10.0, seconds)],
        baselines: Vec::new(),
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

/// Bytes of memory that an export may take beyond the node's.
const EXPORT_MEMORY_MAX: f64 = (64 << 20) as f64;

const fn at_least(of: &'static str, value: Option<f64>, limit: f64) -> Check {
    Check { of, value, spread: None, limit: Limit::AtLeast(limit), show: rate }
}

fn export(measured: &Measured) -> Row {
    let figure = |what: &str| measured.figure(&format!("whole/export/{what}"));
    Row {
        what: "export of 2^18 slots",
        inside: "once, V 8, into a folder: segments read in short transactions, sealed, decoded and verified, put with a flush, read \
                 back; memory beyond the node's by its allocator",
        neighbour: "-",
        checks: vec![
            at_least("slots a second", figure("slots_a_second"), 50_000.0),
            at_most("memory", figure("memory_bytes"), EXPORT_MEMORY_MAX, bytes),
        ],
        baselines: Vec::new(),
    }
}

fn restore(measured: &Measured) -> Row {
    let ours = measured.figure("whole/restore/blocks_a_second");
    let other = measured.figure("whole/catch_up/blocks_a_second");
    let joined = measured.seconds("network/join_from_genesis/V4").map(|seconds| 2_048.0 / seconds);
    Row {
        what: "restore of 2^18 slots, blocks a second",
        inside: "once, V 8, from a folder, durable at the end: a thread each fetches, rebuilds and hashes every state, and stores it \
                 as its diff; then every invariant of the directory checked on all cores, states read back",
        neighbour: "-",
        checks: vec![at_least("", ours, 25_000.0)],
        baselines: vec![
            beside(
                "the same blocks imported, 64 to a durable commit, without proofs and network",
                other,
                ours,
                rate,
            ),
            beside(
                "catching up over a network, V 4, 2,048 blocks and their proofs",
                joined,
                ours,
                rate,
            ),
        ],
    }
}

fn beside_import(measured: &Measured) -> Row {
    let figure = |what: &str| measured.figure(&format!("whole/{what}"));
    let (alone, beside) = (figure("import_alone/p99_us"), figure("import_beside/p99_us"));
    let medians = quotient(figure("import_beside/median_us"), figure("import_alone/median_us"));
    Row {
        what: "import while an archiver seals, p99 over p99 alone",
        inside: "once, V 8: 2,000 durable imports of a block each, then 2,000 while a thread of the lowest priority ships the whole \
                 chain into a folder without a pause, which a node does for a moment each 68 minutes",
        neighbour: "-",
        checks: vec![
            at_most("", quotient(beside, alone), 1.1, ratio),
            told("medians", medians, ratio),
        ],
        baselines: Vec::new(),
    }
}

fn lag(measured: &Measured) -> Row {
    let figure = |what: &str| measured.figure(&format!("follow/{what}_us")).map(|us| us / 1e6);
    Row {
        what: "follower behind the node's commit",
        inside: "V 4096, proofs of 190 KB on trust, a block each 80 ms, 400 blocks: from the node's commit until a listener at the \
                 follower's own API hears of the block, which is imported and durable there; both on one machine. By files the \
                 node's archiver puts, flushes and reads back each block, and the follower looks twice a second; by S3 the same over HTTP, the \
                 endpoint in the node's process",
        neighbour: "-",
        checks: vec![
            at_most("HTTP p50", figure("http/p50"), 0.020, seconds),
            at_most("HTTP p99", figure("http/p99"), 0.100, seconds),
            at_most("files p50", figure("file/p50"), 4.0, seconds),
            at_most("files p99", figure("file/p99"), 4.0, seconds),
            at_most("S3 p50", figure("s3/p50"), 4.0, seconds),
            at_most("S3 p99", figure("s3/p99"), 4.0, seconds),
        ],
        baselines: Vec::new(),
    }
}

fn eight_followers(measured: &Measured) -> Row {
    let figure = |what: &str| measured.figure(&format!("follow/{what}_us"));
    let over = |at: &str| {
        let (beside, alone) = (format!("import_beside_eight/{at}"), format!("import_alone/{at}"));
        quotient(figure(&beside), figure(&alone))
    };
    Row {
        what: "import while eight followers read, p99 over p99 alone",
        inside: "V 4096, proofs of 190 KB, 1,600 durable imports of a block each, one each 80 ms, and 1,600 while eight followers fetch \
                 each block over HTTP and import it, in turn; these at the lowest priority with their directories in memory, but on \
                 the node's own processor cores",
        neighbour: "-",
        checks: vec![at_most("", over("p99"), 1.05, ratio), told("medians", over("p50"), ratio)],
        baselines: Vec::new(),
    }
}
