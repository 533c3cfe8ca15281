//! The table: what was promised, what the neighbour needs, what was measured, and beside what.

use crate::{
    format::{bytes, rate, ratio, seconds},
    measured::Measured,
    row::{Check, Limit, Row, at_most, beside, quotient},
};

const MIB: f64 = 1_048_576.0;

/// The whole table in Markdown.
pub fn table(measured: &Measured) -> String {
    let mut lines = vec![
        "| what | neighbour | target | measured | baseline of the same run | met |".to_owned(),
        "|---|---|---|---|---|---|".to_owned(),
    ];
    lines.extend(rows(measured).iter().map(Row::markdown));
    lines.join("\n")
}

/// Whether this run missed a promise: that of the row whose first words are `name`, or of one number of it as in
/// `SSZ; decode`. `None` if there is no such row or number.
pub fn is_unmet(name: &str, measured: &Measured) -> Option<bool> {
    let (words, of) = name.split_once("; ").map_or((name, None), |(row, of)| (row, Some(of)));
    let row = rows(measured).into_iter().find(|row| row.what.starts_with(words))?;
    let mut asked = row.checks.iter().filter(|check| of.is_none_or(|of| of == check.of)).peekable();
    asked.peek()?;
    Some(asked.any(|check| check.met() == Some(false)))
}

/// The promises that this run missed, in a sentence.
pub fn unmet(measured: &Measured) -> String {
    let rows = rows(measured);
    let is_unmet = |row: &&Row| row.checks.iter().any(|check| check.met() == Some(false));
    let names: Vec<_> = rows.iter().filter(is_unmet).map(|row| format!("*{}*", row.what)).collect();
    if names.is_empty() {
        return "Every row that was measured is met.".to_owned();
    }
    format!("{} of {} are not met in this run: {}.", names.len(), rows.len(), names.join("; "))
}

fn rows(measured: &Measured) -> Vec<Row> {
    [writing(measured), committing(measured), reading(measured), sizes(measured), others(measured)]
        .into_iter()
        .flatten()
        .collect()
}

/// Roots and imports, without flushes.
fn writing(measured: &Measured) -> Vec<Row> {
    let time = |name: &str| measured.seconds(name);
    let figure = |name: &str| measured.figure(name);
    let root =
        ["V4096_H1k", "V4096_H261k"].map(|at| time(&format!("state_root/new_post_state/{at}")));
    // The median block: a database without flushes still makes one now and then.
    let import = ["V4096_H1k", "V4096_H261k"]
        .map(|at| figure(&format!("import_block/lazy/{at}/median_us")).map(|us| us / 1e6));
    vec![
        Row {
            what: "root of a new post-state, V 4096, H 261k",
            neighbour: "48.7 ms",
            checks: vec![
                at_most("", root[1], 0.25e-3, seconds),
                at_most("H 1k to 261k", quotient(root[1], root[0]), 1.5, ratio),
            ],
            baseline: beside(
                "plain `ssz_rs`",
                time("state_root/baseline_ssz_rs/V4096_H261k"),
                root[1],
                seconds,
            ),
        },
        Row {
            what: "import without flush, V 4096, H 261k: base, transition, root, diff, transaction, publish",
            neighbour: "29.6 ms store + 48.7 ms root",
            checks: vec![
                at_most("", import[1], 1.5e-3, seconds),
                at_most("H 1k to 261k", quotient(import[1], import[0]), 1.5, ratio),
            ],
            baseline: beside(
                "writing the full state",
                time("import_block/baseline_full_state_write/V4096_H261k"),
                import[1],
                seconds,
            ),
        },
    ]
}

