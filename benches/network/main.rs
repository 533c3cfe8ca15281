//! What two nodes do over QUIC on the loopback address: real processes of `lamella node`, read by their logs' times.
//!
//! The binary is this one: told `node`, it is `lamella`, as it would be built for a release.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a benchmark fails by panicking"
)]

mod gossip;
mod join;
mod log;

use std::{env, process::ExitCode, time::Duration};

use clap::Parser;
use lamella::cli::Cli;
use lamella_benches::timing::Spent;

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|command| command == "node") {
        return Cli::parse().run();
    }
    // Whether it runs at all is what the drills show.
    if env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    // As criterion's benches: words beside flags choose among the names.
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_asked = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    for (validators, slot_ms, name) in [(4, 1_000, "V4"), (128, 2_000, "V128")] {
        let name = format!("network/block_to_neighbours_head/{name}");
        if is_asked(&name) {
            gossip::measure(name, validators, slot_ms);
        }
    }
    for (validators, blocks, name) in
        [(4, join::BLOCKS_OF_5, "V4"), (128, join::BLOCKS_OF_129, "V128")]
    {
        let name = format!("network/join_from_genesis/{name}");
        if is_asked(&name) {
            join::measure(name, validators, blocks);
        }
    }
    ExitCode::SUCCESS
}

/// A time by the clock. What other processes' processors did is not known.
const fn by_clock(clock: Duration) -> Spent {
    Spent { clock, processors: Duration::ZERO }
}
