//! Each call of a run fails, once or from then on: the program says so in words and goes on or stops, and what it had
//! acknowledged is there when it is opened again.

use std::{fs, path::Path, process::Command};

use lamella_testing_crash::{
    failing::{Ended, Failing, Fault, WAYS},
    image::Image,
    judge::{Request, Subject, Verdict},
    scenario::{SIXTY, Scenario},
    workers::Worker,
};

use crate::support::{disk, programs, run, scratch};

/// The run: sixty imports.
const RUN: &str = SIXTY;

struct Bench {
    failing: Failing,
    before: Image,
    reference: Vec<String>,
    folder: std::path::PathBuf,
}

impl Bench {
    fn make(folder: &Path) -> Self {
        let driver = programs().driver;
        let root = folder.join("prepared");
        fs::create_dir_all(&root).unwrap();
        run(Command::new(&driver).args(["prepare", RUN]).arg(&root));
        let reference = run(Command::new(&driver).args(["reference", RUN]).arg(folder.join("r")));
        Self {
            failing: Failing::make(folder),
            before: Image::read(&root),
            reference: reference.lines().map(str::to_owned).collect(),
            folder: folder.to_owned(),
        }
    }

    fn root(&self, name: &str) -> std::path::PathBuf {
        self.folder.join(name)
    }

    fn command(&self, root: &Path) -> Command {
        let mut command = Command::new(programs().driver);
        command.args(["drive", RUN]).arg(root);
        command
    }

    /// What is wrong with a run in which this call failed.
    fn try_one(&self, worker: &mut Worker, root: &Path, fault: &Fault) -> Option<String> {
        self.before.write(root);
        let ended = self.failing.run(&mut self.command(root), root, fault);
        if !ended.is_clear() {
            return Some(format!("{fault:?}: {} {}", ended.status, ended.said));
        }
        let request = Request { folder: root.to_owned(), finish_from: None };
        let verdict = worker.judge(&request);
        if let Some(what) = self.lost(&ended, &verdict) {
            return Some(format!("{fault:?}: {what}; {}", ended.said));
        }
        None
    }

    fn lost(&self, ended: &Ended, verdict: &Verdict) -> Option<String> {
        if verdict.error.is_some() || !verdict.findings.is_empty() || verdict.is_derived {
            return Some(format!("{verdict:?}"));
        }
        let numbers = |word: &'static str| {
            let lines = ended.said.lines();
            lines.filter_map(move |line| line.strip_prefix(word)?.trim().parse::<usize>().ok())
        };
        let prepared = Scenario::named(RUN).recorded_from.unwrap_or(0);
        let acknowledged = numbers("acknowledged").max().unwrap_or(prepared);
        let begun = numbers("begin").max().unwrap_or(prepared);
        let step = self.reference.iter().position(|rows| *rows == verdict.rows);
        match step {
            None => Some("rows that the run never had".to_owned()),
            Some(step) if step < acknowledged => {
                Some(format!("{acknowledged} was acknowledged, {step} is there"))
            }
            Some(step) if step > begun => Some(format!("{begun} was begun, {step} is there")),
            Some(_) => None,
        }
    }
}

#[test]
fn each_call_of_sixty_imports_fails_and_nothing_acknowledged_is_lost() {
    // In memory, where a flush costs nothing; durable commits make all their calls there too.
    let scratch = scratch();
    let bench = Bench::make(scratch.path());
    let root = bench.root("counted");
    bench.before.write(&root);
    let counts = bench.failing.count(&mut bench.command(&root), &root);
    println!("calls: {counts:?}");
    assert!(counts.iter().any(|(kind, count)| *kind == "synced" && *count >= 60), "{counts:?}");
    let mut worker = Worker::new(&programs().driver, Subject::Scenario(RUN.to_owned()));
    let (mut tried, mut failed, mut wrong) = (0, 0, Vec::new());
    for (kind, count) in counts {
        for at in 1..=count {
            // Every call fails once with one error, in turn, and each fortieth in every way, once and for ever.
            for (number, (_, how)) in WAYS.iter().enumerate() {
                for is_for_ever in [false, true] {
                    let is_all = at % 40 == 1;
                    let is_turn = !is_for_ever && number as u64 == at % WAYS.len() as u64;
                    // No system interrupts every call for ever.
                    if is_for_ever && *how == "4" {
                        continue;
                    }
                    let is_short_of_none =
                        *how == "short" && !kind.contains("write") && kind != "synced";
                    if is_short_of_none || !(is_all || is_turn) {
                        continue;
                    }
                    let fault = Fault { kind, at, how, is_for_ever };
                    let root = bench.root("run");
                    tried += 1;
                    if let Some(what) = bench.try_one(&mut worker, &root, &fault) {
                        failed += 1;
                        if wrong.len() < 12 {
                            wrong.push(what);
                        }
                    }
                }
            }
        }
    }
    println!("{tried} runs with a call that failed");
    assert_eq!(failed, 0, "{wrong:#?}");
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
        before.write(&root);
        let fault = Fault { kind: "flush", at, how: "5", is_for_ever: false };
        let ended = failing.run(&mut drive(), &root, &fault);
        assert!(ended.is_clear(), "{at}: {ended:?}");
        if let Some((_, after)) = ended.said.split_once("failed ") {
            failed += 1;
            assert!(!after.contains("acknowledged"), "{at}: {}", ended.said);
            assert!(ended.said.contains("MDBX_PANIC"), "{at}: {}", ended.said);
        }
    }
    assert!(failed > 8, "{failed} of {flushes}");
}
