//! The long runs: images of every run, each recorded anew and of another variant in each round; and kills.

use std::{sync::Arc, time::Instant};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::Effort,
    network::{Kind, node},
    scenario::NAMES,
    tally::Tally,
};

use crate::{
    kills,
    support::{disk, effort, hours, programs, restoration, scenario, scratch},
};

/// Slots that a node runs for each seed.
const SLOTS: u64 = 12;

#[test]
#[ignore = "hours: make torture"]
fn images() {
    let tally = Arc::new(Tally::until(Instant::now() + hours()));
    let mut seed = effort("", "".as_ref()).seed;
    while !tally.is_over() {
        for name in NAMES.iter().chain(&[RESTORE, "node", "node-lazy", "node-archive"]) {
            if tally.is_over() {
                break;
            }
            tally.begin(&format!("seed {seed}, {name}"));
            let (disk, scratch) = (disk(), scratch());
            let campaign = match *name {
                RESTORE => restoration(disk.path(), seed),
                "node" => node(name, &programs(), disk.path(), SLOTS, Kind::Durable),
                "node-lazy" => node(name, &programs(), disk.path(), SLOTS, Kind::Lazy),
                "node-archive" => node(name, &programs(), disk.path(), SLOTS, Kind::Archiving),
                name => scenario(&format!("{name}@{seed}"), disk.path()),
            };
            let effort = effort(name, scratch.path());
            let tally = Some(Arc::clone(&tally));
            let outcome = campaign.run(&Effort { seed, images_max: usize::MAX, tally, ..effort });
            println!(
                "seed {seed}, {name}: {} images made, {} distinct, {} judged, {} with a finding",
                outcome.made, outcome.distinct, outcome.judged, outcome.failed
            );
            assert_eq!(outcome.failed, 0, "{:#?}", outcome.first);
        }
        tally.tell();
        seed += 1;
    }
}

#[test]
#[ignore = "hours: make torture"]
fn killed() {
    let (until, mut seed, mut kills) = (Instant::now() + hours(), effort("", "".as_ref()).seed, 0);
    while Instant::now() < until {
        for round in kills::ROUNDS {
            kills += round(seed);
            println!("so far: {kills} kills; seed {seed}");
        }
        seed += 1;
    }
}
