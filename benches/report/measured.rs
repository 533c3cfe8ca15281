//! What the last run measured: how long things took, by every single time of them, and the figures that are not times.

use std::collections::BTreeMap;

use lamella_benches::figures;

use crate::format::{count, seconds};

/// Everything that was measured.
#[derive(Debug, Default)]
pub struct Measured(BTreeMap<String, f64>);

/// How long something took, in seconds, over all its iterations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Taken {
    pub iterations: f64,
    pub median: f64,
    pub mean: f64,
    pub p99: f64,
    pub worst: f64,
    /// Median by the processors, all threads of the process together.
    pub processors: f64,
}

/// Iterations from which a p99 says something that the worst does not.
const P99_ITERATIONS_MIN: f64 = 200.0;

impl Measured {
    /// Reads what the benches left in the target directory.
    pub fn read() -> Self {
        Self(figures::all())
    }

    /// Time of a benchmark, by its criterion name.
    pub fn taken(&self, name: &str) -> Option<Taken> {
        let figure = |what: &str| self.figure(&format!("times/{name}/{what}"));
        let seconds = |what: &str| figure(what).map(|us| us / 1e6);
        Some(Taken {
            iterations: figure("count")?,
            median: seconds("median_us")?,
            mean: seconds("mean_us")?,
            p99: seconds("p99_us")?,
            worst: seconds("worst_us")?,
            processors: seconds("processors_median_us")?,
        })
    }

    /// Median seconds of a benchmark.
    pub fn seconds(&self, name: &str) -> Option<f64> {
        self.taken(name).map(|taken| taken.median)
    }

    /// A figure that is not a time.
    pub fn figure(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }

    /// As if this had been measured.
    #[cfg(test)]
    pub fn of<const F: usize>(figures: [(&str, f64); F]) -> Self {
        Self(figures.map(|(name, value)| (name.to_owned(), value)).into_iter().collect())
    }

    /// And as if each iteration of this benchmark had taken so many seconds.
    #[cfg(test)]
    pub fn with_time(mut self, name: &str, seconds: f64) -> Self {
        for what in ["median_us", "mean_us", "p99_us", "worst_us", "processors_median_us"] {
            self.0.insert(format!("times/{name}/{what}"), seconds * 1e6);
        }
        self.0.insert(format!("times/{name}/count"), 15.0);
        self
    }
}

impl Taken {
    /// `mean 4.2 us, p99 6 us, worst of 4,012 40 us`.
    pub fn spread(&self) -> String {
        let p99 = if self.iterations >= P99_ITERATIONS_MIN {
            format!("p99 {}, ", seconds(self.p99))
        } else {
            String::new()
        };
        let (mean, worst) = (seconds(self.mean), seconds(self.worst));
        format!("mean {mean}, {p99}worst of {} {worst}", count(self.iterations))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_p99_is_said_only_of_enough_iterations() {
        let taken = |iterations| Taken {
            iterations,
            median: 1e-3,
            mean: 2e-3,
            p99: 3e-3,
            worst: 4e-3,
            processors: 5e-3,
        };
        assert_eq!(taken(199.0).spread(), "mean 2 ms, worst of 199 4 ms");
        assert_eq!(taken(4012.0).spread(), "mean 2 ms, p99 3 ms, worst of 4,012 4 ms");
    }
}
