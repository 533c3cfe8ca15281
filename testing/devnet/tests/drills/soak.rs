//! `make soak`: a network under every attack at once, then the drills again and again, longer, in random order.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lamella_devnet::{DevnetOptions, KeyProgress, show::Lines};
use lamella_interrupt::Interrupt;
use rand_xoshiro::{
    SplitMix64,
    rand_core::{Rng as _, SeedableRng as _},
};

use crate::{FOUR, clock, foreign, join, kills, partition, strangers, window};

/// Minutes of a soak unless `SOAK_MINUTES` says otherwise.
const MINUTES: u64 = 30;

/// A number from the environment.
fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Milliseconds of a slot under attack.
const SLOT_MS: u64 = 1_000;

/// Minutes and the seed.
fn settings() -> (u64, u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let minutes = setting("SOAK_MINUTES").unwrap_or(MINUTES);
    (minutes, setting("SOAK_SEED").unwrap_or(now))
}

/// Four nodes, of which one comes and goes and lost a validator's keys, among strangers that do all they can for the
/// whole time: the others lose no duty, nobody takes more than 300 MB, and nobody honest is banned.
#[test]
#[ignore = "takes SOAK_MINUTES: make soak"]
fn soak_under_attack() {
    let (minutes, seed) = settings();
    let dir = tempfile::tempdir().unwrap();
    let options = DevnetOptions {
        nodes: Some(4),
        validators: Some(8),
        slot_ms: Some(SLOT_MS),
        slots: Some(minutes * 60_000 / SLOT_MS),
        key_slots: None,
        dir: dir.path().into(),
        signature_window: None,
        archive: None,
        is_hostile: true,
        has_churn: true,
        seed,
        program: FOUR.program.into(),
    };
    let progress: KeyProgress = Arc::new(|_, _| {});
    lamella_devnet::run(&options, &Interrupt::default(), &mut Lines, &progress).unwrap();
}

#[test]
#[ignore = "takes SOAK_MINUTES: make soak"]
fn soak() {
    let (minutes, seed) = settings();
    println!("soak: SOAK_SEED={seed} SOAK_MINUTES={minutes}");
    let (started, mut random) = (Instant::now(), SplitMix64::seed_from_u64(seed));
    let mut drills = 0;
    while started.elapsed() < Duration::from_secs(60 * minutes) {
        let length = random.next_u64() % 4;
        let (what, from) = (random.next_u64() % 8, Instant::now());
        let (name, run): (&str, &dyn Fn()) = match what {
            0 => ("kills", &|| kills::drill(10 + 10 * length)),
            1 => ("partition", &|| partition::drill(30 + 60 * length)),
            2 => ("joiner from genesis", &|| join::from_genesis(100 + 200 * length)),
            3 => ("joiner by checkpoint", &|| join::by_checkpoint(100 + 200 * length)),
            4 => ("a wrong clock", &|| clock::drill(12 + 6 * length)),
            5 => ("away too long", &window::drill),
            6 => ("strangers", &|| strangers::drill(400 + 400 * length)),
            _ => ("foreign directory", &foreign::drill),
        };
        run();
        drills += 1;
        println!("soak: {drills}. {name}, length {length}: {} s", from.elapsed().as_secs());
    }
    println!("soak: {drills} drills in {} s, all passed", started.elapsed().as_secs());
}
