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

/// As [`timed`], by the processor time of this thread: what a clock says on a machine with nothing else to do. For work
/// of milliseconds in one thread that waits for no disk; reading this clock takes a system call.
pub fn timed_on_processor<Input, Output>(
    iterations: u64,
    mut setup: impl FnMut() -> Input,
    mut measured: impl FnMut(Input) -> Output,
    mut check: impl FnMut(Output),
) -> Duration {
    let iteration = |_| {
        let input = black_box(setup());
        let started = processor_time();
        let output = black_box(measured(input));
        let time = processor_time() - started;
        check(output);
        time
    };
    total_of_median((0..iterations).map(iteration).collect())
}

/// Processor time of this thread so far.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap()
}
