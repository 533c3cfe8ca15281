//! E1: the engine's own pages. First, since a row that is read through a damaged page says little.

use std::ops::ControlFlow;

use lamella_tables::PageProgress;

use super::{Check, Progress, Stage};

impl Check<'_> {
    /// E1: one check a page.
    pub(super) fn check_pages(&mut self) -> Stage {
        let progress = &mut self.progress;
        let pages = self.database.check_pages(&mut |PageProgress { done, total }| {
            progress(Progress { stage: "pages of the file", done, total })
        })?;
        self.report.add("E1", pages.pages, pages.finding_count, pages.findings.iter());
        Ok(if pages.stopped { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}
