//! A token bucket: so much at once, so much per second; alone, or shared by the threads that send answers.

use parking_lot::Mutex;

/// Milliseconds of a second.
const SECOND_MS: u64 = 1_000;

/// A share of something that refills with time. Counts thousandths, so that no refill is lost to rounding.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    thousandths: u64,
    thousandths_max: u64,
    per_second: u64,
    at_ms: u64,
}

impl Bucket {
    /// A full bucket of `burst`.
    #[must_use]
    pub const fn new(burst: u64, per_second: u64, now_ms: u64) -> Self {
        let thousandths_max = burst * SECOND_MS;
        Self { thousandths: thousandths_max, thousandths_max, per_second, at_ms: now_ms }
    }

    /// Takes `count` if they are there; otherwise takes nothing.
    pub fn take(&mut self, count: u64, now_ms: u64) -> bool {
        let is_there = self.has(count, now_ms);
        if is_there {
            self.thousandths -= count * SECOND_MS;
        }
        is_there
    }

    /// Whether `count` are there.
    pub fn has(&mut self, count: u64, now_ms: u64) -> bool {
        let passed_ms = now_ms.saturating_sub(self.at_ms);
        let refill = passed_ms.saturating_mul(self.per_second);
        self.thousandths = self.thousandths.saturating_add(refill).min(self.thousandths_max);
        self.at_ms = self.at_ms.max(now_ms);
        count.saturating_mul(SECOND_MS) <= self.thousandths
    }

    /// Milliseconds until `count` are there if nobody else takes any; a bucket never holds more than its burst, and
    /// a greater count waits for a full one.
    pub fn wait_ms(&mut self, count: u64, now_ms: u64) -> u64 {
        if self.has(count, now_ms) {
            return 0;
        }
        let wanted = count.saturating_mul(SECOND_MS).min(self.thousandths_max);
        (wanted - self.thousandths).div_ceil(self.per_second.max(1)).max(1)
    }
}

/// A bucket that several answers draw on at once.
#[derive(Debug)]
pub struct Budget(Mutex<Bucket>);

impl Budget {
    pub(crate) const fn new(bucket: Bucket) -> Self {
        Self(Mutex::new(bucket))
    }

    /// As [`Bucket::take`].
    pub fn take(&self, count: u64, now_ms: u64) -> bool {
        self.0.lock().take(count, now_ms)
    }

    /// As [`Bucket::wait_ms`].
    pub fn wait_ms(&self, count: u64, now_ms: u64) -> u64 {
        self.0.lock().wait_ms(count, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_then_its_rate_and_never_more() {
        let mut bucket = Bucket::new(10, 4, 1_000);
        assert!(bucket.take(10, 1_000));
        assert!(!bucket.take(1, 1_249));
        assert_eq!(bucket.wait_ms(1, 1_249), 1);
        assert!(bucket.take(1, 1_250));
        assert_eq!(bucket.wait_ms(3, 1_250), 750);
        assert!(!bucket.take(11, 1_000_000), "a full bucket holds its burst");
        assert!(bucket.take(10, 1_000_000));
        assert!(!bucket.take(u64::MAX, u64::MAX));
        assert!(!bucket.take(11, 0), "a clock that goes back gives nothing");
    }
}
