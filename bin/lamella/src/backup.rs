//! The pace of a backup beside a node: its flushes fall between the node's own.
//!
//! The hard idea: on one disk a flush waits for the one that is under way. When a node will commit nobody knows, but when it did
//! the database says. So a backup writes right after a commit of the node, for a part of the time that lay between the last two,
//! and then waits for the next one. Where none comes, and where it only reads, it rests as long as it works. And it has the lowest
//! priority.

use std::{
    ops::ControlFlow,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lamella_chain::{
    Progress,
    copy::{self, BackedUp, CopyError, CopyJob, SNAPSHOT_STAGE},
};
use lamella_tables::DatabaseView;
use tracing::warn;

/// Lowest priority that a process can have.
const NICE: i32 = 19;

/// Longest rest between two steps beside no node.
const REST_MAX: Duration = Duration::from_secs(1);

/// One part in so many of the time between two commits of the node is written in.
const PART: u32 = 8;

/// Longest time that is written in after one commit. What comes next may be a block, a few hundred milliseconds into its slot.
const WRITING_MAX: Duration = Duration::from_millis(100);

/// A node that did not commit for so long does nothing: one that keeps up does in each slot.
const IDLE_AFTER: Duration = Duration::from_secs(6);

/// Time between two looks at whether the node committed.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Rows and bytes that one commit carries, a large row more: a flush of so much is over before the node's next one.
const COMMIT_ROWS_MAX: usize = 512;
const COMMIT_BYTES_MAX: usize = 256 << 10;

/// Copies the database at `path` to a new one at `to`, or goes on with that unless `resume` is false. The process has the lowest
/// priority from then on.
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
    if let Err(error) = rustix::process::nice(NICE) {
        warn!(%error, "The backup goes on at the priority of the node");
    }
    let source = copy::open(path)?;
    let mut pace = Pace::of(&source);
    let mut began = Instant::now();
    job.backup_from(&source, to, taken_unix_s, &mut |at| {
        let worked = began.elapsed().min(REST_MAX);
        match at.stage {
            SNAPSHOT_STAGE => progress(at)?,
            stage if copy::writes(stage) => pace.wait(worked, &mut || progress(at))?,
            _ => {
                thread::sleep(worked);
                progress(at)?;
            }
        }
        began = Instant::now();
        ControlFlow::Continue(())
    })
}

/// When the node committed.
struct Pace<'a> {
    source: &'a DatabaseView,
    /// Its last commit.
    seen: u64,
    /// When that was seen, if it was not there from the beginning.
    seen_at: Option<Instant>,
    /// For how long may be written after it.
    writing: Duration,
}

impl<'a> Pace<'a> {
    fn of(source: &'a DatabaseView) -> Self {
        // An engine that does not say will not give rows either.
        let seen = source.last_transaction().unwrap_or_default();
        Self { source, seen, seen_at: None, writing: Duration::ZERO }
    }

    /// Waits after so much work until more may be written, or somebody says that it is over.
    fn wait(
        &mut self,
        worked: Duration,
        goes_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let began = Instant::now();
        while !self.has_committed() && !self.may_go_on(began.elapsed() >= worked) {
            thread::sleep(LOOK_EVERY);
            goes_on()?;
        }
        goes_on()
    }

    fn has_committed(&mut self) -> bool {
        let last = self.source.last_transaction().unwrap_or(self.seen);
        if last == self.seen {
            return false;
        }
        let between = self.seen_at.map_or(Duration::ZERO, |before| before.elapsed());
        self.writing = (between / PART).min(WRITING_MAX);
        (self.seen, self.seen_at) = (last, Some(Instant::now()));
        true
    }

    /// Whether there is time left after the last commit; beside no node, whether it has rested.
    fn may_go_on(&self, has_rested: bool) -> bool {
        match self.seen_at.map(|at| at.elapsed()) {
            Some(since) if since < IDLE_AFTER => since < self.writing,
            _ => has_rested,
        }
    }
}

#[cfg(test)]
mod tests {
    use lamella_chain::{Bootstrap, Chain, Settings};
    use lamella_tables::{DutyKey, KeyKind};
    use lamella_types::{Validator, Validators, genesis_state};

    use super::*;

    fn chain(directory: &Path) -> Chain {
        let validators = Validators::new(&[Validator::default()]).unwrap();
        let genesis = Bootstrap::genesis(genesis_state(0, validators));
        Chain::create(directory, genesis, "trust", Settings::default()).unwrap().0
    }

    #[test]
    fn it_writes_right_after_a_commit_and_then_waits_for_the_next_one_of_a_node_that_lives() {
        let directory = tempfile::tempdir().unwrap();
        let chain = chain(directory.path());
        let mut pace = Pace::of(chain.database());
        assert!(!pace.has_committed());
        assert!(pace.may_go_on(true) && !pace.may_go_on(false), "no node");

        let key = DutyKey { validator_index: 0, kind: KeyKind::Proposal };
        let commit = |slot| drop(chain.reserve_slot(slot, &[key]).unwrap());
        commit(1);
        assert!(pace.has_committed() && !pace.has_committed());
        assert_eq!(pace.writing, Duration::ZERO, "one commit says nothing of the next");
        assert!(!pace.may_go_on(true));

        pace.seen_at = Instant::now().checked_sub(Duration::from_secs(4));
        commit(2);
        assert!(pace.has_committed() && pace.may_go_on(false));
        assert_eq!(pace.writing, WRITING_MAX);
        pace.seen_at = Instant::now().checked_sub(WRITING_MAX);
        assert!(!pace.may_go_on(true));

        pace.seen_at = Instant::now().checked_sub(IDLE_AFTER);
        assert!(pace.may_go_on(true) && !pace.may_go_on(false), "it does nothing any more");
    }

    #[test]
    fn who_is_told_to_stop_does_not_wait_for_the_node() {
        let directory = tempfile::tempdir().unwrap();
        let chain = chain(directory.path());
        let mut pace = Pace { seen_at: Some(Instant::now()), ..Pace::of(chain.database()) };
        assert!(pace.wait(Duration::ZERO, &mut || ControlFlow::Break(())).is_break());
    }
}
