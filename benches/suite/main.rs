//! What a node does, measured. `cargo bench -p lamella-benches -- import_block` runs one group.
//!
//! Baselines that a user would otherwise pick run beside what they stand against: `ssz_rs` containers, a full state
//! written for each block, snapshots and diffs that are walked. Criterion runs and compares; the report takes every
//! single time (see `lamella_benches::timing`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    reason = "a benchmark fails by panicking, and criterion's macros make undocumented functions"
)]
#![allow(clippy::cast_precision_loss, reason = "figures far below 2^52")]

mod archive;
mod curves;
mod diffs;
mod full_state;
mod group;
mod head;
mod import;
mod parts;
mod prune;
mod read;
mod restart;
mod signatures;
mod state;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Short runs: the whole suite takes a few minutes.
fn settings() -> Criterion {
    Criterion::default()
        .sample_size(15)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1500))
}

criterion_group! {
    name = node;
    config = settings();
    targets =
        import::import_block,
        import::import_batch,
        read::read_state_cold,
        read::read_state_in_stall,
        read::read_state_hot,
        diffs::diff_encode,
        diffs::diff_apply,
        state::state_root,
        state::state_ssz,
        state::state_json,
        prune::prune_signatures,
        restart::restart,
        head::head_update,
        signatures::signatures,
        archive::archive,
        curves::over_history,
        curves::over_stall,
}
criterion_main!(node);
