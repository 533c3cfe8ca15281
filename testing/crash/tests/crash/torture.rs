//! The long runs: images of every run, each recorded anew and of another variant in each round; and kills.

use std::{sync::Arc, time::Instant};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Campaign, Effort},
    jobs::{JOBS, Job},
    network::{Kind, node},
    scenario::NAMES,
    tally::Tally,
    whole::Grown,
};

use crate::{
    failed_calls, kills,
    runs::{KILLED, killed as killed_and_again},
    support::{NODES, disk, effort, hours, programs, restoration, scenario, scratch},
};

/// The processes beside an archive.
const BESIDE: &str = "beside";

/// Slots that a node runs for each seed.
const SLOTS: u64 = 12;

#[test]
#[ignore = "hours: make torture"]
fn images() {
    let tally = Arc::new(Tally::until(Instant::now() + hours()));
    let mut seed = effort("", "".as_ref()).seed;
    while !tally.is_over() {
        let jobs = JOBS.iter().map(|job| job.name);
        for name in NAMES.iter().chain(NODES).chain(&[RESTORE, BESIDE]).copied().chain(jobs) {
            if tally.is_over() {
                break;
            }
            tally.begin(&format!("seed {seed}, {name}"));
            let disk = disk();
            let node = |kind| vec![node(name, &programs(), disk.path(), SLOTS, kind)];
            let variant = format!("{name}@{seed}");
            let campaigns = match name {
                RESTORE => vec![restoration(&variant, disk.path())],
                "node" => node(Kind::Durable),
                "node-lazy" => node(Kind::Lazy),
                "node-archive" => node(Kind::Archiving),
                BESIDE => {
                    let grown = Grown::make(&programs(), disk.path());
                    vec![grown.seals(), grown.fetches(), grown.follows()]
                }
                name if NAMES.contains(&name) => vec![scenario(&variant, disk.path())],
                name => vec![Job::named(name).record(&programs(), disk.path(), seed)],
            };
            campaigns.iter().for_each(|campaign| judge(campaign, 0, seed, &tally));
        }
        for name in KILLED {
            if tally.is_over() {
                break;
            }
            tally.begin(&format!("seed {seed}, {name}, killed and again"));
            let disk = disk();
            let killed = killed_and_again(&format!("{name}@{seed}"), disk.path());
            killed.iter().for_each(|(from, campaign)| judge(campaign, *from, seed, &tally));
        }
        tally.tell();
        seed += 1;
    }
}

fn judge(campaign: &Campaign, from_event: usize, seed: u64, tally: &Arc<Tally>) {
    let scratch = scratch();
    let effort = effort(&campaign.name, scratch.path());
    let tally = Some(Arc::clone(tally));
    let outcome =
        campaign.run(&Effort { seed, images_max: usize::MAX, from_event, tally, ..effort });
    println!(
        "seed {seed}, {}: {} images made, {} distinct, {} judged, {} with a finding",
        campaign.name, outcome.made, outcome.distinct, outcome.judged, outcome.failed
    );
    assert_eq!(outcome.failed, 0, "{:#?}", outcome.first);
}

/// Every call of the runs of [`failed_calls`] in every way, once and for ever.
#[test]
#[ignore = "hours: make torture"]
fn failed() {
    let (until, mut tried) = (Instant::now() + hours(), 0);
    for (name, _) in failed_calls::RUNS {
        if Instant::now() < until {
            tried += failed_calls::fails(name, 1);
            println!("so far: {tried} runs with a call that failed, up to {name}");
        }
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
