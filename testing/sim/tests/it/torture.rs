//! Seeds for hours: `make torture`.

use std::{
    env,
    time::{Duration, Instant},
};

use crate::support::{number, seeds};

/// Seeds between two lines about them.
const SEEDS: u64 = 100;

/// Each round its own seeds, from the first one on; the seeds of every round are told.
#[test]
#[ignore = "runs for hours"]
fn torture() {
    let hours = env::var("LAMELLA_CRASH_HOURS").map_or(8.0, |hours| hours.parse().unwrap());
    let mut first = number("LAMELLA_CRASH_SEED", 12).saturating_mul(1_000_000);
    let (until, mut node_hours, mut restarts) =
        (Instant::now() + Duration::from_secs_f64(3_600.0 * hours), 0.0, 0);
    let begins = first;
    while Instant::now() < until {
        let sum = seeds(first, SEEDS, Some(until));
        node_hours += sum.node_hours();
        restarts += sum.restarts;
        println!(
            "so far: {node_hours:.1} node-hours, {restarts} nodes killed and started again, {} findings; seeds {begins} to {}",
            sum.findings.len(),
            first + sum.seeds - 1
        );
        assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n\n"));
        first += SEEDS;
    }
}
