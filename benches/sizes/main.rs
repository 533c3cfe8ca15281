//! What a chain takes, on disk and in memory, beside what other designs would. Nothing here is timed; every figure is
//! the same in every run but for the allocator's rounding. `cargo bench -p lamella-benches --bench sizes`.
//!
//! The limits that tests hold these sizes to are in `testing/sizes`; here are the curves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "sizes far below 2^52")]

mod archive;
mod commit;
mod diffs;
mod disk;
mod memory;

use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

fn main() {
    // Cargo hands every bench its arguments: a test run, or the filter of another bench.
    if std::env::args().skip(1).any(|argument| argument == "--test" || !argument.starts_with('-')) {
        return;
    }
    commit::pages_of_an_import();
    memory::cached_states(&ALLOCATOR);
    let healthy_diff_bytes = diffs::over_stall();
    disk::over_history(&healthy_diff_bytes);
    disk::healthy_slot();
    archive::bytes_a_slot();
}
