//! C1, L1, F1: the head, the canonical index, the live tree and the votes, in one snapshot.

use std::ops::ControlFlow;

use lamella_block_store::{self as block_store, Extent, Range};
use lamella_tables::{Canonical, EngineError, Read as _, ReadError, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Root};

use super::{Check, DERIVABLE, Progress, Stage};
use crate::{error::ChainOpenError, meta::ForkChoiceRow, recover, vote_rows};

impl Check<'_> {
    pub(super) fn check_head(&mut self) -> Stage {
        let txn = self.database.read()?;
        // A damaged or missing row is a finding of `check_meta` already.
        let Ok(Some(stored)) = ForkChoiceRow::read(&txn) else {
            return Ok(ControlFlow::Continue(()));
        };
        self.check_canonical(&txn, &stored)?;
        self.check_live_tree(&txn, &stored)?;
        drop(txn);
        Ok((self.progress)(Progress {
            stage: "head, canonical index, live tree",
            done: 1,
            total: 1,
        }))
    }

    /// C1: from the newest block of each range of the extent down to its oldest, each row names the parent of the one
    /// above, and there is no row more.
    fn check_canonical(
        &mut self,
        txn: &ReadTxn<'_>,
        stored: &ForkChoiceRow,
    ) -> Result<(), EngineError> {
        let Some(Some(slot)) =
            self.report.check_read("C1", block_store::slot(txn, &stored.head))?
        else {
            self.report.check("C1", false, || format!("the head {} is not stored", stored.head));
            return Ok(());
        };
        // A damaged extent is a finding of `check_meta` already.
        let extent = Extent::read(txn).ok();
        let head = SlotRoot::new(slot, stored.head);
        let mut steps = self.check_range(txn, head, extent.as_ref().map(Extent::newest))?;
        for range in extent.iter().flat_map(Extent::ranges) {
            if let Some(newest) = range.newest {
                steps += self.check_range(txn, newest, Some(range))?;
            }
        }
        let rows = txn.table_stats()?;
        let rows =
            rows.iter().find(|stats| stats.name == "Canonical").map_or(0, |stats| stats.rows);
        self.report.check("C1", rows == steps, || {
            format!("Canonical has {rows} rows, the head's chain {steps} blocks{DERIVABLE}")
        });
        Ok(())
    }

    /// C1 from one block down to the oldest of its range; the number of blocks.
    fn check_range(
        &mut self,
        txn: &ReadTxn<'_>,
        newest: SlotRoot,
        range: Option<&Range>,
    ) -> Result<u64, EngineError> {
        let SlotRoot { mut slot, mut root } = newest;
        let mut steps = 0;
        loop {
            let row = txn.get::<Canonical>(&slot);
            let row = self.report.check_read("C1", row)?.flatten();
            self.report.check("C1", row == Some(root), || {
                format!("Canonical has {row:?} at slot {slot}, the head's chain {root}{DERIVABLE}")
            });
            steps += 1;
            let header = block_store::header_at(txn, &SlotRoot::new(slot, root));
            let Some(Some(header)) = self.report.check_read("C1", header)? else {
                self.report
                    .check("C1", false, || format!("the head's chain ends at {root}, slot {slot}"));
                break;
            };
            if let Some(range) = range.filter(|range| range.oldest.root == root) {
                let (found, said) = (header.parent_root, range.parent_root);
                self.report.check("C1", found == said, || {
                    format!("the parent of block {root} is {found}, the extent says {said}")
                });
                break;
            }
            let parent =
                self.report.check_read("C1", block_store::slot(txn, &header.parent_root))?;
            let Some(Some(parent_slot)) =
                parent.filter(|parent| parent.is_none_or(|parent| parent < slot))
            else {
                self.report.check("C1", false, || {
                    format!(
                        "the parent {} of block {root} is not stored below slot {slot}",
                        header.parent_root
                    )
                });
                break;
            };
            (root, slot) = (header.parent_root, parent_slot);
        }
        Ok(steps)
    }

    /// L1: the tree's root is stored, and the finalized block is of its tree. That the tree is whole needs no check: it is
    /// what descends from the root.
    fn check_live_tree(
        &mut self,
        txn: &ReadTxn<'_>,
        stored: &ForkChoiceRow,
    ) -> Result<(), EngineError> {
        let root = SlotRoot::new(stored.tree_root.slot, stored.tree_root.root);
        let live = self.report.check_read("L1", recover::live_blocks(txn, root))?;
        if let Some(live) = live {
            let finalized = stored.finalized.root;
            self.report.check("L1", live.iter().any(|(key, _)| key.root == finalized), || {
                format!("the finalized block {finalized} is not in the live tree")
            });
            self.check_fork_choice(txn, stored, &live)?;
        }
        Ok(())
    }

    /// F1: checkpoints are stored blocks, finalized is an ancestor of the head, and recomputing gives the head.
    fn check_fork_choice(
        &mut self,
        txn: &ReadTxn<'_>,
        stored: &ForkChoiceRow,
        live: &[(SlotRoot, BlockHeader)],
    ) -> Result<(), EngineError> {
        for (what, checkpoint) in [("justified", stored.justified), ("finalized", stored.finalized)]
        {
            let slot = self.report.check_read("F1", block_store::slot(txn, &checkpoint.root))?;
            self.report.check("F1", slot == Some(Some(checkpoint.slot)), || {
                format!(
                    "the {what} block {} at slot {} is not stored there",
                    checkpoint.root, checkpoint.slot
                )
            });
        }
        let canonical =
            self.report.check_read("F1", txn.get::<Canonical>(&stored.finalized.slot))?;
        self.report.check("F1", canonical == Some(Some(stored.finalized.root)), || {
            format!("the finalized block {} is not on the head's chain", stored.finalized.root)
        });
        let Some(votes) = self.report.check_read("F1", vote_rows::read_all(txn))? else {
            return Ok(());
        };
        for (_, damage) in &votes.dropped {
            self.report.check("F1", false, || damage.to_string());
        }
        match recover::restore(txn, live, stored, votes) {
            Ok(view) => {
                self.report.check("F1", recover::justified_is_highest(&view), || {
                    format!(
                        "a live block's state justifies more than slot {}",
                        stored.justified.slot
                    )
                });
                let computed: Root = view.head();
                self.report.check("F1", computed == stored.head, || {
                    format!("fork choice gives head {computed}, stored is {}", stored.head)
                });
            }
            Err(ChainOpenError::Read(ReadError::Engine(error))) => return Err(error),
            Err(error) => self.report.check("F1", false, || error.to_string()),
        }
        Ok(())
    }
}
