//! What the directory says of itself, and its blocks, which lanes check.

use std::{
    ops::{ControlFlow, Range},
    time::Instant,
};

use lamella_block_store::{Extent, UncheckedProofs};
use lamella_tables::{
    EngineError, Headers, Meta, MetaName, Read as _, ReadTxn, SlotRoot, Slots, Table as _,
};
use lamella_types::Slot;

use super::{
    CHUNK_ROWS, Check, DERIVABLE, FINDINGS_MAX, Floors, Progress, SHARD_SLOTS, Stage,
    lane::{self, Lane, check_all},
};
use crate::{
    archived::Archived,
    error::ChainOpenError,
    kept::{self, Pruning},
    mark::BackupMark,
    meta::{ForkChoiceRow, META_NAMES, block_count},
    tail_rows::{ShippedTail, TailPosition},
};

/// Of a database that was made, and whose first transaction never happened.
const NOT_BEGUN: &str = "nothing has been stored here yet: the next start of a node begins it";

impl Check<'_> {
    /// The directory says what it is.
    pub(super) fn check_meta(&mut self) -> Stage {
        let txn = self.database.read()?;
        let identity = (self.read_identity)(&txn);
        let is_empty = txn.table_stats()?.iter().all(|table| table.rows == 0);
        self.report.check("I1", matches!(identity, Ok(Some(_))), || match &identity {
            Err(error) => error.to_string(),
            Ok(_) if is_empty => NOT_BEGUN.to_owned(),
            Ok(_) => "the database has no identity".to_owned(),
        });
        let is_other =
            matches!(identity, Err(ChainOpenError::Older { .. } | ChainOpenError::Newer { .. }));
        if is_other || is_empty {
            self.has_nothing_to_check = true;
            return Ok(ControlFlow::Continue(()));
        }
        self.identity = identity.ok().flatten();
        let row = self.report.check_read("F1", ForkChoiceRow::read(&txn))?;
        self.report.check("F1", row != Some(None), || "Meta has no fork choice row".to_owned());
        if let Some(extent) = self.report.check_read("P1", Extent::read(&txn))? {
            // S2 finds the state of each block, so from no later slot on are there states.
            let floor = extent.states_floor();
            self.check_floor(&txn, &extent, row.flatten())?;
            for range in extent.ranges() {
                let (oldest, states_from) = (range.oldest, range.states_from);
                let is_all = states_from == oldest.slot;
                let is_pruned = states_from > oldest.slot
                    && states_from == floor
                    && floor == kept::whole_anchor(floor);
                self.report.check("S2", is_all || is_pruned, || {
                    format!(
                        "the extent has states from slot {states_from} on, blocks from {oldest}"
                    )
                });
            }
        }
        let counted = self.report.check_read("S1", block_count(&txn))?.flatten();
        let rows =
            txn.table_stats()?.iter().find(|table| table.name == Slots::NAME).map(|t| t.rows);
        self.report.check("S1", counted == rows, || {
            format!("Meta counts {counted:?} blocks, Slots {rows:?}{DERIVABLE}")
        });
        // Rows that no other check reads.
        self.report.check_read("I1", Archived::read(&txn))?;
        self.report.check_read("I1", ShippedTail::read(&txn))?;
        self.report.check_read("I1", TailPosition::followed(&txn))?;
        self.report.check_read("I1", BackupMark::read(&txn))?;
        self.report.check_read("I1", UncheckedProofs::read(&txn))?;
        for name in txn.scan_keys::<Meta>(MetaName::new("\0"))? {
            let Some(name) = self.report.check_read("I1", name)? else { continue };
            if META_NAMES.contains(&&*name.to_string()) {
                continue;
            }
            // Whoever copies the directory must be able to read it.
            self.report.check_read("I1", txn.get::<Meta>(&name))?;
            if self.report.unknown_meta.len() < FINDINGS_MAX {
                self.report.unknown_meta.push(name.to_string());
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// P3: what was pruned was finalized, is of no live block, and a mode says so.
    fn check_floor(
        &mut self,
        txn: &ReadTxn<'_>,
        extent: &Extent,
        row: Option<ForkChoiceRow>,
    ) -> Result<(), EngineError> {
        let (floor, bodies) = (extent.states_floor(), extent.bodies_floor());
        let proofs = extent.newest().proofs.key;
        self.report.check("P3", bodies <= floor && SlotRoot::first_of(bodies) <= proofs, || {
            format!("bodies are pruned below slot {bodies}, states below slot {floor}, proofs below {proofs}")
        });
        let Some(pruning) = self.report.check_read("P3", Pruning::read(txn))? else {
            return Ok(());
        };
        let swept = pruning.swept;
        self.report.check("P3", swept <= SlotRoot::first_of(floor), || {
            format!("states were deleted up to {swept}, the floor of states is slot {floor}")
        });
        let is_said = floor == 0 || txn.has::<Meta>(&MetaName::new(Pruning::NAME))?;
        self.report.check("P3", is_said, || {
            format!(
                "states are pruned below slot {floor}, and no row says how far they were deleted"
            )
        });
        // A missing row is a finding already.
        let root = row.map_or(floor, |row| row.tree_root.slot);
        self.report.check("P3", floor <= root, || {
            format!(
                "the floor of states is slot {floor}, above the live tree's root at slot {root}"
            )
        });
        let bodies_swept = swept.min(SlotRoot::first_of(bodies));
        self.floors = Floors { states: floor, swept, bodies_swept };
        Ok(())
    }

    /// S1, S2 and S3, in slot order, in lanes: blocks of different anchors have nothing to do with each other.
    pub(super) fn check_blocks(&mut self) -> Stage {
        let total = self.rows_of("Headers")?;
        let lane = |_| Lane::new(self.database, self.identity.clone(), self.chunk_time_max);
        let mut lanes: Vec<Lane<'_>> = (0..self.lanes).map(lane).collect();
        let (mut done, mut next) = (0, Some(self.blocks.start));
        while let Some(from) = next {
            let shards: Vec<Range<Slot>> = self.shards(from, lanes.len())?;
            next = shards.last().map(|last| last.end).filter(|next| *next < self.blocks.end);
            for checked in check_all(&mut lanes, shards) {
                let (rows, report) = checked?;
                done += rows;
                self.report.join(report);
            }
            let progress = Progress { stage: "blocks and states", done, total };
            if (self.progress)(progress).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next shards that have blocks, from a slot on; none after the last. A row that is below where it was looked for
    /// stands on a page that is out of order, and may be found for every slot: then all that is left is one shard, the last.
    fn shards(&self, from: Slot, count: usize) -> Result<Vec<Range<Slot>>, EngineError> {
        let txn = self.database.read()?;
        let (mut shards, mut from) = (Vec::new(), from);
        while shards.len() < count && from < Slot::MAX {
            let first = txn.scan::<Headers>(SlotRoot::first_of(from))?.next();
            let Some(slot) = first.as_ref().map(lane::slot_of) else { break };
            let start = slot.max(from) / SHARD_SLOTS * SHARD_SLOTS;
            let end = if slot < from { Slot::MAX } else { start.saturating_add(SHARD_SLOTS) };
            from = end;
            shards.push(start..end);
        }
        Ok(shards)
    }

    /// Whether a chunk that has looked at this many rows ends. Each looks at one at least.
    pub(super) fn is_chunk_over(&self, began: Instant, rows: usize) -> bool {
        rows >= CHUNK_ROWS || (rows > 0 && began.elapsed() > self.chunk_time_max)
    }

    /// Rows of a table, or what comes near: a table that shares a tree has about one for each block.
    pub(super) fn rows_of(&self, table: &str) -> Result<u64, EngineError> {
        let stats = self.database.read()?.table_stats()?;
        let rows = |name: &str| stats.iter().find(|stats| stats.name == name);
        Ok(rows(table).or_else(|| rows(Slots::NAME)).map_or(0, |stats| stats.rows))
    }
}
