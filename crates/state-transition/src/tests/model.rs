//! Votes against a model in plain vectors of booleans, on random chains.

use std::collections::BTreeMap;

use lamella_types::{
    AggregatedAttestation, Checkpoint, Root, Slot, State, slot::is_justifiable_after,
};

use super::{extend, genesis, vote};
use crate::process_attestations;

/// What votes change, with one boolean for each bit.
#[derive(Debug, PartialEq)]
struct Model {
    justified: Checkpoint,
    finalized: Checkpoint,
    /// By slot, from genesis on.
    justified_slots: Vec<bool>,
    tally: BTreeMap<Root, Vec<bool>>,
}

impl Model {
    fn of(state: &State) -> Self {
        let finalized = state.latest_finalized;
        let mut justified_slots = vec![true; finalized.slot as usize + 1];
        justified_slots.extend(
            (0..state.justified_slots.len()).map(|i| state.justified_slots.get(i).unwrap()),
        );
        let count = state.validators.len();
        let votes = |root: usize| {
            (0..count).map(move |i| state.justifications.votes().get(root * count + i).unwrap())
        };
        let tally = state.justifications.roots().iter().enumerate();
        let tally = tally.map(|(index, root)| (*root, votes(index).collect())).collect();
        Self { justified: state.latest_justified, finalized, justified_slots, tally }
    }

    fn apply(&mut self, state: &State, attestation: &AggregatedAttestation) {
        let (source, target) = (attestation.data.source, attestation.data.target);
        if !self.justified_slots[source.slot as usize]
            || self.justified_slots[target.slot as usize]
            || !attestation.data.lies_on_chain(&state.historical_block_hashes)
            || target.slot <= source.slot
            || !is_justifiable_after(target.slot, self.finalized.slot)
        {
            return;
        }
        let count = state.validators.len();
        let votes = self.tally.entry(target.root).or_insert_with(|| vec![false; count]);
        for index in attestation.aggregation_bits.ones() {
            votes[index] = true;
        }
        if 3 * votes.iter().filter(|vote| **vote).count() < 2 * count {
            return;
        }
        self.tally.remove(&target.root);
        self.justified_slots[target.slot as usize] = true;
        if target.slot > self.justified.slot {
            self.justified = target;
        }
        let gap = (source.slot + 1..target.slot)
            .any(|slot| is_justifiable_after(slot, self.finalized.slot));
        if source.slot > self.finalized.slot && !gap {
            self.finalized = source;
            for slot in 0..=source.slot {
                self.justified_slots[slot as usize] = true;
                self.tally.remove(&state.historical_block_hashes.get(slot).unwrap());
            }
        }
    }
}

/// A linear congruential generator: a failure names the seed that replays it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

#[test]
fn random_votes_do_what_the_model_does() {
    let (mut finalized, mut pending) = (0, 0);
    for seed in 0..60 {
        let mut random = Random(seed);
        let validator_count = 1 + random.below(20);
        let mut state = extend(&genesis(validator_count), 1, Vec::new());
        for _ in 0..40 {
            let slot = state.slot + 1 + random.below(3) / 2;
            state = extend(&state, slot, Vec::new());
            let votes = random_votes(&state, &mut random);
            let mut model = Model::of(&state);
            for vote in &votes {
                model.apply(&state, vote);
            }
            state = process_attestations(&state, &votes).unwrap();
            assert_eq!(Model::of(&state), model, "seed {seed}, slot {slot}");
            assert!(state.justifications.roots().is_sorted(), "seed {seed}, slot {slot}");
            pending = pending.max(state.justifications.roots().len());
        }
        finalized += u64::from(state.latest_finalized.slot > 0);
    }
    // The chains exercise both: finality that moves, and votes that wait.
    assert!(finalized > 30 && pending > 4, "{finalized} chains finalized, {pending} roots pending");
}

fn random_votes(state: &State, random: &mut Random) -> Vec<AggregatedAttestation> {
    let newest = state.latest_block_header.slot - 1;
    let oldest = newest.saturating_sub(12);
    let slots = move |random: &mut Random| -> Slot { oldest + random.below(newest - oldest + 1) };
    let one = |random: &mut Random| {
        let justified = state.latest_justified.slot;
        let source = if random.below(3) == 0 { slots(random) } else { justified };
        let target = slots(random);
        let count = state.validators.len() as u64;
        let keep = 1 + random.below(4);
        let first = random.below(count);
        let voters = (0..count).filter(|voter| *voter == first || random.below(4) < keep);
        vote(state, source, target, voters.collect::<Vec<_>>())
    };
    (0..random.below(7)).map(|_| one(random)).collect()
}
