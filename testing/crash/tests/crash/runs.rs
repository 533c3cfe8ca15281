//! The runs whose images are judged.

use std::path::Path;

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Effort, Outcome, Tears},
    jobs::{JOBS, Job},
    network::{self, Kind, Lone, NetworkPlan, VALIDATORS, lived, node},
    plants::{PLANTS, SIGN},
    record::{Recorder, Recording},
    scenario::{FULL, HEAVY, NAMES, SHIP},
    trace::Operation,
    whole::{self, Grown},
};

use crate::{
    planted::are_found,
    support::{
        disk, effort, programs, restoration, run, scenario, scratch, survives, variant, wanted,
    },
};

/// Bytes of a lazy run's data file, as it begins.
const FULL_BYTES: u64 = 128 << 20;

/// The data file of a scenario.
const DATA: &str = "db/mdbx.dat";

#[test]
fn every_image_of_every_scenario_holds_what_was_acknowledged() {
    for name in wanted(NAMES) {
        let (disk, scratch) = (disk(), scratch());
        survives(&scenario(&name, disk.path()), scratch.path());
    }
}

/// Images of each run that are opened with a crash meanwhile.
const RECOVERIES: usize = 12;

/// Of each of these, so much less is tried than of a run: fifty images, of a slow one twelve.
const RECOVERY_SHARE: usize = 28;

#[test]
fn a_crash_while_an_image_is_opened_loses_nothing_either() {
    for name in ["create", "head", "lazy"] {
        let (disk, scratch) = (disk(), scratch());
        let effort = effort(name, scratch.path());
        let images_max = effort.images_max / RECOVERY_SHARE;
        // Who opens lazy commits has the engine overwrite whole meta pages: torn into garbage, they are refused and named.
        let effort = Effort { images_max, tears: Tears::Old, image: None, ..effort };
        let open = |recorder: &Recorder, root: &Path| {
            run(recorder.command(&programs().driver).args(["open", name]).arg(root));
        };
        let campaign = scenario(name, disk.path());
        let mut all = Outcome::default();
        let again = disk.path().join("open");
        let promise = |_: &Recording| campaign.promise.clone();
        for recovery in campaign.recoveries(&effort, &again, RECOVERIES, open, promise) {
            all.add(&recovery.run(&effort));
        }
        println!("{name}, opened: {} distinct, {} judged", all.distinct, all.judged);
        assert_eq!(all.failed, 0, "{:#?}", all.first);
        assert!(all.judged > RECOVERIES, "{all:?}");
    }
}

/// Images of a node's run on which a node starts.
const STARTS: usize = 4;

/// What a crash leaves of a node, a node takes up again, goes on, and may be cut again.
#[test]
fn a_node_that_starts_after_a_crash_goes_on_and_a_crash_then_loses_nothing_either() {
    let (disk, scratch) = (disk(), scratch());
    let lone = Lone::make(disk.path(), NetworkPlan::of(2_048));
    let campaign = lived("node-again", &programs(), &lone, 5, Kind::Durable);
    let effort = effort("node-again", scratch.path());
    let effort = Effort { images_max: 150, image: None, ..effort };
    let start = |recorder: &Recorder, root: &Path| lone.go_on(&programs(), recorder, root);
    let promise = |recording: &Recording| {
        let again = (recording.clone(), campaign.subject.clone());
        network::campaign("again", again.0, again.1, VALIDATORS, &programs()).promise
    };
    let again = disk.path().join("again");
    let mut all = Outcome::default();
    for start in campaign.recoveries(&effort, &again, STARTS, start, promise) {
        all.add(&start.run(&effort));
    }
    println!("node, started again: {} distinct, {} judged", all.distinct, all.judged);
    assert_eq!(all.failed, 0, "{:#?}", all.first);
    assert!(all.judged > 100, "{all:?}");
}

/// Symptom: a directory said that a segment was in the archive, and after a power cut there was no archive.
/// Mechanism: objects and the folders between were flushed, the archive's own folder never into the one above it.
/// Fix: who opens an archive for writing flushes every folder on the way to it.
#[test]
fn the_name_of_an_archives_folder_is_flushed_before_a_segment_is_put() {
    let disk = disk();
    let trace = scenario(SHIP, disk.path()).recording.trace;
    let at = |wanted: &dyn Fn(&Operation) -> bool| trace.operations.iter().position(wanted);
    let made = at(&|it| matches!(it, Operation::MakeFolder { path } if path == "archive"));
    let named = at(&|it| matches!(it, Operation::Flush { path } if path.is_empty()));
    let put = at(&|it| matches!(it, Operation::Link { to, .. } if to.ends_with(".lseg")));
    assert!(made.is_some() && made < named && named < put, "{made:?} {named:?} {put:?}");
}

