//! How far a long job is, told on stderr: stdout has its result.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use lamella_chain::Progress;

/// How often a job says how far it is where nobody looks at a bar: a log of an hour keeps 120 lines.
const TELL_EVERY: Duration = Duration::from_secs(30);

/// How far a job is, on stderr: a bar where that is a terminal, else a line now and then.
#[derive(Clone)]
pub(in crate::cli) struct Told {
    bar: ProgressBar,
    next: Instant,
}

impl Told {
    pub(in crate::cli) fn new() -> Self {
        Self { bar: progress_bar(), next: Instant::now() + TELL_EVERY }
    }

    pub(in crate::cli) fn tell(&mut self, progress: Progress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        self.bar.set_message(progress.stage);
        if let Some(line) = self.line(progress, Instant::now()).filter(|_| self.bar.is_hidden()) {
            // Whoever closed stderr does not want it.
            let _ = writeln!(io::stderr().lock(), "{line}");
        }
    }

    fn line(&mut self, progress: Progress, now: Instant) -> Option<String> {
        let Progress { stage, done, total } = progress;
        if now < self.next {
            return None;
        }
        self.next = now + TELL_EVERY;
        Some(format!("{stage}: {done} of {total}"))
    }

    pub(in crate::cli) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

fn progress_bar() -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}, {eta} left");
    let bar = ProgressBar::new(0);
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_terminal_a_job_says_now_and_then_how_far_it_is() {
        let (mut told, at) = (Told::new(), |done| Progress { stage: "blocks", done, total: 9 });
        let begun = told.next;
        assert_eq!(told.line(at(1), begun - Duration::from_secs(1)), None);
        assert_eq!(told.line(at(2), begun).as_deref(), Some("blocks: 2 of 9"));
        assert_eq!(told.line(at(3), begun), None);
        assert!(told.line(at(4), begun + TELL_EVERY).is_some());
    }
}
