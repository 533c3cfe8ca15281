//! Drives a scenario through the production import path, aloud; or judges images, one a line.

use std::{
    env,
    io::{BufRead as _, Write as _, stderr, stdin, stdout},
    path::Path,
    process::ExitCode,
    sync::Arc,
};

use lamella_testing_crash::{
    archiving,
    judge::{Judge, rows},
    restored,
    rot::{self, Commands},
    scenario::{FETCH, FLOOR, Said, Scenario},
    split,
};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match arguments[..] {
        ["prepare", name, folder] => prepare(&Scenario::named(name), Path::new(folder)),
        ["drive", name, folder] => drive(&Scenario::named(name), Path::new(folder)),
        ["open", name, folder] => open(&Scenario::named(name), Path::new(folder)),
        ["reference", name, folder] => reference(&Scenario::named(name), Path::new(folder)),
        ["archive", variant, folder] => archive(variant, Path::new(folder)),
        ["restore", archive, folder] => restore(Path::new(archive), Path::new(folder)),
        ["rows", folder] => restored::restored_rows(&Path::new(folder).join("db"))
            .map(|rows| println!("{rows}")),
        ["judge", subject] => judge(subject),
        ["rot", folder] => rot::answer_lines(Path::new(folder), Commands::All),
        ["rot-reading", folder] => rot::answer_lines(Path::new(folder), Commands::Reading),
        _ => {
            Err("usage: crash-driver prepare|drive|open|reference NAME FOLDER, archive VARIANT FOLDER, rows|rot|rot-reading FOLDER, restore ARCHIVE FOLDER, \
                 or judge SUBJECT"
                .into())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// One line in one call, so that a recorder sees it whole.
fn say(line: &str) {
    let _ = stderr().write_all(format!("{line}\n").as_bytes());
}

/// Takes the steps that are not recorded.
fn prepare(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let Some(from) = scenario.recorded_from else { return Ok(()) };
    if scenario.name == FETCH {
        restored::make_source(&folder.join("db"), scenario.variant)?;
    }
    let begun = Scenario { steps: scenario.steps[..from].to_vec(), ..scenario.clone() };
    let chain = Arc::new(begun.open(&folder.join("db"))?);
    begun.run(&chain, 0, |_, _| {})
}

/// Takes the steps that are recorded, and says each. Ends without closing anything, as a kill would.
fn drive(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    if scenario.name == FLOOR {
        let step = scenario.steps.len();
        say(&Said::Begin.line(step));
        split::last_step(scenario, folder)?;
        say(&Said::Acknowledged.line(step));
        std::process::exit(0)
    }
    let chain = Arc::new(scenario.open(&folder.join("db"))?);
    let from = scenario.recorded_from.unwrap_or(0);
    say(&Said::Acknowledged.line(from));
    scenario.run(&chain, from, |said, step| say(&said.line(step)))?;
    std::process::exit(0)
}

/// Opens the directory and closes it again.
fn open(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    scenario.open(&folder.join("db")).map(drop)
}

/// Makes a chain and its archive.
fn archive(variant: &str, folder: &Path) -> Result<(), String> {
    restored::make(folder, variant.parse().map_err(|_| "not a variant")?)
}

/// Makes a directory of an archive, and says so.
fn restore(archive: &Path, folder: &Path) -> Result<(), String> {
    say(&Said::Begin.line(1));
    archiving::restore(archive, &folder.join("db"))?;
    say(&Said::Acknowledged.line(1));
    std::process::exit(0)
}

/// Writes the digest of all rows after each step, one a line.
fn reference(scenario: &Scenario, folder: &Path) -> Result<(), String> {
    let chain = Arc::new(scenario.open(&folder.join("db"))?);
    let mut lines = vec![rows(chain.database())?];
    scenario.run(&chain, 0, |said, _| {
        if matches!(said, Said::Acknowledged | Said::Done) {
            lines.push(rows(chain.database()).unwrap_or_default());
        }
    })?;
    lines.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn judge(subject: &str) -> Result<(), String> {
    let judge = Judge::new(serde_json::from_str(subject).map_err(|error| error.to_string())?);
    for line in stdin().lock().lines() {
        let line = line.map_err(|error| error.to_string())?;
        let request = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        let verdict = serde_json::to_string(&judge.judge(&request));
        let verdict = verdict.map_err(|error| error.to_string())?;
        writeln!(stdout().lock(), "{verdict}").map_err(|error| error.to_string())?;
    }
    Ok(())
}
