//! Seeds for hours: `make torture`.

use std::{
    io::{Write as _, stdout},
    time::{Duration, Instant},
};

use crate::support::{number, seeds};

/// Seeds between two lines about them.
const SEEDS: u64 = 500;

/// Each round its own seeds, from the first one on; the seeds of every round are told.
#[test]
#[ignore = "runs for hours"]
fn torture() {
    let hours = number("LAMELLA_CRASH_HOURS", 8);
    let mut first = number("LAMELLA_CRASH_SEED", 12).saturating_mul(1_000_000);
    let (until, mut node_hours, mut restarts) =
        (Instant::now() + Duration::from_secs(hours * 3_600), 0.0, 0);
    while Instant::now() < until {
        let sum = seeds(first, SEEDS, Some(until));
        node_hours += sum.node_hours();
        restarts += sum.restarts;
        println!(
            "seeds {first}..{}: {} findings; so far {node_hours:.1} node-hours, {restarts} restarts",
            first + sum.seeds,
            sum.findings.len()
        );
        stdout().flush().unwrap();
        assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n\n"));
        first += SEEDS;
    }
}
