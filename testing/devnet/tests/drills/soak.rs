//! The drills again and again, longer, in random order: `make soak`.

use std::{
    env,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::{clock, foreign, join, kills, partition, window};

/// Minutes of a soak unless `SOAK_MINUTES` says otherwise.
const MINUTES: u64 = 30;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

#[test]
#[ignore = "takes SOAK_MINUTES: make soak"]
fn soak() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let (minutes, seed) = (setting("SOAK_MINUTES").unwrap_or(MINUTES), setting("SOAK_SEED"));
    let seed = seed.unwrap_or(now);
    println!("soak: SOAK_SEED={seed} SOAK_MINUTES={minutes}");
    let (started, mut random) = (Instant::now(), SplitMix64::seed_from_u64(seed));
    let mut drills = 0;
    while started.elapsed() < Duration::from_secs(60 * minutes) {
        let length = random.next_u64() % 4;
        let (what, from) = (random.next_u64() % 7, Instant::now());
        let (name, run): (&str, &dyn Fn()) = match what {
            0 => ("kills", &|| kills::drill(10 + 10 * length)),
            1 => ("partition", &|| partition::drill(30 + 60 * length)),
            2 => ("joiner from genesis", &|| join::from_genesis(100 + 200 * length)),
            3 => ("joiner by checkpoint", &|| join::by_checkpoint(100 + 200 * length)),
            4 => ("a wrong clock", &|| clock::drill(12 + 6 * length)),
            5 => ("away too long", &window::drill),
            _ => ("foreign directory", &foreign::drill),
        };
        run();
        drills += 1;
        println!("soak: {drills}. {name}, length {length}: {} s", from.elapsed().as_secs());
    }
    println!("soak: {drills} drills in {} s, all passed", started.elapsed().as_secs());
}
