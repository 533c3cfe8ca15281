//! E1: the engine's own pages. First, since a row that is read through a damaged page says little.

use std::{ops::ControlFlow, time::Instant};

use lamella_tables::{EngineError, PageFault, PageFinding, PageProgress, TookTooLong};

use super::{Check, Progress, Stage};

/// Name of this stage, in which a snapshot is held between two calls of the progress.
pub const PAGES_STAGE: &str = "pages of the file";

impl Check<'_> {
    /// E1: one check a page. Its snapshot keeps every page from being reused; that costs nothing until somebody commits. Where the
    /// system cannot read a page, no row is read after it.
    pub(super) fn check_pages(&mut self) -> Stage {
        let (database, time_max) = (self.database, self.page_walk_time_max);
        let (began, before) = (Instant::now(), database.last_transaction()?);
        let (progress, mut is_late) = (&mut self.progress, false);
        let pages = database.check_pages(&mut |PageProgress { done, total }| {
            is_late = done < total
                && began.elapsed() > time_max
                && database.last_transaction().is_ok_and(|last| last != before);
            if is_late {
                return ControlFlow::Break(());
            }
            progress(Progress { stage: PAGES_STAGE, done, total })
        })?;
        if is_late {
            return Err(EngineError::given_up(TookTooLong(time_max)));
        }
        self.report.add("E1", pages.pages, pages.finding_count, pages.findings.iter());
        let is_unreadable =
            |found: &PageFinding| matches!(found.fault, PageFault::Unreadable { .. });
        self.are_rows_read = !pages.findings.iter().any(is_unreadable);
        if !self.are_rows_read {
            self.report.check("E1", false, || {
                "rows are not looked at: they are read through a map, and a page that the system cannot read would end this process; copy the file to another disk first".to_owned()
            });
        }
        Ok(if pages.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}
