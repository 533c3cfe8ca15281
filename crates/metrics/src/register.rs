//! Making metrics: every one is registered when the node starts, so that it is scraped before its first use.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, core::Collector,
};

/// Seconds of things that take milliseconds: leanMetrics' buckets for signatures and votes.
pub(super) const SHORT: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 1.0];

/// Seconds of a block's way through fork choice.
pub(super) const BLOCK: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 1.0, 1.25, 1.5, 2.0, 4.0];

/// Seconds of a state transition.
pub(super) const TRANSITION: &[f64] = &[0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 2.5, 3.0, 4.0];

/// Seconds of an aggregation proof.
pub(super) const AGGREGATION: &[f64] = &[0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 4.0];

/// Seconds of building a block.
pub(super) const BUILDING: &[f64] = &[0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0];

/// Seconds between two ticks: 0.8 on a real network, whatever a development network wants.
pub(super) const TICK: &[f64] = &[0.05, 0.1, 0.25, 0.5, 0.75, 0.8, 0.85, 0.9, 1.0, 1.5, 4.0];

/// Seconds after the start of an interval: an interval of the lean network is 0.8.
pub(super) const LATENESS: &[f64] =
    &[0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 4.0];

/// Blocks of a reorg.
pub(super) const DEPTH: &[f64] = &[1.0, 2.0, 3.0, 5.0, 7.0, 10.0, 20.0, 30.0, 50.0, 100.0];

/// Aggregates in a block.
pub(super) const PAYLOADS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0];

/// Bytes of a gossip message, 1 KiB to 1 MiB.
pub(super) const MESSAGE: &[f64] =
    &[1024.0, 4096.0, 16384.0, 65536.0, 131_072.0, 262_144.0, 524_288.0, 1_048_576.0];

/// Seconds of a step of a commit or of a read: 50 µs cached, 1 ms cold, 10 ms a slow flush, above that a stall.
pub(super) const STORAGE: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
];

/// Makes metrics in a registry.
pub(super) struct Register<'a>(pub(super) &'a Registry);

impl Register<'_> {
    pub(super) fn gauge(&self, name: &str, help: &str) -> IntGauge {
        self.add(IntGauge::new(name, help))
    }

    pub(super) fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::new(name, help))
    }

    pub(super) fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Histogram {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add(Histogram::with_opts(options))
    }

    /// A gauge with labels. A combination of their values exists once it was asked for.
    pub(super) fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels))
    }

    /// A counter with one label, at zero for each of its values.
    pub(super) fn counters(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> IntCounterVec {
        let counters = self.add(IntCounterVec::new(Opts::new(name, help), &[label]));
        for value in values {
            counters.with_label_values(&[value]);
        }
        counters
    }

    /// A counter with two labels, at zero for each pair of their values.
    pub(super) fn counter_pairs(
        &self,
        name: &str,
        help: &str,
        labels: [(&str, &[&str]); 2],
    ) -> IntCounterVec {
        let [(first, first_values), (second, second_values)] = labels;
        let counters = self.add(IntCounterVec::new(Opts::new(name, help), &[first, second]));
        for first in first_values {
            for second in second_values {
                counters.with_label_values(&[first, second]);
            }
        }
        counters
    }

    /// A histogram with one label, empty for each of its values.
    pub(super) fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        label: &str,
        values: &[&str],
    ) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        let histograms = self.add(HistogramVec::new(options, &[label]));
        for value in values {
            histograms.with_label_values(&[value]);
        }
        histograms
    }

    #[expect(clippy::expect_used, reason = "names are constants of this module, each used once")]
    fn add<T: Collector + Clone + 'static>(&self, made: prometheus::Result<T>) -> T {
        let metric = made.expect("a metric's name, labels and buckets are well-formed");
        self.0.register(Box::new(metric.clone())).expect("a metric is registered once");
        metric
    }
}

/// A gauge's value: counts past `i64::MAX` do not occur.
pub(super) fn gauge(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A count as a histogram's value; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "histograms need no more than the order of a size")]
pub fn float(count: usize) -> f64 {
    count as f64
}
