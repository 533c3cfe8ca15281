//! The counts of a run of hours, told about once a minute, so that a kill at any instant leaves them in its log.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Time between two lines.
const APART: Duration = Duration::from_secs(60);

/// Until when, and what has been done so far.
#[derive(Debug)]
pub struct Tally {
    until: Instant,
    counts: Mutex<Counts>,
}

#[derive(Debug)]
struct Counts {
    judged: u64,
    failed: u64,
    /// Hashes of the images judged: 16 bytes each, of a million images 16 MB.
    distinct: HashSet<u128>,
    /// What is going on.
    now: String,
    told: Instant,
}

impl Tally {
    /// Nothing yet, and no more after this.
    #[must_use]
    pub fn until(until: Instant) -> Self {
        let counts = Counts {
            judged: 0,
            failed: 0,
            distinct: HashSet::new(),
            now: String::new(),
            told: Instant::now(),
        };
        Self { until, counts: Mutex::new(counts) }
    }

    /// Whether the time is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    /// Says what goes on from now on.
    pub fn begin(&self, what: &str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        what.clone_into(&mut counts.now);
    }

    /// An image was judged.
    pub fn judged(&self, hash: u128, is_sound: bool) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.judged += 1;
        counts.failed += u64::from(!is_sound);
        counts.distinct.insert(hash);
        if counts.told.elapsed() >= APART {
            counts.tell();
        }
    }

    /// Says the counts now.
    pub fn tell(&self) {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).tell();
    }
}

impl Counts {
    fn tell(&mut self) {
        self.told = Instant::now();
        println!(
            "so far: {} crash images judged, {} of them distinct, {} with a finding; {}",
            self.judged,
            self.distinct.len(),
            self.failed,
            self.now
        );
    }
}
