//! Roots and imports.

use crate::{
    format::{bytes, ratio},
    measured::Measured,
    row::{By, Limit, Row, at_most, beside, per_second, quotient, slower, taken, told, within},
};

/// Blocks of a catch-up transaction.
const BATCH: f64 = 64.0;

/// Half of what an import wrote while the rows of a block lay in ten trees, at a proof of 3 KB.
const WRITTEN_BYTES_MAX: f64 = 77_200.0 / 2.0;

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![
        root(measured),
        tree_list(measured),
        import(measured),
        import_signed(measured),
        durable(measured),
        catch_up(measured),
        written(measured),
    ]
}

fn root(measured: &Measured) -> Row {
    let of = |at: &str| format!("state_root/new_post_state/{at}");
    let [short, long, stalled] =
        ["V4096_H1k", "V4096_H261k", "V4096_H261k_stalled_12h_new_votes"].map(of);
    let plain = |at: &str| format!("state_root/baseline_ssz_rs/{at}");
    Row {
        what: "root of a new post-state, V 4096, H 261k",
        inside: "one thread, nothing but the hashing; history, registry and an unchanged tally keep their roots from the \
                 parent. Healthy: the tally is empty. Stalled for 12 h: votes came in, and all of the tally is hashed anew",
        neighbour: "48.7 ms",
        checks: vec![
            within("healthy", measured, &long, By::Clock, 0.25e-3),
            within("stalled", measured, &stalled, By::Clock, 0.25e-3),
            at_most(
                "H 1k to 261k",
                quotient(measured.seconds(&long), measured.seconds(&short)),
                1.5,
                ratio,
            ),
        ],
        baselines: vec![
            slower(
                "plain `ssz_rs`, which keeps no hashes, healthy",
                measured,
                &plain("V4096_H261k"),
                Some(&long),
                By::Clock,
            ),
            slower(
                "stalled",
                measured,
                &plain("V4096_H261k_stalled_12h_new_votes"),
                Some(&stalled),
                By::Clock,
            ),
        ],
    }
}

fn tree_list(measured: &Measured) -> Row {
    let ours = "tree_list/ours";
    Row {
        what: "the same beside a tree-backed list, one root more in the history",
        inside: "one thread; the parent's state, its root known, cloned, one root appended to a history of 261k that ends \
                 in half a segment, the header changed, the state's root. Both sides share structure with the parent and \
                 hash only what changed; fields other than history and registry are hashed by our code on both sides",
        neighbour: "-",
        checks: vec![taken("", measured, ours, By::Clock)],
        baselines: vec![slower(
            "`milhouse` lists for history and registry",
            measured,
            "tree_list/milhouse",
            Some(ours),
            By::Clock,
        )],
    }
}

fn import(measured: &Measured) -> Row {
    let of = |at: &str| format!("import_block/lazy/{at}");
    let [short, long, stalled] = ["V4096_H1k", "V4096_H261k", "V4096_H261k_stalled_12h"].map(of);
    Row {
        what: "import without flush, V 4096, H 261k",
        inside: "one thread, the parent's state in memory, **proof taken on trust** (190 KB, stored): block root, base, \
                 transition, post-state root, diff, one transaction with all rows, one old proof and one live block \
                 dropped, commit without flush, publish. Anchors, and the flushes that such a database still makes, are \
                 in mean, p99 and worst",
        neighbour: "29.6 ms store + 48.7 ms root",
        checks: vec![
            within("", measured, &long, By::Clock, 1.5e-3),
            at_most(
                "H 1k to 261k",
                quotient(measured.seconds(&long), measured.seconds(&short)),
                1.5,
                ratio,
            ),
            taken("stalled for 12 to 15 h", measured, &stalled, By::Clock),
        ],
        baselines: vec![
            slower(
                "snapshots and diffs to walk: the same transition and root, then block, proof and diff or snapshot, no \
                 index, no fork choice, no pruning",
                measured,
                "import_block/baseline_linear/V4096_H261k",
                Some(&long),
                By::Clock,
            ),
            slower(
                "writing the full state and nothing else",
                measured,
                "import_block/baseline_full_state_write/V4096_H261k",
                Some(&long),
                By::Clock,
            ),
        ],
    }
}

