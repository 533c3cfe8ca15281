//! The archiver, the cleaner and the restorer over a store that fails, killed at any operation and run again.
//!
//! What must hold, whatever the store did: what the archiver reports as shipped is there, whole and proven, when an honest
//! store is asked; what the restorer leaves in place is the original, row by row; everything else is an error with a name.
//! And where the store stops failing, both come to their ends.

use std::{ops::Range, path::Path, sync::Arc};

use crate::{
    faulty::{Backing, Faults, Faulty},
    grown::{Grown, OTHER_CHAIN, SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, rows},
};
use lamella_benches::Random;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    cleaner::clean,
    remote::Remote,
    restorer::Target,
    seal::Shipped,
    store::Store,
    verifier::verify,
};

/// Runs of the archiver until the store is made honest.
const RUNS_MAX: u64 = 6;

/// Most operations of a run before it is killed. One that is not takes some twenty.
const OPERATIONS_MAX: u64 = 50;

/// Seeds whose archive is restored too, one in so many.
const RESTORED_EVERY: u64 = 2;

fn faults(random: &mut Random) -> Faults {
    let mut parts = |most: u64| if random.per_mille(500) { random.number() % most } else { 0 };
    Faults {
        refused: parts(200),
        acknowledgement_lost: parts(300),
        torn: parts(150),
        lagging: parts(400),
        flipped: parts(150),
        cut: parts(150),
    }
}

fn store(backing: &Backing, faults: Faults, seed: u64, operations: u64) -> Store {
    let objects = Faulty::new(backing, faults, seed, operations);
    Store::of_objects(Arc::new(objects), "faulty://").unwrap()
}

/// The same objects in a store that does what it says, and shows everything.
fn honest(backing: &Backing) -> Store {
    let backing = backing.shown_to_all();
    store(&backing, Faults::default(), 0, u64::MAX)
}

/// Ships, with what the directory has confirmed, and moves that.
fn ship(chain: &Grown, store: Store, cursor: &mut u64) -> Result<u64, ShippingError> {
    let chain = &chain.chain;
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let known = Known { confirmed: *cursor, is_hurried: true };
    let confirmed = &mut |segments: u64| {
        assert_eq!(segments, *cursor + 1, "by one, and only up");
        *cursor = segments;
        Ok(())
    };
    archiver::ship(shipped, store, known, &mut go_on, confirmed)
        .map(|(_, shipment)| shipment.segments)
}

/// That the archive is whole and proven, and of this chain.
fn assert_whole(backing: &Backing, seed: u64) {
    let remote = Remote::find(honest(backing), None).unwrap();
    let verified = verify(&remote, None, true, &mut go_on);
    let verified = verified.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    assert_eq!(verified.segments, SMALL_SEGMENTS, "seed {seed}");
    assert!(verified.states > 200, "seed {seed}: {} states", verified.states);
}

fn simulate(seed: u64, restored: &mut u64) {
    let mut random = Random::new(seed);
    let backing = Backing::default();
    let mut cursor = 0;
    for run in 0..RUNS_MAX {
        let operations = random.number() % OPERATIONS_MAX;
        let faulty = store(&backing, faults(&mut random), random.number(), operations);
        match ship(&SMALL_CHAIN, faulty, &mut cursor) {
            Ok(segments) => {
                assert_eq!(segments, SMALL_SEGMENTS, "seed {seed}, run {run}");
                // No success over a failure.
                assert_whole(&backing, seed);
            }
            Err(ShippingError::TwoChains { one, other, .. }) => {
                panic!("seed {seed}: {one}, {other}")
            }
            // A torn put stands in the way, whoever left it.
            Err(ShippingError::Damaged { .. } | ShippingError::Store(_))
                if random.per_mille(500) =>
            {
                let faulty = store(&backing, Faults::default(), 0, operations);
                let cleaned = Remote::find(faulty, None);
                drop(cleaned.and_then(|remote| clean(&remote, true, &mut go_on)));
            }
            Err(_) => {}
        }
        if random.per_mille(100) {
            backing.lose_one("", &mut random);
        }
        if random.per_mille(200) {
            // The directory was copied or lost: what it had confirmed is not known any more.
            cursor = 0;
        }
    }
    finish_honestly(&backing, seed);
    if seed.is_multiple_of(RESTORED_EVERY) {
        restore_over_faults(&backing, &mut random, seed);
        *restored += 1;
    }
}

