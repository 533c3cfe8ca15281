//! A restored directory is the one that was lost, as far as an archive goes; and it is a node's directory.

use std::{ops::ControlFlow, sync::Arc};

use lamella::import::Importer;
use lamella_chain::{Chain, ReadOnlyChain, verify};
use lamella_shipping::{restorer::Target, verifier};
use lamella_types::hash_tree_root;
use lamella_xmss::scheme::Trust;

use crate::grown::{GROWN, LAST, SEGMENTS, go_on, import, restore, rows, settings, shipped};

#[test]
fn a_restored_directory_has_every_row_of_the_original_and_its_invariants_hold() {
    let (_folder, remote, shipment) = shipped();
    assert_eq!((shipment.segments, shipment.put, shipment.verified), (SEGMENTS, SEGMENTS, 0));
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let restored = restore(&remote, &database, Target::Finalized).unwrap();
    let end = restored.target.slot;
    assert_eq!(GROWN.root_at(end), Some(restored.target.root));
    assert!(
        end < SEGMENTS * 1024
            && (end + 1..SEGMENTS * 1024).all(|slot| GROWN.root_at(slot).is_none())
    );

    let (original, copy) = (GROWN.rows(end), rows(&database, end));
    assert!(original.len() > 10_000, "{} rows", original.len());
    for (place, row) in &original {
        assert!(copy.get(place) == Some(row), "{place:?}");
    }
    assert_eq!(copy.len(), original.len());

    let chain = ReadOnlyChain::open(&database).unwrap();
    let report = verify(chain.database(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert_eq!(report.findings, []);
}

#[test]
fn a_restored_directory_goes_on_as_a_node_to_the_head_of_the_original() {
    let (_folder, remote, _) = shipped();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let restored = restore(&remote, &database, Target::Finalized).unwrap();
    let (chain, _) = Chain::resume(&database, &GROWN.identity(), settings()).unwrap();
    let chain = Arc::new(chain);
    assert_eq!(chain.fork_choice().head(), restored.target.root);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let later = GROWN.blocks.iter().filter(|block| block.block.slot > restored.target.slot);
    import(&importer, &later.cloned().collect::<Vec<_>>());
    let last = hash_tree_root(&GROWN.blocks.last().unwrap().block);
    assert_eq!(chain.fork_choice().head(), last);
    drop((importer, chain));
    let (original, copy) = (GROWN.rows(LAST), rows(&database, LAST));
    assert!(original == copy, "the rows after the target too");
}

#[test]
fn a_directory_ends_exactly_at_the_slot_or_root_that_was_asked_for() {
    let (_folder, remote, _) = shipped();
    for slot in [1, 1023, 1024, 1500, 3_100] {
        let Some(root) = GROWN.root_at(slot) else { panic!("slot {slot} has a block") };
        for target in [Target::Slot(slot), Target::Root(root)] {
            let directory = tempfile::tempdir().unwrap();
            let database = directory.path().join("db");
            let restored = restore(&remote, &database, target).unwrap();
            assert_eq!((restored.target.slot, restored.target.root), (slot, root));
            assert!(rows(&database, LAST) == GROWN.rows(slot));
        }
    }
}

#[test]
fn an_archive_is_verified_under_a_root_of_another_node_and_says_how_far() {
    let (_folder, remote, shipment) = shipped();
    let frontier = shipment.frontier.unwrap();
    for trusted in [None, Some(frontier.root)] {
        let verified = verifier::verify(&remote, trusted, true, &mut go_on).unwrap();
        assert_eq!((verified.root, verified.is_trusted), (frontier, trusted.is_some()));
        assert_eq!((verified.segments, verified.below), (SEGMENTS, SEGMENTS * 1024));
        let blocks = (0..SEGMENTS * 1024).filter(|slot| GROWN.root_at(*slot).is_some()).count();
        assert_eq!((verified.blocks, verified.states), (blocks as u64, blocks as u64));
        assert_eq!((verified.beyond, verified.unproven, verified.unknown), (0, 0, 0));
    }
    // A root within a segment proves what is before it, and no more is said.
    let trusted = GROWN.root_at(1500).unwrap();
    let verified = verifier::verify(&remote, Some(trusted), false, &mut go_on).unwrap();
    assert_eq!((verified.root.root, verified.below, verified.segments), (trusted, 1501, 2));
    let blocks = (0..1501).filter(|slot| GROWN.root_at(*slot).is_some()).count() as u64;
    assert_eq!((verified.blocks, verified.states), (blocks, blocks));
}
