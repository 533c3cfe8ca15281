//! Timing of one step between its preparation and the check of its result.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Time of `measured` over `iterations`, for criterion's `iter_custom`: the median iteration, as often as there were
/// iterations, so that another program's turn on the processor does not count. What `setup` makes is the input; `check`
/// sees every result and drops it. Neither of them is timed.
pub fn timed<Input, Output>(
    iterations: u64,
    mut setup: impl FnMut() -> Input,
    mut measured: impl FnMut(Input) -> Output,
    mut check: impl FnMut(Output),
) -> Duration {
    let iteration = |_| {
        let input = black_box(setup());
        let started = Instant::now();
        let output = black_box(measured(input));
        let time = started.elapsed();
        check(output);
        time
    };
    total_of_median((0..iterations).map(iteration).collect())
}

/// The median of these times, as often as there are times.
#[must_use]
pub fn total_of_median(mut times: Vec<Duration>) -> Duration {
    let count = u32::try_from(times.len()).unwrap_or(u32::MAX);
    times.sort_unstable();
    times.get(times.len() / 2).map_or(Duration::ZERO, |median| *median * count)
}
