//! The system's clocks. A drill may set the wall's wrong; a simulation makes up both, for the nodes of its thread.

#[cfg(feature = "simulation")]
use std::cell::Cell;
use std::{
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

/// A file with the milliseconds by which a drill's clock is ahead, read whenever the time is.
static SKEW: OnceLock<PathBuf> = OnceLock::new();

/// What the clocks say at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    pub(super) unix_ms: u64,
    pub(super) monotonic: Instant,
}

#[cfg(feature = "simulation")]
thread_local! {
    static MADE_UP: Cell<Option<Reading>> = const { Cell::new(None) };
}

/// What both clocks say on this thread from here on.
#[cfg(feature = "simulation")]
pub(super) fn make_up(reading: Reading) {
    MADE_UP.set(Some(reading));
}

/// Takes the clock to be as many milliseconds ahead as this file says, or behind: for drills. The first file counts.
pub(crate) fn skew_by(file: PathBuf) {
    let _ = SKEW.set(file);
}

/// Milliseconds since 1970, as the system has them now.
pub(crate) fn unix_ms() -> u64 {
    #[cfg(feature = "simulation")]
    if let Some(reading) = MADE_UP.get() {
        return reading.unix_ms;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let Some(file) = SKEW.get() else { return now };
    let skew = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    now.saturating_add_signed(skew.unwrap_or(0))
}

/// The clock that nobody sets.
pub(super) fn monotonic() -> Instant {
    #[cfg(feature = "simulation")]
    if let Some(reading) = MADE_UP.get() {
        return reading.monotonic;
    }
    Instant::now()
}
