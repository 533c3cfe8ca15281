//! Reads beside imports in one process: each state and block that a reader gets is proved byte for byte, and the checker
//! sees one consistent directory whatever is committed meanwhile.

use std::{
    ops::ControlFlow,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use lamella_block_store::{self as block_store, SignedBlockRead};
use lamella_chain::{Chain, Settings, verify};
use lamella_state_store::StateStore;
use lamella_tables::Durability;
use lamella_types::Root;

use crate::{
    blocks::{Blocks, Voting},
    random::Random,
    run::Run,
};

/// Blocks imported while others read.
const BLOCKS: usize = 160;

/// A chain with forks, skipped slots and finality, none of it imported yet.
fn built(run: &mut Run) -> Vec<Root> {
    let mut roots = vec![run.blocks.bootstrap];
    for step in 0..BLOCKS {
        let parent = if step % 9 == 8 { roots[roots.len() - 2] } else { roots[roots.len() - 1] };
        let root = run.child(parent, if step == 70 { 1_000 } else { 0 });
        roots.push(root);
    }
    roots.split_off(1)
}

/// One random block of those imported: its state through the shared cache and through a cold one, and its parts.
fn read_one(chain: &Chain, blocks: &Blocks, root: &Root, floor_moves: bool) {
    let expected = blocks.get(root);
    let warm = chain.state(root).unwrap().unwrap();
    assert!(warm.to_ssz() == expected.state, "warm state of {root} is another");
    let txn = chain.read().unwrap();
    let cold = StateStore::with_cache_bytes(0).state(&txn, root).unwrap().unwrap();
    assert!(cold.to_ssz() == expected.state, "cold state of {root} is another");
    match block_store::signed_block(&txn, root).unwrap() {
        SignedBlockRead::Found(read) => assert_eq!(*read, expected.signed),
        SignedBlockRead::Pruned(header) => {
            assert!(floor_moves);
            assert_eq!(header, expected.signed.block.header());
        }
        SignedBlockRead::Unknown => panic!("{root} is imported and unknown"),
        SignedBlockRead::Unchecked(_) => panic!("{root} was checked"),
    }
}

#[test]
fn readers_beside_imports_get_proved_states_and_the_checker_one_view() {
    let mut random = Random::new(7);
    let blocks = Blocks::genesis(&mut random, 6);
    let settings = Settings {
        durability: Durability::Lazy,
        signature_window_slots: 3,
        prune_rows_max: 2,
        ..Settings::default()
    };
    let mut run = Run::begin(random, settings, blocks);
    run.voting = Voting { participation: 95, votes_max: 4 };
    let roots = built(&mut run);
    let (importer, chain, blocks) = (run.importer(), run.chain(), &run.blocks);
    let imported = Mutex::new(vec![blocks.bootstrap]);
    let done = AtomicBool::new(false);
    let (reads, verified) = (AtomicU64::new(0), AtomicU64::new(0));
    let finish = || done.load(Ordering::Acquire);
    thread::scope(|scope| {
        for seed in 0..3 {
            let (imported, reads, finish) = (&imported, &reads, &finish);
            scope.spawn(move || {
                let mut random = Random::new(seed);
                while !finish() {
                    let root = random.pick(&imported.lock().unwrap());
                    read_one(chain, blocks, &root, true);
                    reads.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        scope.spawn(|| {
            while !finish() {
                let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).unwrap();
                assert!(report.is_clean(), "{:#?}", report.findings);
                verified.fetch_add(1, Ordering::Relaxed);
            }
        });
        for root in &roots {
            importer.import(blocks.get(root).signed.clone()).unwrap();
            imported.lock().unwrap().push(*root);
        }
        done.store(true, Ordering::Release);
    });
    let floor = block_store::signature_floor(&chain.read().unwrap()).unwrap();
    assert!(floor.key.slot > 0, "proofs were pruned beside the checker");
    assert!(reads.into_inner() > 20 && verified.into_inner() > 1);
}

/// Symptom: `lamella db verify` beside a node reports proofs as missing that the node had just pruned.
/// Mechanism: the signature floor was read once, the rows in later snapshots, after the node had moved it.
/// Fix: a missing proof is judged by the floor of the snapshot in which it is missing.
#[test]
fn proofs_pruned_between_two_chunks_of_the_checker_are_no_finding() {
    let mut random = Random::new(11);
    let blocks = Blocks::genesis(&mut random, 4);
    let settings = Settings {
        durability: Durability::Lazy,
        signature_window_slots: 60,
        prune_rows_max: 2_000,
        ..Settings::default()
    };
    let mut run = Run::begin(random, settings, blocks);
    let silent = Voting { participation: 0, votes_max: 0 };
    run.voting = Voting { participation: 100, votes_max: 4 };
    // More blocks than a chunk, none of them final; then votes that finalize them.
    let mut roots = vec![run.blocks.bootstrap];
    for slot in 1..1_100 {
        roots.push(run.blocks.build(&mut run.random, roots[roots.len() - 1], slot, silent));
    }
    let importer = run.importer();
    for root in &roots[1..] {
        importer.import(run.blocks.get(root).signed.clone()).unwrap();
    }
    let mut finalizing = vec![roots[roots.len() - 1]];
    for _ in 0..120 {
        finalizing.push(run.child(finalizing[finalizing.len() - 1], 0));
    }

    let (chain, mut floor) = (run.chain(), 0);
    let report = verify(chain.database(), &mut |progress| {
        if progress.stage == "proofs" && floor == 0 {
            for root in &finalizing[1..] {
                importer.import(run.blocks.get(root).signed.clone()).unwrap();
            }
            floor = block_store::signature_floor(&chain.read().unwrap()).unwrap().key.slot;
        }
        ControlFlow::Continue(())
    });
    assert!(floor > 1_050, "the floor moved past the second chunk's first rows: {floor}");
    let report = report.unwrap();
    assert!(report.is_clean(), "{:#?}", report.findings);
}
