//! What every test here needs: where things lie, and how much is tried.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lamella_testing_crash::{
    archiving::RESTORE,
    campaign::{Campaign, Effort, Outcome, Promise, Tears},
    jobs::JOBS,
    judge::Subject,
    network::Programs,
    record::Recorder,
    scenario::{NAMES, Scenario},
    whole,
};
use tempfile::TempDir;

/// Images of each run that are judged, unless told otherwise.
const IMAGES: usize = 1_000;

/// Runs of which a quarter is judged: their file grows by 32 MiB, which opening an image fills, or an archive is
/// verified.
const SLOW: &[&str] = &[
    "lazy",
    "node-lazy",
    "ship",
    "fetch",
    RESTORE,
    "node-seals",
    "node-fetches",
    "follow",
    "db-compact",
    "db-migrate",
    "db-backup",
    "db-repair",
    "db-prune",
    "follow-rebuild",
];

/// Runs that have fewer images, and how many at least.
const FEW: &[(&str, usize)] = &[("create", 1_000), ("db-prune", 100)];

/// Runs of a node by itself.
pub const NODES: &[&str] = &["node", "node-lazy", "node-archive"];

/// The seed, unless told otherwise.
const SEED: u64 = 12;

/// Where files are in memory, if there is such a place.
const MEMORY: &str = "/dev/shm";

pub fn programs() -> Programs {
    Programs {
        lamella: env!("CARGO_BIN_EXE_lamella-under-crash").into(),
        driver: env!("CARGO_BIN_EXE_crash-driver").into(),
    }
}

pub fn number(name: &str, otherwise: u64) -> u64 {
    let text = env::var(name).ok().filter(|text| !text.is_empty());
    text.map_or(otherwise, |text| text.parse().unwrap_or_else(|_| panic!("{name}")))
}

/// How long a run of hours goes on: `LAMELLA_CRASH_HOURS`, a fraction too.
pub fn hours() -> Duration {
    let hours = env::var("LAMELLA_CRASH_HOURS").ok().filter(|text| !text.is_empty());
    let hours = hours.map_or(8.0, |text| text.parse().expect("LAMELLA_CRASH_HOURS"));
    Duration::from_secs_f64(3_600.0 * hours)
}

/// A folder for recordings, on a disk: on a file system in memory the engine leaves flushes out.
pub fn disk() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

/// A folder for images, in memory if it can be.
pub fn scratch() -> TempDir {
    let builder = tempfile::Builder::new().prefix("lamella-crash-").tempdir_in(MEMORY);
    builder.or_else(|_| tempfile::tempdir()).unwrap()
}

/// Those of these runs that are wanted: all, or the one that `LAMELLA_CRASH_ONLY=head@13` names, or the image to be written
/// down. A name of no run fails whatever test reads it.
pub fn wanted(runs: &[&str]) -> Vec<String> {
    let told = |name| env::var(name).ok().filter(|text| !text.is_empty());
    let image = || told("LAMELLA_CRASH_IMAGE").map(|image| image_of(&image).0);
    match told("LAMELLA_CRASH_ONLY").or_else(image) {
        None => runs.iter().map(|run| (*run).to_owned()).collect(),
        Some(only) => runs.contains(&known(&only)).then_some(only).into_iter().collect(),
    }
}

/// The run's name without its variant.
///
/// # Panics
/// Where there is no such run, or not in variants.
fn known(name: &str) -> &str {
    let (run, variant) = name.split_once('@').map_or((name, None), |(run, at)| (run, Some(at)));
    let jobs = JOBS.iter().map(|job| job.name);
    let repeated: Vec<&str> = NAMES.iter().copied().chain([RESTORE]).chain(jobs).collect();
    let lived: Vec<&str> = NODES.iter().chain(&whole::RUNS).copied().collect();
    let is_run = repeated.contains(&run) || lived.contains(&run);
    assert!(is_run, "no run is called {run}; there are {repeated:?}, and {lived:?}");
    let is_variant = |variant: &str| variant.parse::<u64>().is_ok() && repeated.contains(&run);
    assert!(
        variant.is_none_or(is_variant),
        "{name}: variants have a number, and {repeated:?} have some"
    );
    run
}

/// The variant in a run's name.
pub fn variant(name: &str) -> u64 {
    name.split_once('@').map_or(0, |(_, variant)| variant.parse().unwrap())
}

/// The run and the number in `head@13:17`.
fn image_of(image: &str) -> (String, usize) {
    let parts =
        image.split_once(':').and_then(|(run, at)| Some((run.to_owned(), at.parse().ok()?)));
    parts.unwrap_or_else(|| panic!("LAMELLA_CRASH_IMAGE={image}: a run and a number, head@13:17"))
}

