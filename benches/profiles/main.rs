//! Profiles behind the choices that were open: page size, interval of full tallies, segment size, checksum.
//! `cargo bench -p lamella-benches --bench profiles`; docs/benchmarks.md says what was decided.
//!
//! Plain loops and medians instead of criterion: each profile weighs several things at once, bytes among them, and the
//! alternatives that lost are not worth a benchmark that runs for ever.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "sizes far below 2^52")]

mod checksum;
mod page;
mod segment;
mod tally;

use std::time::Duration;

fn main() {
    // Cargo hands every bench its arguments: a test run, or the filter of another bench.
    if std::env::args().skip(1).any(|argument| argument == "--test" || !argument.starts_with('-')) {
        return;
    }
    checksum::profile();
    segment::profile();
    tally::profile();
    page::profile();
}

/// The median in microseconds.
fn median_us(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e6
}
