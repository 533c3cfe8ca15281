//! The score: each planted fault is found, and what is planted into a run without one finds nothing.

use std::{collections::BTreeMap, path::Path};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Campaign, Effort, Tears},
    jobs::JOBS,
    network::{Kind, node},
    plants::PLANTS,
    record::Recording,
    whole::RUNS,
};

use crate::support::{disk, effort, programs, restoration, scenario, scratch};

/// Images of each run with a fault that are judged, and as many once more where these show nothing.
const IMAGES: usize = 100;

#[test]
fn every_planted_fault_is_found() {
    let (disk, scratch) = (disk(), scratch());
    let mut runs: BTreeMap<&str, Campaign> = BTreeMap::new();
    let is_here = |run| !RUNS.contains(&run) && JOBS.iter().all(|job| job.name != run);
    for plant in PLANTS.iter().filter(|plant| is_here(plant.run)) {
        let folder = disk.path().join(plant.run);
        runs.entry(plant.run).or_insert_with(|| match plant.run {
            "node" => node("node", &programs(), &folder, 6, Kind::Durable),
            RESTORE => restoration(RESTORE, &folder),
            name => scenario(name, &folder),
        });
    }
    let runs: Vec<&Campaign> = runs.values().collect();
    are_found(&runs, scratch.path());
}

/// Each fault that is planted into one of these runs is found.
pub fn are_found(runs: &[&Campaign], scratch: &Path) {
    let (mut table, mut missed) = (String::new(), Vec::new());
    for plant in PLANTS {
        let Some(run) = runs.iter().find(|run| run.name == plant.run) else { continue };
        let recording =
            Recording { trace: plant.into_run(&run.recording.trace), ..run.recording.clone() };
        let campaign = Campaign {
            name: format!("planted-{}", plant.run),
            recording,
            subject: run.subject.clone(),
            promise: run.promise.clone(),
        };
        let effort = effort(&campaign.name, scratch);
        let judge = |images_max| {
            campaign.run(&Effort { images_max, tears: Tears::Never, ..effort.clone() })
        };
        let outcome = judge(IMAGES);
        let outcome = if outcome.failed > 0 { outcome } else { judge(2 * IMAGES) };
        let checks: Vec<String> =
            outcome.by_check.iter().map(|(check, count)| format!("{check} {count}")).collect();
        let (name, failed) = (plant.name, outcome.failed);
        table.push_str(&format!(
            "| {name} | {} | {failed} of {} | {} |\n",
            plant.run,
            outcome.judged,
            checks.join(", ")
        ));
        if failed == 0 {
            missed.push(name);
        }
    }
    println!("{table}");
    assert_eq!((missed, table.is_empty()), (Vec::new(), false), "{table}");
}
