//! Checking the proofs that catch-up left unchecked: what two thirds of the registry voted for needs no proof of its own,
//! but peers that ask for the block do, and what nobody has checked is served to nobody.
//!
//! A worker takes them from the oldest on, in the background and not while blocks are being caught up with; after each
//! step the row that says what is unchecked moves on. A node that is killed goes on from there.

use std::sync::Arc;

use lamella_chain::{Chain, CheckOutcome, CheckStep, UncheckedBlocks};
use lamella_network::standing::SyncStatus;
use lamella_tables::{ReadError, SlotRoot};
use lamella_types::{SignedBlock, Validators};
use lamella_xmss::scheme::ProofScheme;
use tracing::{error, info};

use super::{Node, StoreFailure, workers::Urgency};
use crate::proofs;

/// Blocks of a step: as many as a transaction of catch-up.
const STEP_BLOCKS: usize = crate::import::BATCH_BLOCKS_MAX;

/// Whether there may be something to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Audit {
    /// There may be.
    #[default]
    Due,
    /// A worker is at it.
    Running,
    /// Nothing, or nothing that can be done.
    Over,
}

impl Audit {
    /// More may have come that is unchecked.
    pub(super) const fn more(self) -> Self {
        match self {
            Self::Running => Self::Running,
            Self::Due | Self::Over => Self::Due,
        }
    }
}

/// What a step found.
struct Checked {
    step: CheckStep,
    blocks: usize,
    bad: Vec<SlotRoot>,
}

impl Node {
    /// Has the oldest unchecked proofs checked, if there are any and nothing better to do.
    pub(super) fn audit(&mut self) {
        if self.audit != Audit::Due || self.facts.sync_status() == SyncStatus::Syncing {
            return;
        }
        let (chain, scheme) = (Arc::clone(&self.chain), Arc::clone(&self.scheme));
        let validators = self.validators.clone();
        let check = move || check(&chain, &*scheme, &validators);
        let is_taken = self.later(Urgency::Background, check, Self::audited);
        self.audit = if is_taken { Audit::Running } else { Audit::Due };
    }

    fn audited(&mut self, checked: Result<Option<Checked>, ReadError>) -> Result<(), StoreFailure> {
        self.audit = Audit::Over;
        let checked = match checked {
            Ok(None) => return Ok(()),
            Ok(Some(checked)) => checked,
            Err(failure @ ReadError::Engine(_)) => return Err(failure.into()),
            Err(ReadError::Damaged(damage)) => {
                error!(%damage, "Proofs from here on stay unchecked, and are not served");
                return Ok(());
            }
        };
        for key in &checked.bad {
            error!(block = %key, "The proof that came with this block is bad: it is not served");
        }
        let below_slot = checked.step.below();
        match self.chain.proofs_checked(checked.step, &checked.bad)? {
            CheckOutcome::Kept => {
                self.audit = Audit::Due;
                info!(blocks = checked.blocks, below_slot, "Proofs checked");
            }
            CheckOutcome::Outdated => self.audit = Audit::Due,
            CheckOutcome::TooManyBad => {
                error!(below_slot, "Too many bad proofs: the rest is not checked, and not served");
            }
        }
        Ok(())
    }
}

fn check(
    chain: &Chain,
    scheme: &dyn ProofScheme,
    validators: &Validators,
) -> Result<Option<Checked>, ReadError> {
    let Some(UncheckedBlocks { blocks, step }) = chain.unchecked_blocks(STEP_BLOCKS)? else {
        return Ok(None);
    };
    let is_bad = |(key, block): &&(SlotRoot, SignedBlock)| {
        proofs::verify_block(scheme, validators, block, key.root).is_err()
    };
    let bad = blocks.iter().filter(is_bad).map(|(key, _)| *key).collect();
    Ok(Some(Checked { step, blocks: blocks.len(), bad }))
}

#[cfg(test)]
mod tests {
    use lamella_block_store::{SignedBlockRead, signed_block};
    use lamella_chain::{Settings, verify};
    use lamella_network::service::{BlockSource as _, SourceBlock};

    use super::*;
    use crate::{
        import::Importer,
        node::{inbox::Inbox, link::ChainSource},
        signed_chain::{RAW, SignedChain},
    };

    const BAD: usize = 3;

