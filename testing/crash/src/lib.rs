//! Every directory that a power cut can leave of a recorded run, opened and judged.
//!
//! The hard idea: what is tested is what runs. The unmodified program runs under `strace` ([`record`]), which writes down
//! each call that changes files or flushes them, and each line that the program says, in their order ([`trace`]). From
//! that list follows what a disk may hold at any instant ([`disk`]): what was flushed for certain, and of the rest any
//! part. Each such image ([`image`], [`enumerate`]) is written into a folder and opened by the production path in a
//! process of its own ([`judge`]), so that a signal or a hang is a finding too and not the end of the test.
//!
//! A second recorder below the first, a file system of our own ([`mount`]), must tell the same of a run ([`compare`]).
//!
//! What an image must show ([`campaign`]): it opens, no invariant is broken, it holds at least what the program had said
//! by then and at most what it had begun, row for row what the run without a crash had at that point.
//!
//! A harness that finds nothing proves nothing, so faults are planted ([`plants`]), and each must be found.
//!
//! Not here: what a disk does that acknowledges a flush and does not keep it, sectors smaller than 512 bytes, and files
//! changed through a map; the engine changes `mdbx.lck` so, which therefore is tried absent, old and as garbage.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::cast_possible_truncation,
    reason = "a harness fails its test by panicking, on a 64-bit machine"
)]

pub mod archiving;
pub mod campaign;
pub mod compare;
pub mod contents;
pub mod disk;
pub mod enumerate;
pub mod failing;
pub mod followed;
pub mod image;
pub mod jobs;
pub mod judge;
#[cfg(target_os = "linux")]
pub mod mount;
pub mod network;
pub mod plants;
pub mod process;
pub mod record;
mod recorded_jobs;
pub mod restored;
pub mod rot;
pub mod scenario;
pub mod split;
pub mod strace;
pub mod tally;
pub mod trace;
pub mod verdict;
pub mod whole;
pub mod workers;
