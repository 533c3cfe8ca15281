//! A group of criterion's whose benchmarks keep every time for the report.

use std::{mem, time::Duration};

use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput, measurement::WallTime};
use lamella_benches::Times;

/// A group of benchmarks.
pub struct Group<'a> {
    name: &'static str,
    inner: BenchmarkGroup<'a, WallTime>,
}

impl<'a> Group<'a> {
    pub fn of(criterion: &'a mut Criterion, name: &'static str) -> Self {
        Self { name, inner: criterion.benchmark_group(name) }
    }

    pub fn samples(&mut self, count: usize) -> &mut Self {
        self.inner.sample_size(count);
        self
    }

    pub fn throughput(&mut self, elements: u64) -> &mut Self {
        self.inner.throughput(Throughput::Elements(elements));
        self
    }

    pub fn bytes(&mut self, bytes: u64) -> &mut Self {
        self.inner.throughput(Throughput::Bytes(bytes));
        self
    }

    /// For work of which each sample takes as often as the one before.
    pub fn flat(&mut self) -> &mut Self {
        self.inner.sampling_mode(SamplingMode::Flat);
        self
    }

    pub fn measurement_time(&mut self, time: Duration) -> &mut Self {
        self.inner.measurement_time(time);
        self
    }

    /// One benchmark: `run` adds this many iterations to the times and returns their sum by the clock.
    pub fn time(
        &mut self,
        id: impl Into<String>,
        mut run: impl FnMut(&mut Times, u64) -> Duration,
    ) {
        let id = id.into();
        let mut times = Times::new(format!("{}/{id}", self.name));
        let mut begun = false;
        self.inner.bench_function(id, |b| {
            // What the first iteration prepares would count as its time when criterion plans how many to make.
            if !mem::replace(&mut begun, true) {
                run(&mut times, 1);
            }
            b.iter_custom(|count| run(&mut times, count));
        });
        times.record();
    }
}
