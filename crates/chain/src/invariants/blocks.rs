//! S1, S2, S3 for every block: its rows, its one state row, its state.

use std::ops::ControlFlow;

use lamella_block_store::{self as block_store, Extent};
use lamella_state_store::StateReadError;
use lamella_tables::{
    Anchors, Diffs, EngineError, Headers, Read as _, ReadError, ReadTxn, SlotRoot, Slots,
};
use lamella_types::BlockHeader;

use super::{CHUNK_ROWS, Check, Progress, Stage};
use crate::{identity::Identity, meta::ForkChoiceRow};

impl Check<'_> {
    /// The directory says what it is.
    pub(super) fn check_meta(&mut self) -> Stage {
        let txn = self.database.read()?;
        let identity = Identity::read(&txn);
        self.report.check("F1", matches!(identity, Ok(Some(_))), || match identity {
            Err(error) => error.to_string(),
            Ok(_) => "the database has no identity".to_owned(),
        });
        let row = self.report.check_read("F1", ForkChoiceRow::read(&txn))?;
        self.report.check("F1", row != Some(None), || "Meta has no fork choice row".to_owned());
        self.report.check_read("P1", Extent::read(&txn))?;
        Ok(ControlFlow::Continue(()))
    }

    /// S1, S2 and S3, in slot order and in chunks.
    pub(super) fn check_blocks(&mut self) -> Stage {
        let total = self.rows_of("Headers")?;
        let mut next = Some(SlotRoot::first_of(0));
        let mut done = 0;
        while let Some(start) = next {
            let txn = self.database.read()?;
            let rows = txn.scan::<Headers>(start)?;
            let rows: Vec<_> = rows.take(CHUNK_ROWS + 1).collect();
            next = None;
            for (index, row) in rows.into_iter().enumerate() {
                if index == CHUNK_ROWS {
                    next = self.chunk_end(&txn, start, row)?;
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

    /// Where the next chunk starts: at the row after this one, whether or not it can be read.
    fn chunk_end(
        &mut self,
        txn: &ReadTxn<'_>,
        start: SlotRoot,
        row: Result<(SlotRoot, BlockHeader), ReadError>,
    ) -> Result<Option<SlotRoot>, EngineError> {
        if let Ok((key, _)) = row {
            return Ok(Some(key));
        }
        let key = txn.scan_keys::<Headers>(start)?.nth(CHUNK_ROWS);
        Ok(key.and_then(Result::ok))
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
                format!("Slots says {slot:?} for block {key}")
            });
        }
        self.report.check_read("S1", block_store::body(txn, &key, header))?;
        self.check_state_row(txn, key, header)?;
        match self.states.state(txn, &key.root) {
            Ok(state) => self.report.check("S3", state.is_some(), || format!("no state for {key}")),
            Err(StateReadError::Read(ReadError::Engine(error))) => return Err(error),
            Err(error) => self.report.check("S3", false, || format!("block {key}: {error}")),
        }
        Ok(())
    }

    fn check_state_row(
        &mut self,
        txn: &ReadTxn<'_>,
        key: SlotRoot,
        header: &BlockHeader,
    ) -> Result<(), EngineError> {
        let (anchor, diff) = (txn.has::<Anchors>(&key)?, txn.has::<Diffs>(&key)?);
        self.report.check("S2", anchor != diff, || {
            let which = if anchor { "both anchor and diff" } else { "neither anchor nor diff" };
            format!("block {key} has {which}")
        });
        if diff && !anchor {
            let bytes = txn.get::<Diffs>(&key).map(|row| row.map(|bytes| bytes.0));
            let base = lamella_state_store::diff_base_of(bytes, &key);
            if let Some((base, anchor)) = self.report.check_read("S2", base)? {
                let base_key = SlotRoot::new(base.slot, base.root);
                let stored = txn.has::<Anchors>(&base_key)? || txn.has::<Diffs>(&base_key)?;
                self.report.check("S2", stored && base.root == header.parent_root, || {
                    format!(
                        "diff of block {key}: its base {base_key} has no state or is not its parent"
                    )
                });
                let near = key.slot - anchor.slot <= lamella_state_store::ANCHOR_INTERVAL_SLOTS;
                self.report.check("S2", near, || {
                    format!("diff of block {key}: its anchor is at slot {}", anchor.slot)
                });
            }
        }
        Ok(())
    }

    pub(super) fn rows_of(&self, table: &str) -> Result<u64, EngineError> {
        let stats = self.database.read()?.table_stats()?;
        Ok(stats.iter().find(|stats| stats.name == table).map_or(0, |stats| stats.rows))
    }
}