/// Imports as a node makes them, flushed or many at once.
fn committing(measured: &Measured) -> Vec<Row> {
    let time = |name: &str| measured.seconds(name);
    let figure = |name: &str| measured.figure(name);
    let batch = time("import_batch/lazy/V8_H1k").map(|seconds| 64.0 / seconds);
    let durable_batch = time("import_batch/durable/V8_H1k").map(|seconds| 64.0 / seconds);
    let durable = |at: &str| figure(&format!("import_block/durable/{at}/ratio_to_bare_write"));
    vec![
        Row {
            what: "durable import, a commit for each block, against the same bytes written and flushed as often",
            neighbour: "never flushes",
            checks: vec![
                at_most("V 4096, H 261k", durable("V4096_H261k"), 1.5, ratio),
                at_most("V 8, H 1k", durable("V8_H1k"), 1.5, ratio),
            ],
            baseline: beside(
                "bare write and flushes, V 4096, H 261k",
                time("import_block/durable_baseline_bare_write/V4096_H261k"),
                None,
                seconds,
            ),
        },
        Row {
            what: "import in catch-up, batched, V 8, signatures not counted",
            neighbour: "-",
            checks: vec![
                Check { of: "lazy", value: batch, limit: Limit::AtLeast(2500.0), show: rate },
                Check {
                    of: "durable",
                    value: durable_batch,
                    limit: Limit::AtLeast(2500.0),
                    show: rate,
                },
            ],
            baseline: None,
        },
    ]
}

/// Reads, cold, in a stall, hot.
fn reading(measured: &Measured) -> Vec<Row> {
    let time = |name: &str| measured.seconds(name);
    let warm = |history: &str| time(&format!("read_state_cold/segments_warm/V4096_{history}/1023"));
    let walk =
        |history: &str| time(&format!("read_state_cold/baseline_linear_walk/V4096_{history}/1023"));
    let first = time("read_state_cold/first/V4096_H261k/1023");
    let stalled = time("read_state_in_stall/segments_warm/V4096_H261k_2100_slots");
    vec![
        Row {
            what: "cold read, 1,023 blocks after the anchor, V 4096, H 2k, proved",
            neighbour: "5.5 ms",
            checks: vec![at_most("", warm("H2k"), 0.3e-3, seconds)],
            baseline: beside("linear walk", walk("H2k"), warm("H2k"), seconds),
        },
        Row {
            what: "the same, H 261k, segments warm",
            neighbour: "2,026 to 7,886 ms",
            checks: vec![at_most("", warm("H261k"), 0.5e-3, seconds)],
            baseline: beside("linear walk", walk("H261k"), warm("H261k"), seconds),
        },
        Row {
            what: "the very first read after start, H 261k",
            neighbour: "the same",
            checks: vec![at_most("", first, 25e-3, seconds)],
            baseline: beside(
                "reading a full state",
                time("read_state_cold/baseline_full_state/V4096_H261k"),
                first,
                seconds,
            ),
        },
        Row {
            what: "cold read at the end of a stall of 2,100 slots, half of 4,096 voting, the most deltas to replay",
            neighbour: "78 to 88 ms",
            checks: vec![at_most("", stalled, 1e-3, seconds)],
            baseline: beside(
                "linear walk",
                time("read_state_in_stall/baseline_linear_walk/V4096_H261k_2100_slots"),
                stalled,
                seconds,
            ),
        },
        Row {
            what: "hot read, H 261k",
            neighbour: "6 to 7 ms",
            checks: vec![at_most("", time("read_state_hot/V4096_H261k"), 1e-6, seconds)],
            baseline: None,
        },
        Row {
            what: "SSZ of a state of 8.8 MB",
            neighbour: "360 / 40 ms (plain `ssz_rs`)",
            checks: vec![
                at_most("encode", time("state_ssz/encode/V4096_H261k"), 6e-3, seconds),
                at_most("decode", time("state_ssz/decode/V4096_H261k"), 15e-3, seconds),
            ],
            baseline: beside(
                "plain `ssz_rs` decode, which does not hash",
                time("state_ssz/baseline_ssz_rs_decode/V4096_H261k"),
                time("state_ssz/decode/V4096_H261k"),
                seconds,
            ),
        },
    ]
}

