//! Each call of a run fails, once or from then on: the program says so in words and goes on or stops, and what it had
//! acknowledged is there when it is opened again; of a command, one sound database, with which the same command ends.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Mutex,
    thread,
};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Campaign, Promise},
    failing::{Ended, Failing, Fault},
    image::Image,
    jobs::{JOBS, Job},
    judge::{Request, Subject},
    network::{Lone, NetworkPlan, Programs, VALIDATORS},
    record::Recording,
    scenario::{SHIP, SIXTY, Said, Scenario},
    trace::{Event, Trace},
    workers::Worker,
};

use tempfile::TempDir;

use crate::support::{disk, programs, restored, run, scratch};

/// Findings that are told.
const TOLD_MAX: usize = 12;

/// A run whose calls fail.
struct Bench {
    failing: Failing,
    /// What its folder must show; of the recording, what was there before is all that counts.
    campaign: Campaign,
    root: PathBuf,
    /// Where that was recorded, with what a copy is made of.
    _disk: Option<TempDir>,
}

impl Bench {
    fn make(name: &'static str, folder: &Path) -> Self {
        let driver = programs().driver;
        let [root, prepared] = ["run", "prepared"].map(|name| folder.join(name));
        fs::create_dir_all(&prepared).unwrap();
        let failing = Failing::make(folder);
        if JOBS.iter().any(|job| job.name == name) {
            let disk = disk();
            let campaign = Job::named(name).record(&programs(), disk.path(), 0);
            return Self { failing, campaign, root, _disk: Some(disk) };
        }
        let (subject, promise) = if name == RESTORE {
            restored(name, folder)
        } else {
            run(Command::new(&driver).args(["prepare", name]).arg(&prepared));
            let rows = run(Command::new(&driver).args(["reference", name]).arg(folder.join("r")));
            let reference = rows.lines().map(str::to_owned).collect();
            let from = Scenario::named(name).recorded_from;
            (Subject::Scenario(name.to_owned()), Promise::Steps { reference, from })
        };
        let campaign = unrecorded(name, Image::read(&prepared), subject, promise);
        Self { failing, campaign, root, _disk: None }
    }

    fn before(&self) -> &Image {
        &self.campaign.recording.before
    }

    fn command(&self) -> Command {
        let Programs { lamella, driver } = programs();
        let mut command = Command::new(driver);
        match &self.campaign.subject {
            Subject::Restored { archive, .. } => command.arg("restore").arg(archive),
            Subject::Job(_) => {
                let mut command = Command::new(lamella);
                let job = Job::named(&self.campaign.name);
                job.below(&self.campaign, &self.root, &mut command).stdout(Stdio::null());
                return command;
            }
            _ => command.args(["drive", &self.campaign.name]),
        };
        command.arg(&self.root);
        command
    }

    /// How many calls of each kind it makes.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        self.before().write(&self.root);
        self.failing.count(&mut self.command(), &self.root)
    }

    /// Every call fails once in one way, in turn, and each of so many in every way, once and for ever: how many runs, and
    /// what was wrong.
    fn fail(&self, all_of: u64) -> (usize, Vec<String>) {
        let counts = self.counts();
        let mut worker = Worker::new(&programs().driver, self.campaign.subject.clone());
        let (mut tried, mut wrong) = (0, Vec::new());
        for (kind, count) in &counts {
            for at in 1..=*count {
                let once: Vec<Fault> = Fault::ways(kind, at, false).collect();
                let turn = once[at as usize % once.len()];
                let is_all = at % all_of == 1 % all_of;
                let all = once.into_iter().chain(Fault::ways(kind, at, true));
                for fault in all.filter(|fault| is_all || *fault == turn) {
                    tried += 1;
                    wrong.extend(self.try_one(&mut worker, &fault));
                }
            }
        }
        let name = &self.campaign.name;
        println!("{name}: {tried} runs with a call that failed, of {counts:?}");
        (tried, wrong)
    }

    /// What is wrong with a run in which this call failed.
    fn try_one(&self, worker: &mut Worker, fault: &Fault) -> Option<String> {
        self.before().write(&self.root);
        let ended = self.failing.run(&mut self.command(), &self.root, fault);
        let name = &self.campaign.name;
        let wrong = |what: String| Some(format!("{name}, {fault:?}: {what}; {}", ended.said));
        if !ended.has_failed {
            return wrong("the call was never made".to_owned());
        }
        if !ended.is_clear() {
            return wrong(ended.status.to_string());
        }
        if let Some(line) = ended.told().find(|line| !fault.is_named_in(line)) {
            return wrong(format!("it does not say why: {line}"));
        }
        // An object is written anew from its beginning, and flushed; a database cannot be.
        let is_of_database = fault.is_of_flush() && name != SHIP;
        if is_of_database
            && (ended.told().next().is_none() || is_acknowledged_after_failure(&ended))
        {
            return wrong("acknowledged after a flush that failed".to_owned());
        }
        let found = lost(&self.campaign, &ended, worker, &self.root);
        if found.is_empty() { None } else { wrong(format!("{found:?}")) }
    }
}