pub fn effort(name: &str, scratch: &Path) -> Effort {
    let image = env::var("LAMELLA_CRASH_IMAGE").ok().filter(|text| !text.is_empty());
    let images = number("LAMELLA_CRASH_IMAGES", IMAGES as u64) as usize;
    let image = image.as_deref().map(image_of);
    let is_slow = SLOW.contains(&name.split('@').next().unwrap_or_default());
    Effort {
        program: programs().driver,
        scratch: scratch.to_owned(),
        kept: Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash"),
        images_max: if is_slow { images / 4 } else { images },
        from_event: 0,
        seed: number("LAMELLA_CRASH_SEED", SEED),
        threads: thread::available_parallelism().map_or(1, usize::from),
        image: image.filter(|(run, _)| run == name).map(|(_, number)| number),
        tears: Tears::All,
        tally: None,
    }
}

pub fn run(command: &mut Command) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Records a scenario.
pub fn scenario(name: &str, folder: &Path) -> Campaign {
    let driver = programs().driver;
    let [root, reference]: [PathBuf; 2] = ["root", "reference"].map(|name| folder.join(name));
    fs::create_dir_all(&root).unwrap();
    let prepare = |what, folder: &Path| run(Command::new(&driver).args([what, name]).arg(folder));
    prepare("prepare", &root);
    let recorder = Recorder::begin(&root, &folder.join("strace.log"));
    run(recorder.command(&driver).args(["drive", name]).arg(&root));
    let reference = prepare("reference", &reference).lines().map(str::to_owned).collect();
    Campaign {
        name: name.to_owned(),
        recording: recorder.end(),
        subject: Subject::Scenario(name.to_owned()),
        promise: Promise::Steps { reference, from: Scenario::named(name).recorded_from },
    }
}

/// Records a restoration, `restore@13` of that variant of the archive.
pub fn restoration(name: &str, folder: &Path) -> Campaign {
    let (root, driver) = (folder.join("root"), programs().driver);
    let (subject, promise) = restored(name, folder);
    let Subject::Restored { archive, .. } = &subject else { unreachable!("a restoration") };
    fs::create_dir_all(&root).unwrap();
    let recorder = Recorder::begin(&root, &folder.join("strace.log"));
    run(recorder.command(&driver).arg("restore").args([archive, &root]));
    Campaign { name: name.to_owned(), recording: recorder.end(), subject, promise }
}

/// What a restoration of a variant of the archive, made here, comes to without a crash.
pub fn restored(name: &str, folder: &Path) -> (Subject, Promise) {
    let driver = programs().driver;
    let [reference, made]: [PathBuf; 2] = ["reference", "made"].map(|name| folder.join(name));
    [&reference, &made].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
    run(Command::new(&driver).args(["archive", &variant(name).to_string()]).arg(&made));
    let archive = made.join("archive");
    run(Command::new(&driver).arg("restore").args([&archive, &reference]));
    let expected = run(Command::new(&driver).arg("rows").arg(&reference)).trim().to_owned();
    // Where nothing has its name yet, no row is.
    let promise = Promise::Steps { reference: vec![String::new(), expected.clone()], from: None };
    (Subject::Restored { archive, expected }, promise)
}

/// Judges a run's images and says what came of it; no finding.
pub fn survives(campaign: &Campaign, scratch: &Path) -> Outcome {
    let started = Instant::now();
    let effort = effort(&campaign.name, scratch);
    let outcome = campaign.run(&effort);
    println!(
        "{}: {} images made, {} distinct, {} judged, {} finished, in {:.1?}; {} calls",
        campaign.name,
        outcome.made,
        outcome.distinct,
        outcome.judged,
        outcome.finished,
        started.elapsed(),
        campaign.recording.trace.operations.len()
    );
    assert_eq!(outcome.failed, 0, "{:#?}", outcome.first);
    // A log whose words are other ones would acknowledge nothing.
    if let Some((imported, signed)) = campaign.acknowledged_by_node() {
        let has_keys = !["follow", "node-fetches"].contains(&&*campaign.name);
        assert!(imported > 0 && (signed > 0) == has_keys, "{imported}, {signed}");
    }
    // An image to be written down was: a number of none fails.
    let few = FEW.iter().find(|(name, _)| campaign.name.starts_with(name)).map(|(_, few)| *few);
    let least = few.unwrap_or(usize::MAX).min(effort.images_max);
    assert!(outcome.judged >= least || effort.image.is_some(), "{outcome:?}");
    outcome
}
