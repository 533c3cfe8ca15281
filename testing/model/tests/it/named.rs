//! Findings of the model, each as the shortest chain that shows it.

use lamella_chain::Settings;
use lamella_tables::Durability;
use lamella_types::RejectionReason;

use crate::{
    blocks::{Blocks, Voting},
    invalid::duplicate_votes,
    random::Random,
    run::Run,
};

/// A chain at genesis with blocks without votes.
fn plain_chain(validators: u64) -> Run {
    let mut random = Random::new(1);
    let blocks = Blocks::genesis(&mut random, validators);
    let settings = Settings { durability: Durability::Lazy, ..Settings::default() };
    let mut run = Run::begin(random, settings, blocks);
    run.voting = Voting { participation: 0, votes_max: 0 };
    run
}

/// Symptom: a node that catches up accepts a block that a node at the head refuses with
/// `DUPLICATE_ATTESTATION_DATA`; the two part ways.
/// Mechanism: inside a batch only the first block went through `ForkChoice::check_block`; for the others the parent
/// is the block before, so the whole check was left out, and no later step makes it.
/// Fix: `import_batch` makes the part of the check that needs no tree for every block.
#[test]
fn a_batch_refuses_what_a_single_import_refuses() {
    let mut run = plain_chain(4);
    let parent = run.child(run.naive.head, 0);
    let good = run.blocks.get(&parent).signed.clone();
    let bad = duplicate_votes(&mut run.random, &run.blocks, parent);
    run.refuse_batch(vec![good, bad.clone()], RejectionReason::DuplicateAttestationData);
    run.import(parent);
    run.refuse(bad, RejectionReason::DuplicateAttestationData);
    run.check(true);
}
