//! `restart`: from a directory to a chain with its head state at hand.

use std::cell::LazyCell;

use criterion::Criterion;
use lamella_benches::{Finality, LARGE, LONG, SHORT, anchor, directory::settings, timed};
use lamella_chain::Chain;
use lamella_tables::Durability;
use lamella_types::latest_block_root;

use crate::{
    full_state::{FullStates, head},
    read::stored_chain,
};

pub fn restart(c: &mut Criterion) {
    let mut group = c.benchmark_group("restart");
    group.sample_size(10);
    for (history, slot) in [("H2k", SHORT), ("H261k", LONG)] {
        let closed = LazyCell::new(|| {
            let chain = stored_chain(slot);
            let (identity, (root, ..)) = (chain.chain.identity().clone(), head(&chain));
            (chain.close(), identity, root)
        });
        for durability in [Durability::Lazy, Durability::Durable] {
            let name = format!("{durability:?}/V4096_{history}").to_lowercase();
            group.bench_function(format!("open_to_head_state/{name}"), |b| {
                let (directory, identity, root) = &*closed;
                b.iter_custom(|count| {
                    let open = |()| {
                        let path = directory.path();
                        let (chain, _) =
                            Chain::resume(path, identity, settings(durability)).unwrap();
                        let state = chain.state(&chain.fork_choice().head()).unwrap().unwrap();
                        (chain, state)
                    };
                    timed(
                        count,
                        || (),
                        open,
                        |(chain, state)| {
                            assert_eq!(chain.fork_choice().head(), *root);
                            assert_eq!(latest_block_root(&state), *root);
                        },
                    )
                });
            });
        }
        // A store of full states: opened, its head's state decoded and proved.
        let full = LazyCell::new(|| {
            let state = anchor(LARGE, slot, Finality::Healthy).state;
            let root = latest_block_root(&state);
            let mut states = FullStates::begin();
            states.write(root, &state);
            (states.close(), root, state)
        });
        group.bench_function(
            format!("baseline_full_state/lazy/V4096_{history}").to_lowercase(),
            |b| {
                let (directory, root, state) = &*full;
                let state_root = state.root();
                b.iter_custom(|count| {
                    let open = |()| {
                        let states = FullStates::open(directory.path());
                        (states.read(state.slot, *root, &state_root), states)
                    };
                    timed(count, || (), open, |(found, _)| assert_eq!(found, **state))
                });
            },
        );
        group.bench_function(format!("open/lazy/V4096_{history}").to_lowercase(), |b| {
            let (directory, identity, root) = &*closed;
            b.iter_custom(|count| {
                let settings = settings(Durability::Lazy);
                let open = |()| Chain::resume(directory.path(), identity, settings).unwrap().0;
                timed(count, || (), open, |chain| assert_eq!(chain.fork_choice().head(), *root))
            });
        });
    }
    group.finish();
}
