//! Checking later what catch-up did not check: which proofs wait, and what a check of them still says when it ends.
//!
//! A check takes seconds, and blocks go on coming meanwhile, also into slots that it is about. So a step names the
//! commits that it saw, and what it found is kept only if no commit brought further unchecked proofs since.

use lamella_block_store::{self as block_store, UncheckedProofs};
use lamella_tables::{ReadError, SlotRoot, WriteTxn};
use lamella_types::{MultiMessageAggregate, SignedBlock, Slot};

use crate::{error::PersistError, open::Chain};

/// The oldest blocks whose proofs wait to be checked.
#[derive(Debug)]
pub struct UncheckedBlocks {
    /// With their keys.
    pub blocks: Vec<(SlotRoot, SignedBlock)>,
    /// To be given back with what was found.
    pub step: CheckStep,
}

/// What a check of proofs is about: all below a slot, as of one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckStep {
    below: Slot,
    unchecked_commits: u64,
}

impl CheckStep {
    /// The slot below which these blocks are all that wait.
    #[must_use]
    pub const fn below(&self) -> Slot {
        self.below
    }
}

/// What became of a step's findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum CheckOutcome {
    /// They are durable.
    Kept,
    /// Nothing has changed: further proofs came meanwhile, perhaps below the step's slot. Take the step again.
    Outdated,
    /// Nothing has changed: more are bad than the row of unchecked proofs can name.
    TooManyBad,
}

impl Chain {
    /// The oldest blocks whose proofs wait to be checked, about `blocks_max` of them. `None` if no proof waits.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn unchecked_blocks(
        &self,
        blocks_max: usize,
    ) -> Result<Option<UncheckedBlocks>, ReadError> {
        // Before the snapshot: a commit between the two makes the step outdated, never too young.
        let unchecked_commits = self.writer.lock().unchecked_commits;
        let txn = self.database.read()?;
        let slots = UncheckedProofs::read(&txn)?.slots().clone();
        if slots.is_empty() {
            return Ok(None);
        }
        let (blocks, below) = block_store::signed_blocks_in(&txn, slots, blocks_max)?;
        Ok(Some(UncheckedBlocks { blocks, step: CheckStep { below, unchecked_commits } }))
    }

    /// Blocks whose proofs are bad or missing, and not pruned since: at most 64.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn bad_proofs(&self) -> Result<Vec<SlotRoot>, ReadError> {
        let txn = self.database.read()?;
        let mut proofs = UncheckedProofs::read(&txn)?;
        if !proofs.bad().is_empty() {
            proofs.pruned_below(&block_store::signature_floor(&txn)?.key);
        }
        Ok(proofs.bad().to_vec())
    }

    /// Stores a proof in place of one that was bad or missing. The caller has checked it. `false`, and nothing changes, if
    /// the block's is neither.
    ///
    /// # Errors
    /// [`PersistError`]; nothing has changed.
    pub fn replace_bad_proof(
        &self,
        key: &SlotRoot,
        proof: &MultiMessageAggregate,
    ) -> Result<bool, PersistError> {
        let _writer = self.writer.lock();
        let mut txn = self.database.write()?;
        let mut proofs = UncheckedProofs::read(&txn)?;
        proofs.pruned_below(&block_store::signature_floor(&txn)?.key);
        let is_bad = proofs.replaced(key);
        if is_bad {
            // Upholds P2: proof and mark change in one transaction.
            block_store::put_signature(&mut txn, key, proof)?;
            proofs.put(&mut txn)?;
            txn.commit()?;
        }
        Ok(is_bad)
    }

    /// Every proof of this step was checked, and these are bad.
    ///
    /// # Errors
    /// [`PersistError`]; nothing has changed.
    pub fn proofs_checked(
        &self,
        step: CheckStep,
        bad: &[SlotRoot],
    ) -> Result<CheckOutcome, PersistError> {
        let writer = self.writer.lock();
        if writer.unchecked_commits != step.unchecked_commits {
            return Ok(CheckOutcome::Outdated);
        }
        let mut txn = self.database.write()?;
        let mut proofs = UncheckedProofs::read(&txn)?;
        if !proofs.checked_below(step.below, bad) {
            return Ok(CheckOutcome::TooManyBad);
        }
        // Some may have gone meanwhile.
        proofs.pruned_below(&block_store::signature_floor(&txn)?.key);
        proofs.put(&mut txn)?;
        txn.commit()?;
        Ok(CheckOutcome::Kept)
    }
}

/// Upholds P2: a proof that was not checked, of a block at one of these slots, is not served as if it had been. Whether
/// there is one.
pub(crate) fn note(
    txn: &mut WriteTxn<'_>,
    slots: impl Iterator<Item = Slot>,
) -> Result<bool, ReadError> {
    let slots: Vec<Slot> = slots.collect();
    let (Some(first), Some(last)) = (slots.iter().min(), slots.iter().max()) else {
        return Ok(false);
    };
    let mut proofs = UncheckedProofs::read(txn)?;
    proofs.add(*first..last + 1);
    proofs.put(txn)?;
    Ok(true)
}
