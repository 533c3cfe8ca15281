//! The pace of a backup beside a node: as long at rest as at work, in small commits, so that the node's own flushes do not wait.

use std::{
    ops::ControlFlow,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{
    Progress,
    copy::{BackedUp, CopyError, CopyJob, SNAPSHOT_STAGE},
};

/// Longest rest between two steps.
const REST_MAX: Duration = Duration::from_secs(1);

/// Rows and bytes that one commit carries, a large row more: what its flush has to write is what the node's waits for.
const COMMIT_ROWS_MAX: usize = 512;
const COMMIT_BYTES_MAX: usize = 256 << 10;

/// Copies the database at `path` to a new one at `to`, or goes on with that unless `resume` is false.
///
/// # Errors
/// [`CopyError`]; the database is as it was.
pub fn run(
    path: &Path,
    to: &Path,
    taken_unix_s: u64,
    resume: bool,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<BackedUp, CopyError> {
    let job = CopyJob {
        resume,
        commit_rows_max: COMMIT_ROWS_MAX,
        commit_bytes_max: COMMIT_BYTES_MAX,
        ..CopyJob::default()
    };
    let mut began = Instant::now();
    job.backup(path, to, taken_unix_s, &mut |at| {
        if at.stage != SNAPSHOT_STAGE {
            thread::sleep(began.elapsed().min(REST_MAX));
        }
        began = Instant::now();
        progress(at)
    })
}
