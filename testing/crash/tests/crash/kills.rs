//! The commands that write history and read it back, killed at random instants and run again until they have ended.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use lamella_testing_crash::enumerate::random;
use rand_xoshiro::rand_core::Rng as _;

use crate::support::{disk, number, programs, run};

/// Kills of each command that land before its end.
const KILLS: u32 = 30;

/// Runs in which they must.
const RUNS_MAX: u32 = 600;

struct Drill {
    folder: PathBuf,
    archive: PathBuf,
    expected: String,
}

impl Drill {
    /// A chain with its archive, and what a restoration of it has without a kill.
    fn new(folder: &Path) -> Self {
        let [made, reference] = ["made", "reference"].map(|name| folder.join(name));
        [&made, &reference].iter().for_each(|folder| fs::create_dir_all(folder).unwrap());
        run(Command::new(programs().driver).arg("archive").arg(&made));
        let archive = made.join("archive");
        run(Command::new(programs().driver).arg("restore").args([&archive, &reference]));
        let expected = rows(&reference);
        Self { folder: folder.to_owned(), archive, expected }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(programs().lamella);
        command.arg("archive").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn restore(&self) -> Command {
        let mut command = self.command(&["restore", "--finalized", "--proof-scheme", "trust"]);
        command.arg("--from").arg(&self.archive).arg("--data-dir").arg(self.data());
        command
    }

    fn export(&self) -> Command {
        let mut command = self.command(&["export"]);
        command.arg("--to").arg(self.data()).arg("--data-dir").arg(self.folder.join("made"));
        command
    }
}

fn rows(folder: &Path) -> String {
    run(Command::new(programs().driver).arg("rows").arg(folder)).trim().to_owned()
}

/// Kills a command again and again. What ended before its kill, or had done all by then, is judged, and begins anew; its
/// kills come sooner then.
fn kill_again_and_again(
    mut command: impl FnMut() -> Command,
    is_done: impl Fn() -> bool,
    mut ended: impl FnMut(),
) {
    let mut random = random(number("LAMELLA_CRASH_SEED", 12), 200);
    let (mut killed, mut begun, mut at_most_us) = (0, 0, 400_000);
    while killed < KILLS {
        assert!(begun < RUNS_MAX, "{killed} killed of {begun}");
        begun += 1;
        let mut process = command().spawn().unwrap();
        thread::sleep(Duration::from_micros(random.next_u64() % at_most_us));
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert!(status.success() || status.code().is_none(), "it ended by itself: {status}");
        killed += u32::from(!status.success());
        if status.success() || is_done() {
            ended();
            at_most_us = at_most_us * 7 / 8 + 1;
        }
    }
    assert!(command().status().unwrap().success());
    ended();
}

#[test]
fn a_restoration_killed_again_and_again_comes_to_the_same_rows() {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let judge = || {
        assert_eq!(rows(&drill.data()), drill.expected);
        fs::remove_dir_all(drill.data()).unwrap();
    };
    // It gets its name as the last thing, and what has one is not made again.
    kill_again_and_again(|| drill.restore(), || drill.data().join("db").exists(), judge);
}

#[test]
fn an_export_killed_again_and_again_leaves_an_archive_that_restores_to_the_same_rows() {
    let disk = disk();
    let drill = Drill::new(disk.path());
    let judge = || {
        let restored = drill.folder.join("restored");
        fs::create_dir_all(&restored).unwrap();
        run(Command::new(programs().driver).arg("restore").args([&drill.data(), &restored]));
        assert_eq!(rows(&restored), drill.expected);
        [restored, drill.data()].iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
    };
    kill_again_and_again(|| drill.export(), || false, judge);
}
