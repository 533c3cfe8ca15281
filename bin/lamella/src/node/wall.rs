//! The system's clock, which drills may set wrong.

use std::{
    fs,
    path::PathBuf,
    sync::OnceLock,
    time::{SystemTime, UNIX_EPOCH},
};

/// A file with the milliseconds by which a drill's clock is ahead, read whenever the time is.
static SKEW: OnceLock<PathBuf> = OnceLock::new();

/// Takes the clock to be as many milliseconds ahead as this file says, or behind: for drills. The first file counts.
pub(crate) fn skew_by(file: PathBuf) {
    let _ = SKEW.set(file);
}

/// Milliseconds since 1970, as the system has them now.
pub(super) fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let Some(file) = SKEW.get() else { return now };
    let skew = fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok());
    now.saturating_add_signed(skew.unwrap_or(0))
}
