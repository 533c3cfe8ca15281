//! S1, S2, S3 for every block: its rows, its one state row, its state.

use std::{ops::ControlFlow, time::Instant};

use lamella_block_store::{self as block_store, Extent};
use lamella_state_store::{
    self as state_store, DiffLinks, StateReadError, StateStore, TALLY_DELTAS_MAX,
};
use lamella_tables::{
    Anchors, Bodies, Diffs, EngineError, Headers, Meta, MetaName, Read as _, ReadError, ReadTxn,
    SlotRoot, Slots, Table as _,
};
use lamella_types::BlockHeader;

use super::{CHUNK_ROWS, Check, DERIVABLE, FINDINGS_MAX, Progress, Stage};
use crate::meta::{ForkChoiceRow, META_NAMES, block_count};

impl Check<'_> {
    /// The directory says what it is.
    pub(super) fn check_meta(&mut self) -> Stage {
        let txn = self.database.read()?;
        let identity = (self.read_identity)(&txn);
        self.report.check("I1", matches!(identity, Ok(Some(_))), || match &identity {
            Err(error) => error.to_string(),
            Ok(_) => "the database has no identity".to_owned(),
        });
        self.identity = identity.ok().flatten();
        let row = self.report.check_read("F1", ForkChoiceRow::read(&txn))?;
        self.report.check("F1", row != Some(None), || "Meta has no fork choice row".to_owned());
        if let Some(extent) = self.report.check_read("P1", Extent::read(&txn))? {
            // S2 finds the state of each block, so from no later slot on are there states.
            let (oldest, states_from) = (extent.oldest(), extent.newest().states_from);
            self.report.check("S2", states_from == oldest.slot, || {
                format!("the extent has states from slot {states_from} on, blocks from {oldest}")
            });
        }
        let counted = self.report.check_read("S1", block_count(&txn))?.flatten();
        let rows =
            txn.table_stats()?.iter().find(|table| table.name == Slots::NAME).map(|t| t.rows);
        self.report.check("S1", counted == rows, || {
            format!("Meta counts {counted:?} blocks, Slots {rows:?}{DERIVABLE}")
        });
        for name in txn.scan_keys::<Meta>(MetaName::new("\0"))? {
            let Some(name) = self.report.check_read("I1", name)? else { continue };
            let name = name.to_string();
            if !META_NAMES.contains(&&*name) && self.report.unknown_meta.len() < FINDINGS_MAX {
                self.report.unknown_meta.push(name);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// S1, S2 and S3, in slot order and in chunks.
    pub(super) fn check_blocks(&mut self) -> Stage {
        let total = self.rows_of("Headers")?;
        let mut next = Some(SlotRoot::first_of(0));
        let mut done = 0;
        while let Some(start) = next {
            let (txn, began) = (self.database.read()?, Instant::now());
            let rows = txn.scan::<Headers>(start)?;
            let rows: Vec<_> = rows.take(CHUNK_ROWS + 1).collect();
            next = None;
            for (index, row) in rows.into_iter().enumerate() {
                if self.is_chunk_over(began, index) {
                    next = Self::chunk_end(&txn, start, index, row)?;
                    break;
                }
                done += 1;
                if let Some((key, header)) = self.report.check_read("S1", row)? {
                    self.check_block(&txn, key, &header)?;
                }
            }
            drop(txn);
            if (self.progress)(Progress { stage: "blocks and states", done, total }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Whether a chunk that has looked at this many rows ends. Each looks at one at least.
    pub(super) fn is_chunk_over(&self, began: Instant, rows: usize) -> bool {
        rows >= CHUNK_ROWS || (rows > 0 && began.elapsed() > self.chunk_time_max)
    }

    /// Where the next chunk starts: at this row, whether or not it can be read, or where its key is none at the next.
    fn chunk_end(
        txn: &ReadTxn<'_>,
        start: SlotRoot,
        index: usize,
        row: Result<(SlotRoot, BlockHeader), ReadError>,
    ) -> Result<Option<SlotRoot>, EngineError> {
        if let Ok((key, _)) = row {
            return Ok(Some(key));
        }
        Ok(txn.scan_keys::<Headers>(start)?.skip(index).find_map(Result::ok))
    }

    fn check_block(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
    ) -> Result<(), EngineError> {
        let indexed = self.report.check_read("S1", txn.get::<Slots>(&key.root))?;
        if let Some(slot) = indexed {
            self.report.check("S1", slot == Some(key.slot), || {
                format!("Slots says {slot:?} for block {key}{DERIVABLE}")
            });
        }
        self.report.check_read("S1", block_store::body(txn, &key, header))?;
        if !block_store::has_body_row(header) {
            let loose = txn.has::<Bodies>(&key)?;
            self.report
                .check("S1", !loose, || format!("Bodies has a row of {key}, whose body is empty"));
        }
        let tally_deltas = self.check_state_row(txn, key, header)?;
        self.check_state(txn, self.states, key)?;
        // The warm read began at its parent's tally. The longest chains of deltas are read again from their full
        // tally; that shorter ones lead there too, `check_diff` has shown, so one read in 32 is enough.
        if tally_deltas == TALLY_DELTAS_MAX {
            self.check_state(txn, &StateStore::with_cache_bytes(0), key)?;
        }
        Ok(())
    }

    fn check_state(
        &mut self,
        txn: &ReadTxn<'_>,
        states: &StateStore,
        key: SlotRoot,
    ) -> Result<(), EngineError> {
        match states.state(txn, &key.root) {
            Ok(state) => self.report.check("S3", state.is_some(), || format!("no state for {key}")),
            Err(StateReadError::Read(ReadError::Engine(error))) => return Err(error),
            Err(error) => {
                if let StateReadError::Read(ReadError::Damaged(damage)) = &error {
                    self.report.damaged(damage);
                }
                self.report.check("S3", false, || format!("block {key}: {error}"));
            }
        }
        Ok(())
    }

    /// The block's one state row; the number of its tally delta.
    fn check_state_row(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
    ) -> Result<u8, EngineError> {
        let (anchor, diff) = (txn.has::<Anchors>(&key)?, txn.has::<Diffs>(&key)?);
        self.report.check("S2", anchor != diff, || {
            let which = if anchor { "both anchor and diff" } else { "neither anchor nor diff" };
            format!("block {key} has {which}")
        });
        if anchor {
            self.check_anchor(txn, key)?;
        } else if let Some(Some(links)) =
            self.report.check_read("S2", state_store::diff_links(txn, &key))?
        {
            self.check_diff(txn, key, header, links)?;
            return Ok(links.tally_deltas);
        }
        Ok(0)
    }

    /// I1: the anchor is of the chain that the directory says it holds. A diff shares its anchor's configuration.
    fn check_anchor(&mut self, txn: &ReadTxn<'_>, key: SlotRoot) -> Result<(), EngineError> {
        let links = self.report.check_read("S2", state_store::anchor_links(txn, &key))?;
        if let (Some(Some(links)), Some(identity)) = (links, &self.identity) {
            let same = links.genesis_time == identity.genesis_time
                && links.registry_root == identity.registry_root;
            self.report.check("I1", same, || {
                format!(
                    "the state of block {key} has genesis time {} and registry {}, the identity row {} and {}",
                    links.genesis_time, links.registry_root, identity.genesis_time, identity.registry_root
                )
            });
        }
        Ok(())
    }

    /// S2 of a diff: its base is its parent and has a state under the same anchor, and its tally follows the base's.
    /// So by induction every chain of deltas ends in a full tally, whatever a cache would say.
    fn check_diff(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
        links: DiffLinks,
    ) -> Result<(), EngineError> {
        let DiffLinks { base_slot, anchor_slot, tally_deltas } = links;
        let base_key = SlotRoot::new(base_slot, header.parent_root);
        let whole = txn.has::<Anchors>(&base_key)?;
        let stored = whole || txn.has::<Diffs>(&base_key)?;
        self.report.check("S2", stored, || {
            format!(
                "diff of block {key}: its parent is not at slot {base_slot} or has no state there"
            )
        });
        let near = key.slot - anchor_slot <= state_store::ANCHOR_INTERVAL_SLOTS;
        self.report.check("S2", near, || {
            format!("diff of block {key}: its anchor is at slot {anchor_slot}")
        });
        let before = match whole {
            true => Some((base_slot, 0)),
            // A damaged base is a finding of its own.
            false => match state_store::diff_links(txn, &base_key) {
                Ok(links) => links.map(|links| (links.anchor_slot, links.tally_deltas)),
                Err(ReadError::Damaged(_)) => None,
                Err(ReadError::Engine(error)) => return Err(error),
            },
        };
        if let Some((base_anchor, deltas)) = before {
            self.report.check("S2", anchor_slot == base_anchor, || {
                format!(
                    "diff of block {key}: its anchor is at slot {anchor_slot}, its base's at {base_anchor}"
                )
            });
            self.report.check("S2", tally_deltas == 0 || tally_deltas == deltas + 1, || {
                format!("diff of block {key}: its tally delta is number {tally_deltas}, its base's {deltas}")
            });
        }
        Ok(())
    }

    /// Rows of a table, or what comes near: a table that shares a tree has about one for each block.
    pub(super) fn rows_of(&self, table: &str) -> Result<u64, EngineError> {
        let stats = self.database.read()?.table_stats()?;
        let rows = |name: &str| stats.iter().find(|stats| stats.name == name);
        Ok(rows(table).or_else(|| rows(Slots::NAME)).map_or(0, |stats| stats.rows))
    }
}