/// Memory and disk.
fn sizes(measured: &Measured) -> Vec<Row> {
    let figure = |name: &str| measured.figure(name);
    let memory = figure("memory/32_states_beyond_the_first/260096");
    let diffs = figure("diffs/mean_of_a_stall_of_2100_slots");
    let anchors = figure("disk/anchors_history_registry/262144");
    vec![
        Row {
            what: "32 cached states, V 4096, H 261k, beyond the first",
            neighbour: "+260 MiB",
            checks: vec![at_most("", memory, 12.0 * MIB, bytes)],
            baseline: beside(
                "plain `ssz_rs`",
                figure("memory/baseline_32_ssz_rs_states/260096"),
                memory,
                bytes,
            ),
        },
        Row {
            what: "diff of a block, mean over a stall of 2,100 slots",
            neighbour: "33.8 KB",
            checks: vec![at_most("", diffs, 1200.0, bytes)],
            baseline: beside(
                "the whole tally in each",
                figure("diffs/baseline_mean_of_a_stall_of_2100_slots"),
                diffs,
                bytes,
            ),
        },
        Row {
            what: "anchors, history and registry of 262,144 slots, V 4096, as pages",
            neighbour: "1.2 GB",
            checks: vec![at_most("", anchors, 14e6, bytes)],
            baseline: beside(
                "full snapshots",
                figure("disk/baseline_snapshots/262144"),
                anchors,
                bytes,
            ),
        },
        Row {
            what: "pages of a healthy slot without its proof, V 4096; file over live data",
            neighbour: "1.2 KB (compressed)",
            checks: vec![
                at_most(
                    "a slot",
                    figure("disk/bytes_per_healthy_slot/without_signatures"),
                    1200.0,
                    bytes,
                ),
                at_most("file", figure("disk/file_over_live_bytes"), 1.1, ratio),
            ],
            baseline: beside(
                "of it the block's body",
                figure("disk/bytes_per_healthy_slot/Bodies"),
                None,
                bytes,
            ),
        },
    ]
}

/// Restart, pruning, fork choice.
fn others(measured: &Measured) -> Vec<Row> {
    let time = |name: &str| measured.seconds(name);
    let figure = |name: &str| measured.figure(name);
    let restart = time("restart/open_to_head_state/durable/v4096_h261k");
    let prune = |what: &str| figure(&format!("prune_signatures/durable/{what}"));
    vec![
        Row {
            what: "open to head state ready, H 261k",
            neighbour: "5 to 12 s",
            checks: vec![at_most("", restart, 150e-3, seconds)],
            baseline: beside(
                "open, without flushes, and decode a full state",
                time("restart/baseline_full_state/lazy/v4096_h261k"),
                None,
                seconds,
            ),
        },
        Row {
            what: "prune 20,000 signatures of 3 KB, flushes not counted; reads afterwards; file after ten such jobs",
            neighbour: "50 us tombstone, slower reads, no space back",
            checks: vec![
                at_most("job", time("prune_signatures/lazy/20000_of_3kB"), 100e-3, seconds),
                at_most(
                    "longest transaction",
                    prune("longest_before_commit_us").map(|us| us / 1e6),
                    5e-3,
                    seconds,
                ),
                at_most(
                    "read after over before",
                    quotient(prune("read_after_us"), prune("read_before_us")),
                    1.1,
                    ratio,
                ),
                at_most("file", prune("file_bytes_last_over_first_job"), 1.1, ratio),
            ],
            baseline: beside(
                "with its flushes",
                time("prune_signatures/durable/20000_of_3kB"),
                None,
                seconds,
            ),
        },
        Row {
            what: "head update, 10,000 live blocks, 4,096 votes",
            neighbour: "241 ms at 1,000 blocks",
            checks: vec![at_most(
                "",
                time("head_update/copy_accept_publish/10000_blocks"),
                1e-3,
                seconds,
            )],
            baseline: None,
        },
    ]
}
