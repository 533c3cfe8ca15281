//! Both simulations for hours: `make torture`.

use std::{
    env,
    time::{Duration, Instant},
};

use crate::{follow_simulation, simulation};

/// Seeds of each simulation between two looks at the time.
const SEEDS: u64 = 20;

/// Time between two lines about them.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Each round its own seeds, from the first one on; a panic of any says which it was.
#[test]
#[ignore = "runs for hours"]
fn archives() {
    let hours = env::var("LAMELLA_CRASH_HOURS").map_or(8.0, |hours| hours.parse().unwrap());
    let first = env::var("LAMELLA_CRASH_SEED").map_or(12, |seed| seed.parse::<u64>().unwrap());
    let begins = first.saturating_mul(1_000_000);
    let until = Instant::now() + Duration::from_secs_f64(3_600.0 * hours);
    let (mut next, mut told) = (begins, Instant::now());
    let (mut restored, mut sum) = (0, follow_simulation::Counts::default());
    while Instant::now() < until {
        restored += simulation::seeds(next..next + SEEDS);
        sum.add_all(follow_simulation::seeds(next..next + SEEDS));
        next += SEEDS;
        if told.elapsed() >= TOLD_EVERY || Instant::now() >= until {
            told = Instant::now();
            let (seeds, last) = (next - begins, next - 1);
            println!(
                "so far: {seeds} archives shipped and {restored} restored, {seeds} followed ({} to the end), 0 findings; seeds {begins} to {last}",
                sum.of("tail")
            );
        }
    }
}