/// A run of which nothing is recorded but what its folder holds before.
fn unrecorded(name: &str, before: Image, subject: Subject, promise: Promise) -> Campaign {
    let recording = Recording { before, trace: Trace::default(), last: Image::default() };
    Campaign { name: name.to_owned(), recording, subject, promise }
}

/// What must not be of the folder that a run left which said this.
fn lost(
    campaign: &Campaign,
    ended: &Ended,
    worker: &mut Worker,
    root: &Path,
) -> Vec<(&'static str, String)> {
    let verdict = worker.judge(&Request { folder: root.to_owned(), finish_from: None });
    let mut said: Vec<String> = ended.said.lines().map(str::to_owned).collect();
    if let (Subject::Job(_), Promise::Steps { reference, .. }) =
        (&campaign.subject, &campaign.promise)
    {
        // It counts no steps: all may have begun, and all is done where it ends well.
        let all = reference.len() - 1;
        said.push(Said::Begin.line(all));
        said.extend(ended.status.success().then(|| Said::Acknowledged.line(all)));
    }
    let events: Vec<Event> = said.into_iter().map(Event::Said).collect();
    let all = events.len();
    let recording =
        Recording { trace: Trace { operations: Vec::new(), events }, ..campaign.recording.clone() };
    Campaign {
        name: campaign.name.clone(),
        recording,
        subject: campaign.subject.clone(),
        promise: campaign.promise.clone(),
    }
    .check(&verdict, all, all)
}

fn is_acknowledged_after_failure(ended: &Ended) -> bool {
    let after = ended.said.split_once("failed ").map(|(_, after)| after);
    after.is_some_and(|after| after.contains("acknowledged"))
}

/// Fails the calls of a run; in memory, where a flush costs nothing: durable commits make all their calls there too.
pub fn fails(name: &'static str, all_of: u64) -> usize {
    let scratch = scratch();
    let (tried, wrong) = Bench::make(name, scratch.path()).fail(all_of);
    assert!(
        wrong.is_empty(),
        "{} of {tried}: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(TOLD_MAX)]
    );
    tried
}

/// The runs whose calls fail: sixty imports, a directory that is made, an archive that is shipped into, one that is restored, and
/// commands that move or change a database; and of how many calls one fails in every way.
pub const RUNS: [(&str, u64); 9] = [
    (SIXTY, 40),
    ("create", 3),
    (SHIP, 12),
    (RESTORE, 12),
    ("db-compact", 20),
    ("db-migrate", 20),
    ("db-backup", 20),
    ("db-repair", 12),
    ("db-prune", 12),
];

#[test]
fn each_call_of_sixty_imports_fails_and_nothing_acknowledged_is_lost() {
    let scratch = scratch();
    let counts = Bench::make(SIXTY, scratch.path()).counts();
    assert!(counts.iter().any(|(kind, count)| *kind == "synced" && *count >= 60), "{counts:?}");
    let (name, all_of) = RUNS[0];
    assert!(fails(name, all_of) > 654);
}

/// Names are made, given, linked and removed in these.
#[test]
fn each_call_of_a_making_a_shipping_and_a_restoration_fails_and_nothing_acknowledged_is_lost() {
    for (name, all_of) in &RUNS[1..4] {
        fails(name, *all_of);
    }
}

#[test]
fn each_call_of_a_command_on_a_database_fails_and_the_same_command_then_ends() {
    for (name, all_of) in &RUNS[4..] {
        fails(name, *all_of);
    }
}

/// Nodes that run beside each other: they mostly wait for their slots.
const NODES: usize = 6;

/// Duties, done or left, after which a node is stopped.
const DUTIES: usize = 4;

/// A node whose calls on the folder of its keys fail, where the guard's copy lies.
struct Guarded {
    lone: Lone,
    failing: Failing,
    root: PathBuf,
}

impl Guarded {
    fn make(lone: &Lone, folder: &Path) -> Self {
        fs::create_dir_all(folder).unwrap();
        Self { lone: lone.clone(), failing: Failing::make(folder), root: folder.join("root") }
    }

