//! Blocks and their proofs: the four outcomes, and pruning in bounded steps.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

use lamella_block_store::{
    Extent, PruneStep, SignedBlockRead, block, header, prune_signatures, put_block, put_signature,
    roots_at, signature_floor, signed_block,
};
use lamella_tables::{
    Bodies, Bytes, Database, Headers, OpenMode, Options, ReadError, RowTooLong, Signatures,
    SlotRoot,
};
use lamella_types::{
    AggregatedAttestation, AggregationBits, Block, BlockBody, MultiMessageAggregate, ProofBytes,
    Root, SignedBlock, limits::PROOF_BYTES_MAX,
};

fn database() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(directory.path(), Options::new(OpenMode::Create)).unwrap();
    (directory, database)
}

/// A block at `slot`; every third one has a body.
fn signed(slot: u64, fork: u64) -> (Root, SignedBlock) {
    let votes = if slot.is_multiple_of(3) { vec![slot % 9, 7] } else { vec![] };
    let attestation = AggregatedAttestation {
        aggregation_bits: AggregationBits::from_indices(votes.iter().copied()).unwrap(),
        ..AggregatedAttestation::default()
    };
    let body = BlockBody::new(votes.first().map(|_| attestation).into_iter().collect()).unwrap();
    let block = Block { slot, proposer_index: fork, body, ..Block::default() };
    let proof = ProofBytes::new(vec![slot as u8; 3000]).unwrap();
    (block.header().root(), SignedBlock { block, proof: MultiMessageAggregate { proof } })
}

fn store(database: &Database, blocks: &[(Root, SignedBlock)]) {
    let mut txn = database.write().unwrap();
    for (root, block) in blocks {
        let header = block.block.header();
        put_block(&mut txn, *root, &header, &block.block.body).unwrap();
        put_signature(&mut txn, &SlotRoot::new(header.slot, *root), &block.proof).unwrap();
    }
    txn.commit().unwrap();
}

fn prune(database: &Database, tip: u64, finalized: u64, window: u64, rows_max: usize) -> PruneStep {
    let mut txn = database.write().unwrap();
    let step = prune_signatures(&mut txn, tip, finalized, window, rows_max).unwrap();
    txn.commit().unwrap();
    step
}

#[test]
fn a_block_comes_back_whole_or_is_unknown() {
    let (_directory, database) = database();
    let blocks: Vec<_> = (0..7).map(|slot| signed(slot, slot)).collect();
    store(&database, &blocks);
    let txn = database.read().unwrap();
    for (root, expected) in &blocks {
        assert_eq!(block(&txn, root).unwrap().as_ref(), Some(&expected.block));
        assert_eq!(signed_block(&txn, root).unwrap().found().as_ref(), Some(expected));
    }
    assert_eq!(block(&txn, &Root::new([1; 32])).unwrap(), None);
    assert_eq!(signed_block(&txn, &Root::new([1; 32])).unwrap(), SignedBlockRead::Unknown);
}

#[test]
fn forks_of_a_slot_stand_side_by_side() {
    let (_directory, database) = database();
    let forks: Vec<_> = (0..5).map(|fork| signed(9, fork)).collect();
    store(&database, &forks);
    store(&database, &[signed(8, 0), signed(10, 0)]);
    let mut roots: Vec<_> = forks.iter().map(|(root, _)| *root).collect();
    roots.sort();
    assert_eq!(roots_at(&database.read().unwrap(), 9).unwrap(), roots);
    assert_eq!(roots_at(&database.read().unwrap(), 11).unwrap(), []);
}

#[test]
fn pruning_is_bounded_resumes_and_stops_at_finality() {
    let (_directory, database) = database();
    begin(&database);
    // Two forks a slot, so that a step of three rows ends inside a slot.
    let blocks: Vec<_> = (0..50).flat_map(|slot| [signed(slot, 0), signed(slot, 1)]).collect();
    store(&database, &blocks);
    assert_eq!(prune(&database, 49, 8, 40, 3).deleted, 0, "slot 9 is not finalized");
    let mut deleted = 0;
    for _ in 0..100 {
        let step = prune(&database, 49, 20, 40, 3);
        assert!(step.deleted <= 3);
        deleted += step.deleted;
        check_outcomes(&database, &blocks, deleted);
        if !step.more {
            break;
        }
    }
    assert_eq!(deleted, 18, "the proofs of slots 0 to 8");
    let floor = signature_floor(&database.read().unwrap()).unwrap();
    assert_eq!((floor.key.slot, floor.finalized_slot), (9, 20));
    let idle = prune(&database, 49, 20, 40, 3);
    assert_eq!((idle.deleted, idle.more), (0, false));
}

/// A directory says what it holds before anything is pruned.
fn begin(database: &Database) {
    let mut txn = database.write().unwrap();
    Extent::begin(SlotRoot::first_of(0), Root::ZERO).put(&mut txn).unwrap();
    txn.commit().unwrap();
}

/// The oldest `deleted` proofs are pruned, all others there; headers and bodies always are.
fn check_outcomes(database: &Database, blocks: &[(Root, SignedBlock)], deleted: usize) {
    let txn = database.read().unwrap();
    let mut keys: Vec<_> =
        blocks.iter().map(|(root, block)| SlotRoot::new(block.block.slot, *root)).collect();
    keys.sort();
    let pruned = &keys[..deleted];
    for (root, expected) in blocks {
        let gone = pruned.contains(&SlotRoot::new(expected.block.slot, *root));
        match signed_block(&txn, root).unwrap() {
            SignedBlockRead::Pruned(header) => {
                assert!(gone, "{root}");
                assert_eq!(header, expected.block.header());
            }
            SignedBlockRead::Found(found) => assert!(!gone && *found == *expected, "{root}"),
            other @ (SignedBlockRead::Unknown | SignedBlockRead::Unchecked(_)) => {
                panic!("{root}: {other:?}")
            }
        }
        assert_eq!(block(&txn, root).unwrap().as_ref(), Some(&expected.block));
    }
}

#[test]
fn a_lost_row_is_damage_and_never_absence() {
    let (_directory, database) = database();
    begin(&database);
    let (root, stored) = signed(3, 0);
    store(&database, &[(root, stored)]);
    let key = SlotRoot::new(3, root);
    let lost = |delete: fn(&mut lamella_tables::WriteTxn<'_>, &SlotRoot)| {
        let mut txn = database.write().unwrap();
        delete(&mut txn, &key);
        let outcome = signed_block(&txn, &root).map(|_| ());
        assert!(matches!(outcome, Err(ReadError::Damaged(_))), "{outcome:?}");
    };
    lost(|txn, key| assert!(txn.delete::<Headers>(key).unwrap()));
    lost(|txn, key| assert!(txn.delete::<Bodies>(key).unwrap()));
    lost(|txn, key| assert!(txn.delete::<Signatures>(key).unwrap()));
    lost(|txn, key| txn.put::<Bodies>(key, &BlockBody::default()).unwrap());
    // A proof longer than any is: never written, and never read where it was.
    let mut txn = database.write().unwrap();
    let refusal = txn.put::<Signatures>(&key, &Bytes(vec![0; PROOF_BYTES_MAX + 1])).unwrap_err();
    assert!(refusal.source.is::<RowTooLong>(), "{refusal}");
    drop(txn);
    assert!(header(&database.read().unwrap(), &root).unwrap().is_some(), "nothing was committed");
}
