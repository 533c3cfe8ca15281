//! Waiting for an event, with a deadline that names it.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Longest wait for anything. A healthy run on an idle machine needs a tenth of it; a machine shared by several test
/// runs is several times slower.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Time between two looks: asking a node costs it a read, and this process as much; at 50 ms a third of a core in all.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Asks again until there is an answer.
///
/// # Panics
/// After [`PATIENCE`], with what never came.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ask() {
            return value;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(LOOK_INTERVAL);
    }
}
