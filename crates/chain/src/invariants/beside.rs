//! Stages that have nothing to do with each other, on as many threads as blocks are checked on.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    panic::resume_unwind,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use lamella_tables::{EngineError, Read as _};

use super::{Check, Progress, Report, Stage};

/// Trees whose rows these stages walk: that of blocks once for two of its tables, and once for its keys.
const TREES_WALKED: [&str; 8] =
    ["Slots", "Blocks", "Blocks", "Anchors", "History", "Registries", "Signatures", "SignGuard"];

impl Check<'_> {
    /// Each stage, in this order, by whichever thread is free. What they find is told in their order.
    pub(super) fn go_through_in_lanes<const N: usize>(
        &mut self,
        stages: [fn(&mut Check<'_>) -> Stage; N],
    ) -> Result<(), EngineError> {
        let stats = self.database.read()?.table_stats()?;
        let rows = |name: &&str| stats.iter().find(|tree| tree.name == *name).map(|tree| tree.rows);
        let total = TREES_WALKED.iter().filter_map(rows).sum::<u64>();
        let Self { database, read_identity, chunk_time_max, page_walk_time_max, .. } = *self;
        let Self { floors, ref identity, ref blocks, .. } = *self;
        let (next, is_stopped) = (AtomicUsize::new(0), AtomicBool::new(false));
        let go_through = |tell: mpsc::SyncSender<Progress>| {
            let mut reports = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(stage) = stages.get(index) else { return Ok(reports) };
                let mut check = Check {
                    database,
                    report: Report::default(),
                    read_identity,
                    lanes: 1,
                    identity: identity.clone(),
                    has_nothing_to_check: false,
                    are_rows_read: true,
                    progress: &mut |progress| {
                        let is_over =
                            tell.send(progress).is_err() || is_stopped.load(Ordering::Relaxed);
                        if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                    },
                    chunk_time_max,
                    page_walk_time_max,
                    floors,
                    blocks: blocks.clone(),
                };
                let is_over = stage(&mut check)?.is_break();
                reports.push((index, check.report));
                if is_over {
                    return Ok(reports);
                }
            }
        };
        let checked = thread::scope(|scope| {
            let (sender, receiver) = mpsc::sync_channel(self.lanes);
            let lanes: Vec<_> = (0..self.lanes.min(N))
                .map(|_| {
                    let tell = sender.clone();
                    scope.spawn(|| go_through(tell))
                })
                .collect();
            drop(sender);
            // Stages tell how far they are table by table.
            let mut rows = BTreeMap::new();
            for told in receiver {
                rows.insert(told.stage, told.done);
                let done = rows.values().sum::<u64>().min(total);
                let progress = Progress { stage: "loose rows, indices, head", done, total };
                if (self.progress)(progress).is_break() {
                    is_stopped.store(true, Ordering::Relaxed);
                }
            }
            let joined = lanes
                .into_iter()
                .map(|lane| lane.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect::<Result<Vec<_>, EngineError>>()
        });
        let mut reports: Vec<_> = checked?.into_iter().flatten().collect();
        reports.sort_by_key(|(index, _)| *index);
        reports.into_iter().for_each(|(_, report)| self.report.join(report));
        self.report.stopped = is_stopped.into_inner();
        Ok(())
    }
}
