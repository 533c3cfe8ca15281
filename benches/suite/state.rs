//! `state_root`, `state_ssz` and `state_json`: a state as a value, beside the same state as plain `ssz_rs` containers.

use std::cell::LazyCell;

use criterion::Criterion;
use lamella_benches::{BlockSource, Finality, LARGE, LONG, PlainState, SHORT, anchor};
use lamella_inspect::json::{Json, state_to_vec};
use lamella_state_transition::{process_block, process_slots};
use lamella_types::{Decode as _, State};

use crate::group::Group;

/// A parent's post-state and its child block.
struct Child {
    parent: State,
    source: BlockSource,
    block: lamella_types::Block,
}

impl Child {
    /// The ninth child of an anchor, or a later one: in a stall, the next whose votes change the tally, which is then
    /// hashed anew.
    fn new(slot: u64, finality: Finality) -> Self {
        let mut source = BlockSource::new(&anchor(LARGE, slot, finality).state, finality);
        for _ in 0..8 {
            source.next_block();
        }
        loop {
            let parent = source.state().clone();
            let block = source.next_block();
            let same_tally =
                source.state().justifications.shares_memory_with(&parent.justifications);
            if finality == Finality::Healthy || !same_tally {
                return Self { parent, source, block };
            }
        }
    }

    /// The child's post-state before anybody asked for its root.
    fn post_state(&self) -> State {
        let advanced = process_slots(&self.parent, self.block.slot).unwrap();
        process_block(&advanced, &self.block).unwrap()
    }
}

pub fn state_root(c: &mut Criterion) {
    let mut group = Group::of(c, "state_root");
    for (name, slot, finality) in [
        ("V4096_H1k", SHORT, Finality::Healthy),
        ("V4096_H261k", LONG, Finality::Healthy),
        ("V4096_H261k_stalled_12h_new_votes", LONG, Finality::Stalled(10_800)),
    ] {
        let child = LazyCell::new(|| Child::new(slot, finality));
        group.samples(15).time(format!("new_post_state/{name}"), |times, count| {
            let check = |(root, state): (_, State)| {
                assert_eq!(root, child.block.state_root);
                drop(state);
            };
            times.each(count, || child.post_state(), |state| (state.root(), state), check)
        });
        let plain = LazyCell::new(|| PlainState::of(child.source.state()));
        group.samples(10).time(format!("baseline_ssz_rs/{name}"), |times, count| {
            let check = |root| assert_eq!(root, child.block.state_root);
            times.each(count, || plain.clone(), |mut state| state.root(), check)
        });
    }
}

pub fn state_ssz(c: &mut Criterion) {
    let mut group = Group::of(c, "state_ssz");
    for (name, slot) in [("V4096_H1k", SHORT), ("V4096_H261k", LONG)] {
        let state = LazyCell::new(|| State::clone(&anchor(LARGE, slot, Finality::Healthy).state));
        let bytes = LazyCell::new(|| state.to_ssz());
        let plain = LazyCell::new(|| PlainState::of(&state));
        // Fixed part, registry, history, one justified slot, an empty tally.
        group.samples(15).bytes(228 + LARGE * 112 + slot * 32 + 2);
        let encoded = |found: Vec<u8>| assert!(found == **bytes, "the same bytes");
        group.time(format!("encode/{name}"), |times, count| {
            times.each(count, || (), |()| state.to_ssz(), encoded)
        });
        group.time(format!("decode/{name}"), |times, count| {
            let decode = |()| State::from_ssz(&bytes).unwrap();
            times.each(count, || (), decode, |decoded| assert_eq!(decoded, *state))
        });
        group.time(format!("decode_and_root/{name}"), |times, count| {
            let decode = |()| State::from_ssz(&bytes).unwrap().root();
            let root = state.root();
            times.each(count, || (), decode, |found| assert_eq!(found, root))
        });
        group.samples(10).time(format!("baseline_ssz_rs_encode/{name}"), |times, count| {
            times.each(count, || (), |()| plain.encode(), encoded)
        });
        group.time(format!("baseline_ssz_rs_decode/{name}"), |times, count| {
            let decode = |()| PlainState::decode(&bytes);
            times.each(count, || (), decode, |decoded| assert!(decoded == *plain))
        });
    }
}

/// Slots whose state takes 4.3 MB as SSZ.
const JSON_SLOTS: u64 = 120_000;

pub fn state_json(c: &mut Criterion) {
    let mut group = Group::of(c, "state_json");
    let state = LazyCell::new(|| State::clone(&anchor(LARGE, JSON_SLOTS, Finality::Healthy).state));
    let text = LazyCell::new(|| serde_json::to_vec(&Json(&*state)).unwrap());
    let written = |found: Vec<u8>| assert!(found == **text, "the same text");
    group.samples(15).time("V4096_H120k", |times, count| {
        times.each(count, || (), |()| state_to_vec(&state).unwrap(), written)
    });
    group.time("baseline_serializer/V4096_H120k", |times, count| {
        times.each(count, || (), |()| serde_json::to_vec(&Json(&*state)).unwrap(), written)
    });
}
