//! Group `slot_clock`: wall-clock time to slots and intervals.

use lamella_testing_spec_vectors::{Case, FormatError, Outcome, field, run_group};
use lamella_types::{
    SlotClock,
    limits::{INTERVALS_PER_SLOT, SLOT_MS},
};
use serde_json::Value;

#[test]
fn slot_clock_vectors() {
    run_group("slot_clock", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let config: Value = field(&case.value, "config")?;
    let timing = [
        field::<u64>(&config, "secondsPerSlot")? * 1000,
        field(&config, "intervalsPerSlot")?,
        field(&config, "millisecondsPerInterval")?,
    ];
    let ours = [SLOT_MS, INTERVALS_PER_SLOT, SLOT_MS / INTERVALS_PER_SLOT];
    if timing != ours {
        return Err(format!("timing: expected {timing:?}, got {ours:?}"));
    }
    let operation: Value = field(&case.value, "operation")?;
    let output: Value = field(&case.value, "output")?;
    let (key, got) = run(&operation)?;
    let expected: u64 = field(&output, key)?;
    if got == expected {
        Ok(Outcome::Passed)
    } else {
        Err(format!("{operation}: expected {expected}, got {got}"))
    }
}

/// The name of the output and our value of it.
fn run(operation: &Value) -> Result<(&'static str, u64), FormatError> {
    let kind: String = field(operation, "kind")?;
    if kind == "from_slot" {
        return Ok(("interval", field::<u64>(operation, "slot")? * INTERVALS_PER_SLOT));
    }
    let clock = SlotClock::new(field(operation, "genesisTime")?, SLOT_MS);
    if kind == "from_unix_time" {
        let now_ms = whole(operation, "unixSeconds")? * 1000;
        return Ok(("interval", clock.total_intervals(now_ms)));
    }
    let now_ms = whole(operation, "currentTimeMilliseconds")?;
    match kind.as_str() {
        "current_slot" => Ok(("slot", clock.current_slot(now_ms))),
        "current_interval" => Ok(("interval", clock.current_interval(now_ms))),
        "total_intervals" => Ok(("totalIntervals", clock.total_intervals(now_ms))),
        _ => Err(FormatError::new(format!("this runner does not know the kind {kind}"))),
    }
}

/// A float of the vectors, which are all whole and small.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
fn whole(operation: &Value, name: &str) -> Result<u64, FormatError> {
    let number: Value = field(operation, name)?;
    let float = number
        .as_f64()
        .filter(|float| float.fract() == 0.0 && (0.0..9_007_199_254_740_992.0).contains(float));
    float
        .map(|float| float as u64)
        .ok_or_else(|| FormatError::new(format!("{number} is not a whole number")).within(name))
}
