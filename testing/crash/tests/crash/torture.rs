//! The long run: every run's images, seed after seed, each recording anew.

use std::time::{Duration, Instant};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Effort, Outcome},
    network::{Kind, node},
    scenario::NAMES,
};

use crate::support::{disk, effort, number, programs, restoration, scenario, scratch};

/// Slots that a node runs for each seed.
const SLOTS: u64 = 12;

/// Hours, unless told otherwise.
const HOURS: u64 = 8;

#[test]
#[ignore = "hours: make torture"]
fn torture() {
    let end = Instant::now() + Duration::from_secs(number("LAMELLA_CRASH_HOURS", HOURS) * 3_600);
    let (mut all, mut seed) = (Outcome::default(), effort("", "".as_ref()).seed);
    while Instant::now() < end {
        for name in NAMES.iter().chain(&[RESTORE, "node", "node-lazy", "node-archive"]) {
            let (disk, scratch) = (disk(), scratch());
            let campaign = match *name {
                RESTORE => restoration(disk.path()),
                "node" => node(name, &programs(), disk.path(), SLOTS, Kind::Durable),
                "node-lazy" => node(name, &programs(), disk.path(), SLOTS, Kind::Lazy),
                "node-archive" => node(name, &programs(), disk.path(), SLOTS, Kind::Archiving),
                name => scenario(name, disk.path()),
            };
            let effort = Effort { seed, images_max: usize::MAX, ..effort(name, scratch.path()) };
            let outcome = campaign.run(&effort);
            all.add(&outcome);
            println!(
                "seed {seed}, {name}: {} images made, {} distinct, {} judged, {} failed; in all {} judged, {} failed",
                outcome.made,
                outcome.distinct,
                outcome.judged,
                outcome.failed,
                all.judged,
                all.failed
            );
            assert_eq!(outcome.failed, 0, "{:#?}", outcome.first);
        }
        seed += 1;
    }
}
