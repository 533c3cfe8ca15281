//! The pages of an open database, walked: at every start, and by who asks.

use std::{
    ops::ControlFlow,
    time::{Duration, Instant},
};

use crate::{
    data_file::open_same,
    error::{EngineError, OpenError, Operation},
    pages::{PageProgress, PageReport, walk_file},
    view::DatabaseView,
};

/// Findings named by the error of a start.
const FINDINGS_NAMED: usize = 3;

/// How often a walk tries to find its snapshot's meta page before two commits have overwritten it. Each try takes
/// three reads, 20 us; a commit takes longer.
const SNAPSHOT_TRIES: u32 = 64;

/// The walk of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCheck {
    /// Pages in use, free ones among them.
    pub pages: u64,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
}

impl DatabaseView {
    /// Looks at every page of the last committed snapshot. `progress` is called now and then and may stop the walk.
    ///
    /// # Errors
    /// When the engine has no reader slot left, the file cannot be opened or is not the one that the engine has, or commits follow each other so fast that
    /// no snapshot could be taken. Damage is a finding, not an error.
    ///
    /// # Cost
    /// Reads each page of a tree and the header of each large value; two bits of memory a page.
    pub fn check_pages(
        &self,
        progress: &mut dyn FnMut(PageProgress) -> ControlFlow<()>,
    ) -> Result<PageReport, EngineError> {
        let failed = |error: std::io::Error| {
            let code = error.raw_os_error().unwrap_or_default();
            EngineError::new(Operation::Stat, "-", libmdbx::Error::Other(code))
        };
        let data = open_same(self.path(), self.file)?;
        let mut missed = None;
        for _ in 0..SNAPSHOT_TRIES {
            // Held until the walk is over: it keeps the writer from reusing pages of the snapshot.
            let txn = self.read()?;
            let stat = txn.0.db().stat();
            let stat = stat.map_err(|error| EngineError::new(Operation::Stat, "-", error))?;
            let page_bytes = stat.page_size() as usize;
            let file_bytes = data.metadata().map_err(failed)?.len();
            match walk_file(&data, page_bytes, file_bytes, txn.0.id(), progress) {
                Ok(report) => return Ok(report),
                Err(report) => missed = Some(report).filter(|report| report.finding_count > 0),
            }
        }
        // Damage that hides the snapshot does not go away by trying again.
        missed
            .map(|report| *report)
            .ok_or_else(|| EngineError::new(Operation::Stat, "-", libmdbx::Error::Busy))
    }

    /// Refuses a database whose pages are not as the engine wrote them: what the next commit would do to it, nobody
    /// can say.
    ///
    /// # Errors
    /// [`OpenError::Pages`] with the first findings.
    pub(crate) fn require_sound_pages(&self) -> Result<PageCheck, OpenError> {
        let begun = Instant::now();
        let path = || self.path().to_owned();
        let report = self.check_pages(&mut |_| ControlFlow::Continue(()));
        let report = report.map_err(|source| OpenError::Engine { path: path(), source })?;
        let PageReport { pages, file_bytes, finding_count, mut findings, .. } = report;
        if finding_count == 0 {
            return Ok(PageCheck { pages, file_bytes, elapsed: begun.elapsed() });
        }
        findings.truncate(FINDINGS_NAMED);
        Err(OpenError::Pages { path: path(), finding_count, findings })
    }
}
