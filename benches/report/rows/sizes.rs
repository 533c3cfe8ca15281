//! Memory and disk.

use crate::{
    format::{bytes, ratio},
    measured::Measured,
    row::{Row, at_most, beside},
};

const MIB: f64 = 1_048_576.0;

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![memory(measured), diffs(measured), anchors(measured), slot(measured)]
}

fn memory(measured: &Measured) -> Row {
    let ours = measured.figure("memory/32_states_beyond_the_first/260096");
    Row {
        what: "32 cached states beyond the first, V 4096, H 261k",
        inside: "no clock: counted by the allocator, successive blocks, history tails as long as they get",
        neighbour: "+260 MiB",
        checks: vec![at_most("", ours, 12.0 * MIB, bytes)],
        baselines: vec![
            beside(
                "plain `ssz_rs`, which shares nothing",
                measured.figure("memory/baseline_32_ssz_rs_states/260096"),
                ours,
                bytes,
            ),
            beside(
                "history and registry as `milhouse` lists, by its own count, other fields left out",
                measured.figure("memory/baseline_32_tree_lists"),
                ours,
                bytes,
            ),
        ],
    }
}

fn diffs(measured: &Measured) -> Row {
    let ours = measured.figure("diffs/mean_of_a_stall_of_2100_slots");
    Row {
        what: "diff of a block, mean over a stall of 2,100 slots",
        inside: "no clock: encoded bytes without key and seal, half of 4,096 voting",
        neighbour: "33.8 KB",
        checks: vec![at_most("", ours, 1200.0, bytes)],
        baselines: vec![beside(
            "the whole tally in each",
            measured.figure("diffs/baseline_mean_of_a_stall_of_2100_slots"),
            ours,
            bytes,
        )],
    }
}

fn anchors(measured: &Measured) -> Row {
    let ours = measured.figure("disk/anchors_history_registry/262144");
    Row {
        what: "anchors, history and registry of 262,144 slots, V 4096",
        inside: "no clock: pages of their tables; what a state is rebuilt from, without the diffs",
        neighbour: "1.2 GB",
        checks: vec![at_most("", ours, 14e6, bytes)],
        baselines: vec![beside(
            "a full snapshot every 1,024 slots, SSZ",
            measured.figure("disk/baseline_snapshots/262144"),
            ours,
            bytes,
        )],
    }
}

fn slot(measured: &Measured) -> Row {
    let figure = |name: &str| measured.figure(name);
    Row {
        what: "pages of a healthy slot without its proof, V 4096; file over live data",
        inside: "no clock: growth of all tables but that of the proofs over 2,048 slots, anchors included",
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
        baselines: Vec::new(),
    }
}