    /// A run whose last votes prove it, and a proof in it that a peer spoilt. Until they are checked no proof but those
    /// that were is served; then all but the bad one are, also after a restart.
    #[test]
    fn what_nobody_has_checked_is_served_to_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let mut made = SignedChain::of(4, 4, 40);
        made.spoil(BAD);
        let settings = Settings::default();
        let (chain, _) =
            Chain::create(directory.path(), made.bootstrap(), "raw", settings).unwrap();
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(RAW));
        importer.import_batch(made.blocks.clone()).unwrap().unwrap();
        assert_eq!(chain.fork_choice().head(), made.roots[39]);

        let is_served = |chain: &Arc<Chain>| -> Vec<bool> {
            let source = ChainSource { chain: Arc::clone(chain), node: Inbox::default().sender() };
            let txn = chain.read().unwrap();
            let of = |(root, block): (&lamella_types::Root, &SignedBlock)| {
                let read = signed_block(&txn, root).unwrap();
                let to_peers = matches!(source.block(root).unwrap(), SourceBlock::Found(_));
                assert_eq!(to_peers, read == SignedBlockRead::Found(Box::new(block.clone())));
                to_peers
            };
            made.roots.iter().zip(&made.blocks).map(of).collect()
        };
        let only_last: Vec<bool> = (0..40).map(|index| index == 39).collect();
        assert_eq!(is_served(&chain), only_last);

        let validators = made.genesis.validators.clone();
        let checked = check(&chain, &RAW, &validators).unwrap().unwrap();
        assert_eq!((checked.blocks, checked.step.below()), (39, 40));
        let bad = SlotRoot::new(made.blocks[BAD].block.slot, made.roots[BAD]);
        assert_eq!(checked.bad, [bad]);
        assert_eq!(is_served(&chain), only_last, "not before it is kept");
        assert_eq!(chain.proofs_checked(checked.step, &checked.bad).unwrap(), CheckOutcome::Kept);
        let all_but_bad: Vec<bool> = (0..40).map(|index| index != BAD).collect();
        assert_eq!(is_served(&chain), all_but_bad);
        assert!(check(&chain, &RAW, &validators).unwrap().is_none(), "once");

        let identity = chain.identity().clone();
        drop((importer, chain));
        let (chain, _) = Chain::resume(directory.path(), &identity, settings).unwrap();
        assert_eq!(is_served(&Arc::new(chain)), all_but_bad);
    }

    /// Symptom: of two forks that were caught up with, one was served with proofs that nobody had checked.
    /// Mechanism: a worker checked the first one's proofs while the second one came, for the same slots; what it found
    /// was kept for all blocks of those slots.
    /// Fix: a step's findings are kept only if no unchecked proof was stored since it began.
    #[test]
    fn what_comes_while_proofs_are_checked_is_not_taken_for_checked() {
        let directory = tempfile::tempdir().unwrap();
        let made = SignedChain::of(4, 4, 40);
        let mut fork = SignedChain::of(4, 3, 40);
        fork.spoil(BAD);
        let (chain, _) =
            Chain::create(directory.path(), made.bootstrap(), "raw", Settings::default()).unwrap();
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(RAW));
        importer.import_batch(made.blocks.clone()).unwrap().unwrap();
        let validators = made.genesis.validators.clone();
        let checked = check(&chain, &RAW, &validators).unwrap().unwrap();
        importer.import_batch(fork.blocks.clone()).unwrap().unwrap();
        let kept = chain.proofs_checked(checked.step, &checked.bad).unwrap();
        assert_eq!(kept, CheckOutcome::Outdated);

        let read = |root| signed_block(&chain.read().unwrap(), root).unwrap();
        for root in [&made.roots[BAD], &fork.roots[BAD]] {
            assert!(matches!(read(root), SignedBlockRead::Unchecked(_)));
        }
        let again = check(&chain, &RAW, &validators).unwrap().unwrap();
        assert_eq!(again.bad, [SlotRoot::new(fork.blocks[BAD].block.slot, fork.roots[BAD])]);
        assert_eq!(chain.proofs_checked(again.step, &again.bad).unwrap(), CheckOutcome::Kept);
        assert!(matches!(read(&made.roots[BAD]), SignedBlockRead::Found(_)));
        assert!(matches!(read(&fork.roots[BAD]), SignedBlockRead::Unchecked(_)));
    }

    /// Of a long range a step takes so many blocks, and the next one goes on behind them.
    #[test]
    fn a_step_is_bounded_and_the_next_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let made = SignedChain::of(4, 4, 120);
        let (chain, _) =
            Chain::create(directory.path(), made.bootstrap(), "raw", Settings::default()).unwrap();
        let chain = Arc::new(chain);
        let importer = Importer::new(Arc::clone(&chain), Arc::new(RAW));
        for run in made.blocks.chunks(60) {
            importer.import_batch(run.to_vec()).unwrap().unwrap();
        }
        let validators = made.genesis.validators.clone();
        let mut steps = Vec::new();
        while let Some(checked) = check(&chain, &RAW, &validators).unwrap() {
            assert_eq!(checked.bad, []);
            assert_eq!(
                chain.proofs_checked(checked.step, &checked.bad).unwrap(),
                CheckOutcome::Kept
            );
            steps.push((checked.blocks, checked.step.below()));
        }
        assert_eq!(steps, [(64, 65), (55, 120)]);
        let report =
            verify(chain.database(), &mut |_| std::ops::ControlFlow::Continue(())).unwrap();
        assert_eq!((report.findings, report.unknown_meta), (vec![], vec![]));
    }
}
