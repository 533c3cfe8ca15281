//! `signatures`: what a node's validators and its peers' cost in signing and checking. On all cores, as the workers do it.

use std::{sync::Arc, time::Duration};

use criterion::Criterion;
use lamella::{import::BATCH_BLOCKS_MAX, proofs::verify_block};
use lamella_benches::{
    BenchChain, Stopwatch, Times, directory,
    signed::{SCHEME, SignedChain},
};
use lamella_tables::Durability;
use lamella_types::{SignedBlock, hash_tree_root};
use lamella_xmss::{Claim, KeyPair, PRODUCTION, generate_development, verify, verify_each};
use rayon::prelude::*;

use crate::group::Group;

/// Validators of whom one proposes and all vote: 206 signatures, the most that a raw proof holds.
const FULL: u64 = 205;

/// Validators of one node.
const OF_A_NODE: u8 = 64;

/// Slots that the keys below are made for.
const KEY_SLOTS: u64 = 64;

pub fn signatures(criterion: &mut Criterion) {
    let mut group = Group::of(criterion, "signatures");
    sign(&mut group);
    verify_alone_and_together(&mut group);
    verify_full_block(&mut group);
    group.samples(10);
    for (validators, name) in [(4, "V4_5_signatures"), (128, "V128_129_signatures")] {
        catch_up(&mut group, validators, name);
    }
}

fn keys() -> Vec<KeyPair> {
    let make =
        |seed: u8| generate_development(&PRODUCTION, &[seed; 32], KEY_SLOTS, &|_| ()).unwrap();
    (0..OF_A_NODE).into_par_iter().map(make).collect()
}

fn sign(group: &mut Group<'_>) {
    let keys = keys();
    let mut message = [0; 32];
    group.throughput(OF_A_NODE.into());
    group.time("sign_64", |times, count| {
        (0..count)
            .map(|number| {
                // Another message each time: the search for an encoding is a matter of luck.
                message[..8].copy_from_slice(&number.to_le_bytes());
                let watch = Stopwatch::start();
                let signed: Vec<_> = keys
                    .par_iter()
                    .map(|key| key.secret_key.sign(number % KEY_SLOTS, &message).unwrap().encode())
                    .collect();
                let spent = watch.stop();
                assert_eq!(signed.len(), keys.len());
                times.add(spent)
            })
            .sum()
    });
}

fn verify_alone_and_together(group: &mut Group<'_>) {
    let (keys, message) = (keys(), [7; 32]);
    let signatures: Vec<Vec<u8>> =
        keys.par_iter().map(|key| key.secret_key.sign(5, &message).unwrap().encode()).collect();
    let public_keys: Vec<_> = keys.iter().map(|key| key.public_key.encode()).collect();
    let claims: Vec<Claim<'_>> = public_keys
        .iter()
        .zip(&signatures)
        .map(|(public_key, signature)| Claim { public_key, slot: 5, message: &message, signature })
        .collect();
    group.throughput(1);
    group.time("verify_1_one_thread", |times, count| {
        timed(times, count, || {
            assert_eq!(verify(&PRODUCTION, &public_keys[0], 5, &message, &signatures[0]), Ok(()));
        })
    });
    group.throughput(OF_A_NODE.into());
    group.time("verify_64_one_thread", |times, count| {
        timed(times, count, || {
            assert!(verify_each(&PRODUCTION, &claims).iter().all(Result::is_ok));
        })
    });
}

fn verify_full_block(group: &mut Group<'_>) {
    let chain = SignedChain::of(FULL, 2);
    let (block, validators) = (&chain.blocks[1], &chain.bootstrap.state.validators);
    let root = hash_tree_root(&block.block);
    let bytes = block.proof.proof.as_bytes().len();
    assert_eq!(bytes / PRODUCTION.signature_bytes(), 206);
    group.throughput(206);
    group.time("verify_block_206", |times, count| {
        timed(times, count, || {
            assert_eq!(verify_block(&SCHEME, validators, block, root), Ok(()));
        })
    });
}

/// Blocks as sync hands them over, 64 to a durable transaction.
fn catch_up(group: &mut Group<'_>, validators: u64, name: &str) {
    let signed = SignedChain::of(validators, 2 * BATCH_BLOCKS_MAX);
    group.throughput(signed.blocks.len() as u64);
    group.time(format!("catch_up_128_blocks/{name}"), |times, count| {
        (0..count).map(|_| import_all(times, &signed)).sum()
    });
}

fn import_all(times: &mut Times, signed: &SignedChain) -> Duration {
    let settings = directory::settings(Durability::Durable);
    let chain = BenchChain::begin_with(signed.bootstrap.clone(), Arc::new(SCHEME), settings);
    let runs: Vec<Vec<SignedBlock>> =
        signed.blocks.chunks(BATCH_BLOCKS_MAX).map(<[SignedBlock]>::to_vec).collect();
    let watch = Stopwatch::start();
    for run in runs {
        chain.importer.import_batch(run).unwrap().unwrap();
    }
    let spent = watch.stop();
    let last = signed.blocks.last().unwrap();
    assert_eq!(chain.chain.fork_choice().head(), hash_tree_root(&last.block));
    times.add(spent)
}

fn timed(times: &mut Times, count: u64, mut run: impl FnMut()) -> Duration {
    (0..count)
        .map(|_| {
            let watch = Stopwatch::start();
            run();
            times.add(watch.stop())
        })
        .sum()
}
