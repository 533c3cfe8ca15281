//! Faults in the product's own code, each found by a law: `make planted`.

use std::{
    env, iter,
    path::PathBuf,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lamella_testing_sim::{
    Plan,
    plants::{AWAKE, PLANTS, faults, sow_all},
    run,
};

use crate::{planted::halves, support::number};

/// Seeds in which a fault must be found.
const SEEDS: u64 = 100;

/// What the line about a broken law begins with.
const BROKEN: &str = "broken: ";

fn workspace() -> PathBuf {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect();
    path.canonicalize().unwrap()
}

/// A fault whose words are gone would be none.
#[test]
fn the_words_of_every_fault_stand_in_the_product_once() {
    for plant in PLANTS {
        assert_eq!(plant.places(&workspace()), 1, "{}: {}", plant.file, plant.fault);
    }
}

/// Makes the copy.
#[test]
#[ignore = "writes target/planted: make planted"]
fn sow() {
    sow_all(&workspace(), &workspace().join("target/planted"));
}

/// In the copy: wakes one fault after the other.
#[test]
#[ignore = "minutes, in the copy that has the faults: make planted"]
fn every_fault_breaks_a_law() {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let faults = faults();
    let threads = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let law = first_broken(fault);
                    println!("| {fault} | {} |", law.as_deref().unwrap_or("not found"));
                    found.lock().unwrap().push(law);
                }
            });
        }
    });
    assert_eq!(first_broken("none"), None, "a law is broken with every fault asleep");
    let found = found.into_inner().unwrap();
    assert!(found.iter().all(Option::is_some), "a fault was not found");
}

/// The law that is broken while this fault is awake, in a process of its own, and by which plan: the first that does.
fn first_broken(fault: &str) -> Option<String> {
    let output = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "product::until_a_law_is_broken", "--nocapture"])
        .env(AWAKE, fault)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let broken = said.lines().find_map(|line| line.split_once(BROKEN));
    assert!(output.status.success() || broken.is_some(), "{fault}: {said}");
    broken.map(|(_, law)| law.to_owned())
}

#[test]
#[ignore = "a part of every_fault_breaks_a_law"]
fn until_a_law_is_broken() {
    let seeds =
        (0..number("LAMELLA_SIM_SEEDS", SEEDS)).map(|seed| (seed.to_string(), Plan::of(seed)));
    for (name, plan) in iter::once(("halves".to_owned(), halves())).chain(seeds) {
        if let Some(violation) = run(&plan).violation {
            println!("{BROKEN}{} | {name}", violation.law);
            return;
        }
    }
}
