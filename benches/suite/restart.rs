//! `restart`: from a directory to a chain with its head state at hand.

use std::{cell::LazyCell, sync::Arc};

use criterion::Criterion;
use lamella_benches::{Finality, LARGE, LONG, SHORT, anchor, directory::settings, threads};
use lamella_chain::Chain;
use lamella_tables::Durability;
use lamella_types::{State, latest_block_root};

use crate::{
    full_state::{FullStates, head},
    group::Group,
    read::stored_chain,
};

pub fn restart(c: &mut Criterion) {
    let mut group = Group::of(c, "restart");
    group.samples(10);
    for (history, slot) in [("H2k", SHORT), ("H261k", LONG)] {
        let closed = LazyCell::new(|| {
            let chain = stored_chain(slot);
            let (identity, (root, ..)) = (chain.chain.identity().clone(), head(&chain));
            (chain.close(), identity, root)
        });
        for (name, durability) in [("lazy", Durability::Lazy), ("durable", Durability::Durable)] {
            group.time(format!("open_to_head_state/{name}/V4096_{history}"), |times, count| {
                let (directory, identity, root) = &*closed;
                let open = |()| {
                    let settings = settings(durability);
                    let (chain, _) = Chain::resume(directory.path(), identity, settings).unwrap();
                    let state = chain.state(&chain.fork_choice().head()).unwrap().unwrap();
                    (chain, state)
                };
                let check = |(chain, state): (Chain, Arc<State>)| {
                    assert_eq!(chain.fork_choice().head(), *root);
                    assert_eq!(latest_block_root(&state), *root);
                };
                times.each(count, || (), open, check)
            });
        }
        // A store of full states: opened, its head's state decoded and proved on as many threads as ours has.
        let full = LazyCell::new(|| {
            let state = anchor(LARGE, slot, Finality::Healthy).state;
            let root = latest_block_root(&state);
            let mut states = FullStates::begin();
            states.write(root, &state);
            (states.close(), root, state.root(), state)
        });
        group.time(format!("baseline_full_state/lazy/V4096_{history}"), |times, count| {
            let (directory, root, state_root, state) = &*full;
            let open = |()| {
                let states = FullStates::open(directory.path());
                (states.read(state.slot, *root, state_root, threads::count()), states)
            };
            times.each(count, || (), open, |(found, _)| assert_eq!(found, **state))
        });
        group.time(format!("open/lazy/V4096_{history}"), |times, count| {
            let (directory, identity, root) = &*closed;
            let settings = settings(Durability::Lazy);
            let open = |()| Chain::resume(directory.path(), identity, settings).unwrap().0;
            let check = |chain: Chain| assert_eq!(chain.fork_choice().head(), *root);
            times.each(count, || (), open, check)
        });
    }
}