    fn run(&self, fault: &Fault) -> Ended {
        let mut duties = 0;
        let is_enough = move |line: &str| {
            duties += usize::from(line.contains(" Attested ") || line.contains("Not signing"));
            duties >= DUTIES
        };
        let mut command = Command::new(programs().lamella);
        let command = self.lone.elsewhere(&self.root, &mut command);
        self.failing.run_until(command, &self.root.join("keys"), fault, is_enough)
    }

    /// The first and the last three calls of each kind in one way, in turn, and one in the midst for ever in every way.
    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        for (kind, count) in self.failing.count_of(|none| self.run(none)) {
            for at in (1..=count).filter(|at| *at <= 3 || *at + 3 > count) {
                let once: Vec<Fault> = Fault::ways(kind, at, false).collect();
                faults.push(once[at as usize % once.len()]);
            }
            faults.extend(Fault::ways(kind, count / 2 + 1, true).filter(|_| count > 0));
        }
        faults
    }

    /// Whether the call failed, and what is wrong with the run.
    fn try_one(&self, worker: &mut Worker, fault: &Fault) -> (bool, Option<String>) {
        let _ = fs::remove_dir_all(&self.root);
        let ended = self.run(fault);
        let promise =
            Promise::Node { reference: Vec::new(), is_durable: true, validators: VALIDATORS };
        let campaign = unrecorded("guard", Image::default(), self.lone.subject(false), promise);
        let mut found = lost(&campaign, &ended, worker, &self.root);
        // No other run has the rows of this one.
        found.retain(|(check, _)| *check != "reference");
        let is_wrong = !ended.is_clear() || !found.is_empty();
        let wrong = || format!("{fault:?}: {}, {found:?}; {}", ended.status, ended.said);
        (ended.has_failed, is_wrong.then(wrong))
    }
}

#[test]
fn each_call_on_the_guards_copy_fails_and_no_key_forgets_what_it_signed() {
    let scratch = scratch();
    let lone = Lone::make(scratch.path(), NetworkPlan::of(2_048));
    let make = |name: &str| Guarded::make(&lone, &scratch.path().join(name));
    let faults = make("counted").faults();
    let (all, queue) = (faults.len(), Mutex::new(faults));
    let tried = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for number in 0..NODES {
            let (queue, tried, make, lone) = (&queue, &tried, &make, &lone);
            scope.spawn(move || {
                let node = make(&number.to_string());
                let mut worker = Worker::new(&programs().driver, lone.subject(false));
                let next = || queue.lock().unwrap().pop();
                while let Some(fault) = next() {
                    let came = node.try_one(&mut worker, &fault);
                    tried.lock().unwrap().push(came);
                }
            });
        }
    });
    let tried = tried.into_inner().unwrap();
    let failed = tried.iter().filter(|(has_failed, _)| *has_failed).count();
    println!("guard's copy: {failed} of {all} nodes had a call that failed");
    let wrong: Vec<String> = tried.into_iter().filter_map(|(_, wrong)| wrong).collect();
    assert!(
        wrong.is_empty(),
        "{} of {all}: {:#?}",
        wrong.len(),
        &wrong[..wrong.len().min(TOLD_MAX)]
    );
    assert!(failed * 4 > all * 3, "{failed} of {all}");
}

/// Symptom: after a flush that failed, the next one succeeded, and what it promised may never have reached the disk.
/// Mechanism: a system that could not write pages forgets them after it has said so once, and the engine, asked to flush lazy
/// commits, tried again. Fix: after the first failure no flush and no transaction of the process succeeds.
#[test]
fn after_a_failed_flush_lazy_commits_acknowledge_nothing_more() {
    let disk = disk();
    let root = disk.path().join("root");
    fs::create_dir_all(&root).unwrap();
    let driver = programs().driver;
    run(Command::new(&driver).args(["prepare", "lazy"]).arg(&root));
    let before = Image::read(&root);
    let failing = Failing::make(disk.path());
    let drive = || {
        let mut command = Command::new(&driver);
        command.args(["drive", "lazy"]).arg(&root);
        command
    };
    let flushes = failing.count(&mut drive(), &root);
    let flushes = flushes.iter().find(|(kind, _)| *kind == "flush").unwrap().1;
    let mut failed = 0;
    for at in 1..=flushes {
        for how in ["5", "done"] {
            before.write(&root);
            let fault = Fault { kind: "flush", at, how, is_for_ever: false };
            let ended = failing.run(&mut drive(), &root, &fault);
            assert!(ended.is_clear() && ended.has_failed, "{at}: {ended:?}");
            if ended.said.contains("failed ") {
                failed += 1;
                assert!(!is_acknowledged_after_failure(&ended), "{at}: {}", ended.said);
                assert!(ended.said.contains("MDBX_PANIC"), "{at}: {}", ended.said);
            }
        }
    }
    assert!(failed > 16, "{failed} of {flushes}");
}
