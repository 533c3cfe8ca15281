//! Rot in the data file, met by every command that reads and by a start.

use std::{fs, time::Instant};

use lamella_testing_crash::rot::{Case, Commands, Outcome, PAGE_BYTES, Sound, sound};

use crate::support::{hours, number, programs, scratch};

/// Files of the sample, unless told otherwise.
const FILES: u64 = 600;

fn judge(sound: &Sound, what: &str, cases: &[Case]) -> Outcome {
    let (started, scratch) = (Instant::now(), scratch());
    let outcome = sound.judge(&programs().driver, scratch.path(), cases, 2);
    println!(
        "{what}: {} files, {} of them with an error, {} without a finding of verify, {} ended by an assertion of the engine, in {:.1?}",
        outcome.judged,
        outcome.refused,
        outcome.clean,
        outcome.assertions,
        started.elapsed()
    );
    let list = outcome.findings.join("\n");
    assert!(outcome.findings.is_empty(), "{what}:\n{list}");
    outcome
}

/// A bit of each byte of the meta pages, every page gone, the file cut and grown at each page, and a sample of the rest.
#[test]
fn whatever_rots_in_the_file_is_an_error_or_the_right_answer() {
    let folder = scratch();
    let sound = sound(&programs().driver, folder.path(), Commands::All);
    println!("{} bytes in use", sound.used());
    let seed = number("LAMELLA_CRASH_SEED", 12);
    let metas: Vec<_> = sound.meta_bytes(seed).collect();
    let pages: Vec<_> = sound.pages().collect();
    let sample = sound.sample(number("LAMELLA_ROT_FILES", FILES) as usize, seed);
    let outcomes = [("meta pages", metas), ("pages", pages), ("sample", sample)]
        .map(|(what, cases)| judge(&sound, what, &cases));
    for outcome in outcomes {
        assert!(outcome.refused > 0 && outcome.judged > 0, "nothing was an error: {outcome:?}");
    }
    drop(fs::remove_dir_all(folder));
}

/// Every byte of a smaller directory turned round, met by a start and the commands that read.
#[test]
fn whatever_byte_rots_what_is_read_is_an_error_or_the_right_answer() {
    let folder = scratch();
    let sound = sound(&programs().driver, folder.path(), Commands::Reading);
    let outcome = judge(&sound, "every byte", &sound.all_bytes().collect::<Vec<_>>());
    assert_eq!(outcome.judged, sound.used());
    assert!(outcome.refused > 0 && outcome.clean > 0, "{outcome:?}");
}

/// Symptom: with one bit of a page's list of rows flipped, `verify` went on for ever. Mechanism: it asks for the first
/// header of the slots after those that it has seen, and on a page that is out of order the answer is always the same row.
/// Fix: a row below where it was looked for ends the asking, and what is left is read in one go.
#[test]
fn verify_ends_over_a_page_that_is_out_of_order() {
    let folder = scratch();
    let sound = sound(&programs().driver, folder.path(), Commands::All);
    let list = 3 * PAGE_BYTES + 20..3 * PAGE_BYTES + 80;
    let cases = sound.head_bits().into_iter().filter(|case| list.contains(&case.at));
    judge(&sound, "a list of rows", &cases.collect::<Vec<_>>());
}

/// Every byte, and every bit of the meta pages and of each head: `make torture`. `LAMELLA_ROT_FROM` passes over so many files, for a
/// run that goes on where another one was stopped.
#[test]
#[ignore = "minutes, optimised: make torture"]
fn every_byte_of_the_file_rots() {
    let folder = scratch();
    let sound = sound(&programs().driver, folder.path(), Commands::All);
    let (metas, heads) = (sound.meta_bits().collect::<Vec<_>>(), sound.head_bits());
    let bytes = sound.bytes().collect::<Vec<_>>();
    let from = number("LAMELLA_ROT_FROM", 0) as usize;
    let (ends, mut files, mut passed) = (Instant::now() + hours(), 0, from);
    let all =
        [("every bit of meta pages", metas), ("every bit of heads", heads), ("every byte", bytes)];
    let count: usize = all.iter().map(|(_, cases)| cases.len()).sum();
    for (what, cases) in all {
        let (before, cases) = cases.split_at(passed.min(cases.len()));
        passed -= before.len();
        for part in cases.chunks(2_000).take_while(|_| Instant::now() < ends) {
            files += judge(&sound, what, part).judged;
            println!("so far: {files} rotten files of {count}, from the {from}th on, no finding");
        }
    }
}
