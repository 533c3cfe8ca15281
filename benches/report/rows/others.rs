//! Restart, backup, pruning, fork choice.

use crate::{
    format::{ratio, seconds},
    measured::Measured,
    row::{By, Row, at_most, quotient, slower, told, within},
};

pub fn rows(measured: &Measured) -> Vec<Row> {
    vec![restart(measured), backup(measured), prune(measured), head(measured)]
}

fn restart(measured: &Measured) -> Row {
    let ours = "restart/open_to_head_state/durable/V4096_H261k";
    Row {
        what: "open a directory and have the head's state, H 261k",
        inside: "a closed directory of 1,023 blocks, its file in the page cache: locks, all that a start checks, fork \
                 choice from the rows, the very first read. No process start, no network",
        neighbour: "5 to 12 s",
        checks: vec![within("", measured, ours, By::Both, 150e-3)],
        baselines: vec![slower(
            "open a store of full states, without flushes or checks, and read one on as many threads",
            measured,
            "restart/baseline_full_state/lazy/V4096_H261k",
            Some(ours),
            By::Both,
        )],
    }
}

fn backup(measured: &Measured) -> Row {
    let figure = |what: &str| measured.figure(&format!("backup/{what}"));
    let over = |at: &str| {
        let (beside, alone) =
            (format!("import_beside_a_backup/{at}"), format!("import_alone/{at}"));
        quotient(figure(&beside), figure(&alone))
    };
    let grown = figure("file_growth_per_cent").map(|hundredths| 1.0 + hundredths / 100.0);
    Row {
        what: "import while another process backs the directory up, p99 over p99 alone",
        inside: "V 4096, proofs of 190 KB, 390 MB and more: durable imports of a block each, one each 100 ms, 1,200 alone and as \
                 many as three whole backups take, in turn; the copy is made and flushed on the same disk, row by row, right after \
                 an import if it can, and every state of it hashed. *File*: what it comes to over what the same imports alone make of it",
        neighbour: "-",
        checks: vec![
            at_most("", over("p99_us"), 1.2, ratio),
            told("medians", over("p50_us"), ratio),
            at_most("file", grown, 1.01, ratio),
        ],
        baselines: Vec::new(),
    }
}

fn prune(measured: &Measured) -> Row {
    let job = |durability: &str| format!("prune_signatures/{durability}/20000_of_3kB");
    let figure = |durability: &str, what: &str| {
        measured.figure(&format!("prune_signatures/{durability}/{what}"))
    };
    let time = |durability: &str, what: &str| figure(durability, what).map(|us| us / 1e6);
    let durable = |what: &str| figure("durable", what);
    Row {
        what: "prune 20,000 signatures of 3 KB",
        inside: "one thread; 79 transactions of at most 256 rows, **each with its commit**, flushed or not as it says. The \
                 longest transaction is the median over jobs of each job's longest",
        neighbour: "50 us tombstone, slower reads, no space back",
        checks: vec![
            within("job, lazy", measured, &job("lazy"), By::Clock, 100e-3),
            at_most(
                "longest transaction, lazy",
                time("lazy", "longest_transaction_us"),
                5e-3,
                seconds,
            ),
            at_most(
                "longest transaction, durable",
                time("durable", "longest_transaction_us"),
                5e-3,
                seconds,
            ),
            told(
                "worst of all jobs, durable",
                time("durable", "longest_transaction_worst_us"),
                seconds,
            ),
            at_most(
                "read after over before",
                quotient(durable("read_after_us"), durable("read_before_us")),
                1.1,
                ratio,
            ),
            at_most(
                "file after the last job over the first",
                durable("file_bytes_last_over_first_job"),
                1.1,
                ratio,
            ),
        ],
        baselines: vec![slower("the job, durable", measured, &job("durable"), None, By::Clock)],
    }
}

fn head(measured: &Measured) -> Row {
    Row {
        what: "head update, 10,000 live blocks, 4,096 votes",
        inside: "one thread, in memory, no disk: fork choice copied, all votes of one new aggregate accepted and moved to \
                 the other branch, head found, copy published",
        neighbour: "241 ms at 1,000 blocks",
        checks: vec![within(
            "",
            measured,
            "head_update/copy_accept_publish/10000_blocks",
            By::Clock,
            1e-3,
        )],
        baselines: Vec::new(),
    }
}
