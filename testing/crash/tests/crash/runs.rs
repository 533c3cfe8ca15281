//! The runs whose images are judged.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Campaign, Effort, Outcome, Tears},
    image::Image,
    jobs::{JOBS, Job},
    judge::Subject,
    network::{self, Kind, Lone, NetworkPlan, VALIDATORS, lived, node},
    plants::{PLANTS, SIGN},
    record::{Recorder, Recording},
    scenario::{FULL, HEAVY, MOVED, NAMES, SHIP},
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

/// Images of each pair of a killed run and the next one.
const AFTER_A_KILL: usize = 60;

/// Symptom: a node killed while it made its directory, another one in its place, a power cut: no database, though blocks had been
/// acknowledged. Mechanism: the names that the first had given and not flushed were never flushed. Fix: whoever opens a database
/// flushes its name and all on the way to it.
#[test]
fn a_crash_after_a_kill_and_another_start_loses_nothing_either() {
    survive("create");
}

#[test]
fn a_crash_after_a_kill_and_the_same_command_leaves_one_database_either() {
    for command in ["db-compact", "db-migrate", "db-backup", "follow-rebuild"] {
        survive(command);
    }
}

#[test]
fn a_crash_after_a_kill_and_another_shipping_or_restoring_loses_nothing_either() {
    survive(SHIP);
    survive(RESTORE);
}

/// The runs that are killed and taken up again.
pub const KILLED: [&str; 7] =
    ["create", SHIP, RESTORE, "db-compact", "db-migrate", "db-backup", "follow-rebuild"];

/// Such a run, `ship@13` of that variant, killed after each call, or after each that changes names, and taken up again: see
/// [`Campaign::killed`].
pub fn killed(name: &str, disk: &Path) -> Vec<(usize, Campaign)> {
    let (again, of_names) = (disk.join("again"), Operation::is_of_names);
    let driver = programs().driver;
    let drive = |recorder: &Recorder, root: &Path| {
        // A shipping that had ended has nothing to ship any more, and says so.
        let mut command = recorder.command(&driver);
        command.args(["drive", name]).arg(root).stderr(Stdio::null()).status().unwrap().success()
    };
    match name.split('@').next().unwrap_or_default() {
        // Its steps are taken once.
        "create" => scenario(name, disk).killed(&again, Some("begin 1"), |_| true, drive),
        SHIP => scenario(name, disk).killed(&again, None, of_names, drive),
        RESTORE => {
            let campaign = restoration(name, disk);
            let Subject::Restored { archive, .. } = &campaign.subject else {
                unreachable!("a restoration")
            };
            campaign.killed(&again, None, of_names, |recorder, root| {
                // What has its name is not made again.
                let mut command = recorder.command(&driver);
                command.arg("restore").args([archive, root]).stderr(Stdio::null());
                command.status().unwrap().success()
            })
        }
        job => {
            let job = Job::named(job);
            let campaign = job.record(&programs(), disk, variant(name));
            campaign.killed(&again, None, of_names, |recorder, root| {
                job.again(&programs(), &campaign, recorder, root)
            })
        }
    }
}

/// Judges what a crash leaves of a run after a kill.
fn survive(name: &str) {
    let (disk, scratch) = (disk(), scratch());
    let killed = killed(name, disk.path());
    let (mut all, kills) = (Outcome::default(), killed.len());
    for (from_event, killed) in killed {
        let effort = effort(name, scratch.path());
        let effort = Effort { images_max: AFTER_A_KILL, from_event, image: None, ..effort };
        all.add(&killed.run(&Effort { tears: Tears::Never, ..effort }));
    }
    println!("{name}, killed: {kills} kills, {} distinct, {} judged", all.distinct, all.judged);
    assert_eq!(all.failed, 0, "{:#?}", all.first);
    assert!(kills > 3 && all.judged > 5 * kills, "{kills}: {all:?}");
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
    let is_flushed = |it: &Operation| matches!(it, Operation::Flush { path } if path.is_empty());
    let later = made.and_then(|made| trace.operations[made..].iter().position(is_flushed));
    let named = later.and_then(|later| made.map(|made| made + later));
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

/// Symptom: after a kill, a second run and a power cut a directory could be without its database. Mechanism: a compaction that
/// was killed right after its last renaming is durable only once its folder was flushed; the next run, or `db clean`, deleted the
/// old database first. Fix: whoever deletes one flushes first which names there are.
#[test]
fn the_old_database_is_deleted_after_the_new_one_has_its_name_for_good() {
    let (disk, programs) = (disk(), programs());
    let root = disk.path().join("root");
    let data = root.join("data");
    fs::create_dir_all(&data).unwrap();
    run(Command::new(&programs.driver).args(["prepare", MOVED]).arg(&data));
    for command in [&["db", "compact"][..], &["db", "clean", "--delete"]] {
        Image::read(&data.join("db")).write(&data.join("db.before-compact"));
        let recorder = Recorder::begin(&root, &disk.path().join("strace.log"));
        let mut told = recorder.command(&programs.lamella);
        run(told.args(command).arg("--data-dir").arg(&data).stdout(Stdio::null()));
        let calls = recorder.end().trace.operations;
        let at = |wanted: &dyn Fn(&Operation) -> bool| calls.iter().position(wanted);
        let flushed = at(&|it| matches!(it, Operation::Flush { path } if path == "data"));
        let removed = at(&|it| {
            matches!(it, Operation::Remove { .. })
                && it.path().starts_with("data/db.before-compact")
        });
        assert!(flushed.is_some() && flushed < removed, "{command:?}: {flushed:?} {removed:?}");
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