/// With a store that does what it says, and what is unusable deleted, the archiver comes to its end.
fn finish_honestly(backing: &Backing, seed: u64) {
    if let Ok(remote) = Remote::find(honest(backing), None) {
        clean(&remote, true, &mut go_on).unwrap();
    }
    let mut cursor = 0;
    let shipped = ship(&SMALL_CHAIN, honest(backing), &mut cursor);
    let shipped = shipped.or_else(|error| {
        // Without a frontier nobody could say what a segment is; with the registry back there is one more judge.
        let remote = Remote::find(honest(backing), None)?;
        let cleaned = clean(&remote, true, &mut go_on)?;
        assert!(!cleaned.unusable.is_empty(), "seed {seed}: {error}");
        cursor = 0;
        ship(&SMALL_CHAIN, honest(backing), &mut cursor)
    });
    assert_eq!(shipped.unwrap_or_else(|error| panic!("seed {seed}: {error}")), SMALL_SEGMENTS);
    assert_whole(backing, seed);
}

fn restore_over_faults(backing: &Backing, random: &mut Random, seed: u64) {
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    for _ in 0..RUNS_MAX {
        let operations = random.number() % OPERATIONS_MAX;
        let faulty = store(backing, faults(random), random.number(), operations);
        let remote = Remote::find(faulty, None);
        match remote.and_then(|remote| restore(&remote, &database, Target::Finalized)) {
            Ok(_) => break,
            Err(ShippingError::TwoChains { one, other, .. }) => {
                panic!("seed {seed}: {one}, {other}")
            }
            Err(_) => assert!(!database.exists(), "seed {seed}: nothing in place"),
        }
    }
    if !database.exists() {
        let remote = Remote::find(honest(backing), None).unwrap();
        restore(&remote, &database, Target::Finalized).unwrap();
    }
    assert_original(&database, seed);
}

fn assert_original(database: &Path, seed: u64) {
    let end = SMALL_SEGMENTS * 1024 - 1;
    assert!(rows(database, u64::MAX) == SMALL_CHAIN.rows(end), "seed {seed}");
}

/// Runs these seeds; says how many archives were restored too.
pub fn seeds(seeds: Range<u64>) -> u64 {
    let mut restored = 0;
    for seed in seeds {
        simulate(seed, &mut restored);
    }
    restored
}

/// 200 seeds; `ARCHIVE_SEEDS=10000` for the long run, `ARCHIVE_SEED=17` for one.
#[test]
fn whatever_the_store_does_a_run_ends_complete_and_verified_or_in_a_named_error() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let (first, count) = match number("ARCHIVE_SEED") {
        Some(seed) => (seed, 1),
        None => (0, number("ARCHIVE_SEEDS").unwrap_or(200)),
    };
    assert!(seeds(first..first + count) >= count / RESTORED_EVERY);
}

/// Two nodes of one chain ship into one archive: whoever comes second finds what it meant, and verifies it.
#[test]
fn two_writers_of_one_chain_make_one_archive_whenever_the_second_comes() {
    for operation in 0..24 {
        let backing = Backing::default();
        let others = backing.clone();
        let faulty = Faulty::new(&backing, Faults::default(), 1, u64::MAX);
        let faulty = faulty.with_intruder(operation, move || {
            ship(&SMALL_CHAIN, honest(&others), &mut 0).unwrap();
        });
        let store = Store::of_objects(Arc::new(faulty), "faulty://").unwrap();
        assert_eq!(ship(&SMALL_CHAIN, store, &mut 0).unwrap(), SMALL_SEGMENTS);
        assert_whole(&backing, operation);
    }
}

/// Two finalized chains of one network: both may be stopped, never neither, and nothing is proven of a mixture.
#[test]
fn two_writers_of_two_chains_end_in_an_error_that_names_both() {
    let mut mixtures = 0;
    for operation in 0..24 {
        let backing = Backing::default();
        let others = backing.clone();
        let faulty = Faulty::new(&backing, Faults::default(), 1, u64::MAX);
        let faulty = faulty.with_intruder(operation, move || {
            drop(ship(&OTHER_CHAIN, honest(&others), &mut 0));
        });
        let store = Store::of_objects(Arc::new(faulty), "faulty://").unwrap();
        // The first may not see the second any more; whoever looks next does.
        drop(ship(&SMALL_CHAIN, store, &mut 0));
        let again = [&SMALL_CHAIN, &OTHER_CHAIN].map(|chain| ship(chain, honest(&backing), &mut 0));
        let stopped = again.iter().filter(|again| {
            assert!(matches!(again, Ok(SMALL_SEGMENTS) | Err(ShippingError::TwoChains { .. })));
            again.is_err()
        });
        let stopped = stopped.count();
        assert!(stopped > 0, "{operation}");
        let remote = Remote::find(honest(&backing), None).unwrap();
        match verify(&remote, None, true, &mut go_on) {
            Ok(_) => assert_eq!(stopped, 1, "{operation}"),
            Err(error) => {
                assert!(matches!(error, ShippingError::TwoChains { .. }), "{operation}: {error}");
                mixtures += 1;
            }
        }
    }
    assert!(mixtures > 0, "the second came in the middle");
}
