//! Which plots there are, and what their lines are measured by.

use lamella_benches::sweep::{HISTORIES, STALLS};

use crate::{
    format::{bytes, seconds},
    measured::Measured,
    plot::{Plot, Scale, Series},
};

const SLOTS_OF_HISTORY: &str = "slots of history";
const SLOTS_OF_STALL: &str = "slots since finality";

/// The plots by file name.
pub fn plots(measured: &Measured) -> Vec<(&'static str, Plot)> {
    let mut plots = over_history(measured);
    plots.extend(over_stall(measured));
    plots
}

/// A line through what was measured at these points; a point that was not is left out.
fn series(name: &'static str, points: &[u64], value: impl Fn(u64) -> Option<f64>) -> Series {
    let measured = |point: &u64| Some((*point as f64, value(*point)?));
    Series { name, points: points.iter().filter_map(measured).collect() }
}

fn over_history(measured: &Measured) -> Vec<(&'static str, Plot)> {
    let timed = |name, bench: &str| {
        series(name, &HISTORIES, |slot| measured.seconds(&format!("over_history/{bench}/{slot}")))
    };
    let sized = |name, figure: &str| {
        series(name, &HISTORIES, |slot| measured.figure(&format!("{figure}/{slot}")))
    };
    let plot = |title, format, series| Plot {
        title,
        x_label: SLOTS_OF_HISTORY,
        x_scale: Scale::Log,
        format,
        series,
    };
    vec![
        (
            "import-history",
            plot(
                "Import of a block without flush, 4,096 validators",
                seconds,
                vec![
                    timed("Lamella, import", "import"),
                    timed("writing the full state alone", "write_full_state"),
                ],
            ),
        ),
        (
            "read-history",
            plot(
                "Read, 1,023 blocks after the anchor, which is in memory, 4,096 validators",
                seconds,
                vec![
                    timed("Lamella", "read_warm"),
                    timed("walk from a snapshot in memory", "read_linear_walk"),
                ],
            ),
        ),
        (
            "memory-history",
            plot(
                "32 cached states beyond the first, 4,096 validators",
                bytes,
                vec![
                    sized("Lamella", "memory/32_states_beyond_the_first"),
                    sized("plain ssz_rs containers", "memory/baseline_32_ssz_rs_states"),
                ],
            ),
        ),
        (
            "disk-history",
            plot(
                "All states of a healthy chain on disk, 4,096 validators",
                bytes,
                vec![
                    sized("Lamella", "disk/all_states"),
                    sized("snapshots and diffs", "disk/baseline_all_states_linear"),
                    sized("a full state each block", "disk/baseline_all_states_full"),
                ],
            ),
        ),
    ]
}

fn over_stall(measured: &Measured) -> Vec<(&'static str, Plot)> {
    let timed = |name, bench: &str| {
        series(name, &STALLS, |slots| measured.seconds(&format!("over_stall/{bench}/{slots}")))
    };
    let sized = |name, figure: &str| {
        series(name, &STALLS, |slots| measured.figure(&format!("{figure}/{slots}")))
    };
    let plot = |title, format, series| Plot {
        title,
        x_label: SLOTS_OF_STALL,
        x_scale: Scale::Linear,
        format,
        series,
    };
    vec![
        (
            "import-stall",
            plot(
                "Import of a block without flush, half of 4,096 validators voting",
                seconds,
                vec![timed("Lamella", "import")],
            ),
        ),
        (
            "read-stall",
            plot(
                "Read with the most tally deltas, anchor in memory, half of 4,096 voting",
                seconds,
                vec![
                    timed("Lamella", "read_warm"),
                    timed("walk from a snapshot in memory", "read_linear_walk"),
                ],
            ),
        ),
        (
            "memory-stall",
            plot(
                "32 cached states beyond the first, half of 4,096 validators voting",
                bytes,
                vec![
                    sized("Lamella", "memory/stall/32_states_beyond_the_first"),
                    sized("plain ssz_rs containers", "memory/stall/baseline_32_ssz_rs_states"),
                ],
            ),
        ),
        (
            "disk-stall",
            plot(
                "Diff of a block, mean of 64 blocks, half of 4,096 validators voting",
                bytes,
                vec![
                    sized("Lamella", "diffs/ours"),
                    sized("the whole tally in each diff", "diffs/linear"),
                ],
            ),
        ),
    ]
}
