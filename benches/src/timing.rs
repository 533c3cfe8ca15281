//! Timing of one step between its preparation and the check of its result: every single time is kept, by two clocks.
//!
//! A median alone hides what happens once in a thousand blocks, and a clock on the wall hides what other threads did
//! meanwhile. So each iteration is timed by the clock and by the processors (all threads of this process together),
//! none is left out, the first ones neither, and what is told is median, mean, p99 and worst.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use rustix::time::{ClockId, clock_gettime};

use crate::figures;

/// What one iteration took.
#[derive(Debug, Clone, Copy)]
pub struct Spent {
    /// By the clock.
    pub clock: Duration,
    /// By the processors, all threads of the process together.
    pub processors: Duration,
}

/// Runs from [`Stopwatch::start`] on. The processors' clock takes two system calls, outside of the other one.
#[derive(Debug)]
pub struct Stopwatch {
    processors: Duration,
    started: Instant,
}

impl Stopwatch {
    /// Begins.
    #[must_use]
    pub fn start() -> Self {
        let processors = processor_time();
        Self { processors, started: Instant::now() }
    }

    /// What passed since.
    #[must_use]
    pub fn stop(&self) -> Spent {
        let clock = self.started.elapsed();
        Spent { clock, processors: processor_time() - self.processors }
    }
}

/// Processor time of this process so far.
fn processor_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap()
}

/// Every time of one benchmark.
#[derive(Debug)]
pub struct Times {
    name: String,
    spent: Vec<Spent>,
}

impl Times {
    /// Of the benchmark of this name, `group/id`.
    #[must_use]
    pub const fn new(name: String) -> Self {
        Self { name, spent: Vec::new() }
    }

    /// Times `measured` for criterion's `iter_custom` and returns the sum by the clock. What `setup` makes is the input;
    /// `check` sees every result and drops it. Neither of them is timed.
    pub fn each<Input, Output>(
        &mut self,
        iterations: u64,
        mut setup: impl FnMut() -> Input,
        mut measured: impl FnMut(Input) -> Output,
        mut check: impl FnMut(Output),
    ) -> Duration {
        let iteration = |_| {
            let input = black_box(setup());
            let watch = Stopwatch::start();
            let output = black_box(measured(input));
            let spent = watch.stop();
            check(output);
            self.add(spent)
        };
        (0..iterations).map(iteration).sum()
    }

    /// Counts one more iteration and returns its time by the clock.
    pub fn add(&mut self, spent: Spent) -> Duration {
        self.spent.push(spent);
        spent.clock
    }

    /// Leaves the figures for the report: `times/NAME/median_us` and so on.
    ///
    /// Not those of the two iterations that `cargo bench -- --test` makes to see that a benchmark runs.
    pub fn record(&self) {
        if self.spent.len() < 3 {
            return;
        }
        let clock = Spread::of(self.spent.iter().map(|spent| spent.clock).collect());
        let processors = Spread::of(self.spent.iter().map(|spent| spent.processors).collect());
        let figure = |what: &str, value: f64| {
            figures::keep(&format!("times/{}/{what}", self.name), value);
        };
        figure("count", self.spent.len() as f64);
        figure("median_us", micros(clock.median));
        figure("mean_us", micros(clock.mean));
        figure("p99_us", micros(clock.p99));
        figure("worst_us", micros(clock.worst));
        figure("processors_median_us", micros(processors.median));
        figure("processors_mean_us", micros(processors.mean));
        eprintln!("{} of {}: {clock:?}, processors {processors:?}", self.name, self.spent.len());
    }
}

/// How times are spread.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spread {
    /// As many are below as above.
    pub median: Duration,
    /// Their sum over their number.
    pub mean: Duration,
    /// Of a hundred, 99 are no longer.
    pub p99: Duration,
    /// The longest.
    pub worst: Duration,
}

impl Spread {
    /// Of these times; all zero if there are none.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Self {
        let Ok(count @ 1..) = u32::try_from(times.len()) else { return Self::default() };
        times.sort_unstable();
        let rank = |hundredths: usize| times[(times.len() * hundredths).div_ceil(100) - 1];
        Self {
            median: times[times.len() / 2],
            mean: times.iter().sum::<Duration>() / count,
            p99: rank(99),
            worst: rank(100),
        }
    }
}

/// Microseconds.
#[must_use]
pub fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_slow_time_of_a_hundred_is_in_the_mean_and_the_worst_and_not_in_the_p99() {
        let mut times = vec![Duration::from_micros(100); 99];
        times.push(Duration::from_micros(10_100));
        let us = Duration::from_micros;
        let spread = Spread { median: us(100), mean: us(200), p99: us(100), worst: us(10_100) };
        assert_eq!(Spread::of(times), spread);
        assert_eq!(Spread::of(Vec::new()), Spread::default());
    }

    #[test]
    fn the_processors_clock_counts_every_thread() {
        let work = || {
            let watch = Stopwatch::start();
            while watch.started.elapsed() < Duration::from_millis(50) {
                black_box(0);
            }
        };
        let watch = Stopwatch::start();
        std::thread::scope(|scope| {
            scope.spawn(work);
        });
        let spent = watch.stop();
        // This thread only waited. Other programs may have had the processor for part of the time.
        assert!(spent.processors > Duration::from_millis(5), "{spent:?}");
    }
}
