//! The target that `LAMELLA_FUZZ_TARGET` names, under libFuzzer; `testing/fuzz/run` builds and runs it.
//!
//! `LAMELLA_FUZZ_TARGET=list` prints the targets instead. `LAMELLA_FUZZ_SEEDS` names a folder that first gets the
//! target's seeds.
#![no_main]

use std::{path::Path, process::exit, sync::OnceLock};

use lamella_testing_fuzz::{TARGETS, Target};

static TARGET: OnceLock<Target> = OnceLock::new();

fn start() {
    let name = std::env::var("LAMELLA_FUZZ_TARGET").unwrap_or_default();
    if name == "list" {
        TARGETS.iter().for_each(|target| println!("{}", target.name));
        exit(0);
    }
    let Some(target) = TARGETS.iter().find(|target| target.name == name) else {
        eprintln!("no fuzz target `{name}`; LAMELLA_FUZZ_TARGET=list prints them all");
        exit(1);
    };
    if let Some(folder) = std::env::var_os("LAMELLA_FUZZ_SEEDS") {
        for (index, seed) in (target.seeds)().iter().enumerate() {
            let path = Path::new(&folder).join(format!("seed-{index}"));
            if let Err(error) = std::fs::write(&path, seed) {
                eprintln!("{}: {error}", path.display());
                exit(1);
            }
        }
    }
    TARGET.get_or_init(|| *target);
}

libfuzzer_sys::fuzz_target!(init: start(), |bytes: &[u8]| {
    if let Some(target) = TARGET.get() {
        (target.run)(bytes);
    }
});
