//! Every crash image of recorded runs: opened, checked, compared.
//!
//! Fault model: one machine; a disk that keeps what it acknowledged as flushed and writes sectors of 512 bytes whole; of
//! everything else that was written, named, cut or grown any part may be there. `LAMELLA_CRASH_SEED` repeats a run's choices,
//! `LAMELLA_CRASH_IMAGES` sets how many images of each run are judged, `LAMELLA_CRASH_IMAGE=head:17` writes one down.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a failed test panics"
)]

mod failed_calls;
mod kills;
mod planted;
#[cfg(target_os = "linux")]
mod recorders;
mod rot;
mod runs;
mod support;
mod torture;