fn import_signed(measured: &Measured) -> Row {
    Row {
        what: "import without flush, every signature checked, V 8",
        inside: "the sequence of the row above at 8 validators on a young chain (nothing to prune yet), and the proof \
                 verified under the scheme `raw`: 9 XMSS signatures of 2,536 bytes, on all cores",
        neighbour: "-",
        checks: vec![taken("", measured, "import_block/lazy/V8_signed", By::Both)],
        baselines: vec![slower(
            "ours with the proof on trust, V 8, with pruning",
            measured,
            "import_block/lazy/V8_H1k",
            None,
            By::Both,
        )],
    }
}

fn durable(measured: &Measured) -> Row {
    let ours = |at: &str| format!("import_block/durable/{at}");
    let bare = |at: &str| format!("import_block/durable_baseline_bare_write/{at}");
    let over_bare = |at: &str| quotient(measured.seconds(&ours(at)), measured.seconds(&bare(at)));
    Row {
        what: "durable import, a commit for each block",
        inside: "as the import without flush, with both flushes of a durable commit; beside each, in turn, the same number \
                 of bytes written in one run and flushed as often by the system alone. Ratios of medians",
        neighbour: "never flushes",
        checks: vec![
            at_most("V 4096, H 261k over its bytes alone", over_bare("V4096_H261k"), 1.5, ratio),
            at_most("V 8, H 1k over its bytes alone", over_bare("V8_H1k"), 1.5, ratio),
            taken("V 4096, H 261k", measured, &ours("V4096_H261k"), By::Clock),
            taken("V 8, H 1k", measured, &ours("V8_H1k"), By::Clock),
        ],
        baselines: vec![
            slower("bytes alone, V 4096", measured, &bare("V4096_H261k"), None, By::Clock),
            slower("bytes alone, V 8", measured, &bare("V8_H1k"), None, By::Clock),
        ],
    }
}

fn catch_up(measured: &Measured) -> Row {
    let batches =
        |of: &'static str, name: &str, limit| per_second(of, measured, name, BATCH, "batch", limit);
    Row {
        what: "import in catch-up, V 8, 64 blocks to a transaction",
        inside: "blocks already received and decoded; all of the import for each, one commit for 64, old proofs pruned",
        neighbour: "-",
        checks: vec![
            batches("proofs on trust, lazy", "import_batch/lazy/V8_H1k", Limit::AtLeast(2500.0)),
            batches(
                "proofs on trust, durable",
                "import_batch/durable/V8_H1k",
                Limit::AtLeast(2500.0),
            ),
            batches(
                "9 signatures a block checked on all cores, durable",
                "import_batch/durable/V8_signed",
                Limit::None,
            ),
        ],
        baselines: Vec::new(),
    }
}

fn written(measured: &Measured) -> Row {
    let figure = |name: &str| measured.figure(name);
    Row {
        what: "bytes of pages written by one import, V 4096",
        inside: "no clock: pages that the newest commit wrote, counted in the file, mean of 64 commits on a chain of 4,000 \
                 slots; its payload, a proof of 3 KB among it, is some 4 KB",
        neighbour: "-",
        checks: vec![
            at_most("", figure("disk/bytes_of_an_import/4000"), WRITTEN_BYTES_MAX, bytes),
            told("handed to write calls", figure("profiles/page/4096/3000/written_bytes"), bytes),
        ],
        baselines: vec![beside(
            "schema 2, handed to write calls",
            Some(2.0 * WRITTEN_BYTES_MAX),
            None,
            bytes,
        )],
    }
}
