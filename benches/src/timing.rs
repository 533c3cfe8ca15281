//! Timing of one step between its preparation and the check of its result.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// Time spent in `measured` over `iterations`, for criterion's `iter_custom`. What `setup` makes is its input;
/// `check` sees every result and drops it. Neither of them is timed.
pub fn timed<Input, Output>(
    iterations: u64,
    mut setup: impl FnMut() -> Input,
    mut measured: impl FnMut(Input) -> Output,
    mut check: impl FnMut(Output),
) -> Duration {
    let mut total = Duration::ZERO;
    for _ in 0..iterations {
        let input = black_box(setup());
        let started = Instant::now();
        let output = black_box(measured(input));
        total += started.elapsed();
        check(output);
    }
    total
}
