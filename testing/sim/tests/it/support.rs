//! Running seeds on all cores, and telling what was found.

use std::{
    env,
    fmt::Write as _,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use lamella_testing_sim::{Ended, Plan, run, shrink};

/// Lines of what happened that are shown of a run that broke a law.
const LAST_LINES: usize = 60;

/// A number that the caller may set.
pub fn number(name: &str, otherwise: u64) -> u64 {
    env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

/// What many runs came to.
#[derive(Debug, Default)]
pub struct Sum {
    pub seeds: u64,
    pub node_ms: u64,
    pub restarts: u64,
    pub slots_back_max: u64,
    pub findings: Vec<String>,
}

impl Sum {
    fn add(&mut self, plan: &Plan, ended: Ended) {
        self.seeds += 1;
        self.node_ms += ended.node_ms;
        self.restarts += ended.restarts;
        self.slots_back_max = self.slots_back_max.max(ended.back_slots);
        self.findings.extend(finding(plan, &ended));
    }

    /// Hours that the nodes lived, together.
    pub fn node_hours(&self) -> f64 {
        self.node_ms as f64 / 3_600_000.0
    }
}

/// Runs these seeds, until the time is over if there is one.
pub fn seeds(first: u64, count: u64, until: Option<Instant>) -> Sum {
    let (next, sum) = (AtomicU64::new(first), Mutex::new(Sum::default()));
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let is_over = until.is_some_and(|until| Instant::now() >= until);
            if seed >= first.saturating_add(count) || is_over {
                return;
            }
            let plan = Plan::of(seed);
            let ended = run(&plan);
            sum.lock().unwrap().add(&plan, ended);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    sum.into_inner().unwrap()
}

/// What is told of a run that broke a law: the smallest plan that breaks it too, and the end of that.
fn finding(plan: &Plan, ended: &Ended) -> Option<String> {
    let violation = ended.violation.as_ref()?;
    let small = shrink(plan, violation.law);
    let again = run(&small);
    let last = again.trace.iter().skip(again.trace.len().saturating_sub(LAST_LINES));
    let mut told = format!("{plan}{violation}\nsmallest: {small}");
    for line in last {
        writeln!(told, "{line}").unwrap();
    }
    Some(told)
}
