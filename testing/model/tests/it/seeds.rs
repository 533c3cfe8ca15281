//! Runs of many seeds, on two threads.

use std::{
    any::Any,
    io::{self, Write as _},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use crate::run::{Figures, Run};

/// Steps of a run: about 100 blocks.
const STEPS: u64 = 130;

/// Seeds of a run of the suite.
const SEEDS: Range<u64> = 0..40;

/// Steps between two checks of everything.
const CHECKPOINT_STEPS: u64 = 16;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

fn seeds() -> Range<u64> {
    if let Some(seed) = number("MODEL_SEED") {
        return seed..seed + 1;
    }
    let Ok(text) = std::env::var("MODEL_SEEDS") else { return SEEDS };
    let range = text.split_once("..");
    let range = range.and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    range.unwrap_or_else(|| panic!("MODEL_SEEDS={text} is not a range such as 0..200"))
}

/// One seed; what it did, or what failed.
fn run(seed: u64, steps: u64) -> Result<Figures, String> {
    let all = std::env::var_os("MODEL_ALL").is_some();
    let mut chain = attempt(|| Run::new(seed)).map_err(|why| format!("seed {seed}: {why}"))?;
    for step in 1..=steps {
        let everything = all || step % CHECKPOINT_STEPS == 0 || step == steps;
        let outcome = attempt(|| {
            chain.step();
            chain.check(everything);
        });
        outcome.map_err(|why| format!("seed {seed}, step {step} ({}): {why}", chain.doing))?;
    }
    let outcome = attempt(|| {
        chain.restart();
        chain.check(true);
    });
    outcome.map_err(|why| format!("seed {seed}, last restart: {why}"))?;
    Ok(chain.figures)
}

fn attempt<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|panic| message(&*panic))
}

/// The words of a panic.
pub fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned())).unwrap_or_default()
}

#[test]
fn random_chains_answer_like_the_naive_model() {
    let (seeds, steps) = (seeds(), number("MODEL_STEPS").unwrap_or(STEPS));
    let next = AtomicU64::new(seeds.start);
    let results: Mutex<(Figures, Vec<String>)> = Mutex::default();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end {
                        break;
                    }
                    let outcome = run(seed, steps);
                    let mut results = results.lock().unwrap();
                    match outcome {
                        Ok(figures) => results.0.add(&figures),
                        Err(why) => {
                            eprintln!("{why}\nreplay: MODEL_SEED={seed} cargo test -p lamella-testing-model seeds");
                            results.1.push(why);
                        }
                    }
                }
            });
        }
    });
    let (figures, failures) = results.into_inner().unwrap();
    writeln!(io::stdout().lock(), "model: {} seeds, {figures:?}", seeds.end - seeds.start).unwrap();
    // Of one seed, or of few steps, not everything can be asked.
    let whole = seeds == SEEDS && steps == STEPS;
    assert!(!whole || figures.full_prune_steps > 100, "no step of pruning was full");
    assert!(!whole || figures.pruned_states > 100, "few states were pruned");
    assert!(failures.is_empty(), "{} seeds failed:\n{}", failures.len(), failures.join("\n"));
}