#[test]
fn a_restoration_leaves_a_whole_directory_or_none_and_the_same_command_makes_it_whole() {
    for name in wanted(&[RESTORE]) {
        let (disk, scratch) = (disk(), scratch());
        survives(&restoration(&name, disk.path()), scratch.path());
    }
}

/// Every command that moves a database, and what is planted into it.
#[test]
fn a_command_that_moves_a_database_leaves_one_and_ends_when_it_is_run_again() {
    let all: Vec<&str> = JOBS.iter().map(|job| job.name).collect();
    for name in wanted(&all) {
        let (disk, scratch) = (disk(), scratch());
        let job = Job::named(name.split('@').next().unwrap_or_default());
        let campaign = job.record(&programs(), disk.path(), variant(&name));
        survives(&campaign, scratch.path());
        if PLANTS.iter().any(|plant| plant.run == campaign.name) {
            are_found(&[&campaign], scratch.path());
        }
    }
}

fn lives(run: &str, until_slot: u64, kind: Kind) {
    for name in wanted(&[run]) {
        let (disk, scratch) = (disk(), scratch());
        let campaign = node(&name, &programs(), disk.path(), until_slot, kind);
        survives(&campaign, scratch.path());
    }
}

#[test]
fn a_node_from_its_first_start_to_its_orderly_stop_loses_nothing_acknowledged() {
    lives("node", 8, Kind::Durable);
}

#[test]
fn a_node_with_lazy_commits_never_forgets_what_it_signed() {
    lives("node-lazy", 10, Kind::Lazy);
}

#[test]
fn a_node_that_begins_an_archive_loses_nothing_acknowledged() {
    lives("node-archive", 6, Kind::Archiving);
}

/// One node's network, so that what takes its time is done once: a segment that is finalized.
#[test]
fn processes_beside_an_archive_lose_nothing_acknowledged() {
    let wanted = wanted(&whole::RUNS);
    if wanted.is_empty() {
        return;
    }
    let (disk, scratch) = (disk(), scratch());
    let grown = Grown::make(&programs(), disk.path());
    let mut campaigns = vec![grown.seals(), grown.fetches(), grown.follows()];
    campaigns.retain(|campaign| wanted.contains(&campaign.name));
    for campaign in &campaigns {
        survives(campaign, scratch.path());
    }
    are_found(&campaigns.iter().collect::<Vec<_>>(), scratch.path());
}

/// Symptom: of a run with lazy commits, a power cut left a directory that nothing could open, its sign guard included.
/// Mechanism: short of pages, the engine makes the commit before a checkpoint and reuses the pages of the one before that;
/// the checkpoint's meta page it writes and does not flush, so the cut may keep the pages and lose the meta page.
/// Fix: a lazy transaction begins with room to grow, or right after a flush, so the engine makes no checkpoint by itself.
#[test]
fn a_checkpoint_of_lazy_commits_is_flushed_before_pages_are_reused() {
    for name in HEAVY.iter().chain([&"lazy"]) {
        let disk = disk();
        let trace = scenario(name, disk.path()).recording.trace;
        let grows = |operation: &Operation| match operation {
            Operation::Grow { path, bytes } => path == DATA && *bytes > FULL_BYTES,
            _ => false,
        };
        assert_eq!(*name == FULL, trace.operations.iter().any(grows), "{name}");
        let (mut unflushed, mut checkpoints) = (None, 0);
        for (number, operation) in trace.operations.iter().enumerate() {
            match operation {
                Operation::Flush { path } if path == DATA => unflushed = None,
                Operation::Write { path, bytes, .. } if path == DATA => {
                    assert_eq!(unflushed, None, "call {number}:\n{}", trace.told(usize::MAX));
                    if operation.is_meta_write() && bytes[SIGN] == [u8::MAX; 8] {
                        unflushed = Some(number);
                        checkpoints += 1;
                    }
                }
                _ => {}
            }
        }
        assert!(checkpoints > 0, "{name}");
    }
}
