//! The third witness: states made by the transition. And up to which block a chain may be sealed.

use std::fs;

use lamella_archive::{Frontier, Network, ObjectName, PostState, SegmentBuilder};
use lamella_benches::blocks::child;
use lamella_shipping::{
    ShippingError,
    archiver::{self, Known},
    remote::Remote,
    seal::Shipped,
    store::{Access, Store},
    verifier::{Depth, Verify},
};
use lamella_types::{Checkpoint, Root};

use crate::grown::{GROWN, SEGMENTS, SMALL_CHAIN, go_on, shipped};

const TRANSITION: Verify = Verify { trusted: None, depth: Depth::Transition, proofs: false };

#[test]
fn the_transition_makes_every_archived_state_again() {
    let (_folder, remote, _) = shipped();
    let verified = TRANSITION.run(&remote, &mut go_on).unwrap();
    assert_eq!(verified.segments, SEGMENTS);
    assert!(verified.states > 2_000 && verified.transitions == verified.states, "{verified:?}");
    // Under a root within a segment what is after it is not counted.
    let trusted = GROWN.root_at(1500);
    let verified = Verify { trusted, ..TRANSITION }.run(&remote, &mut go_on).unwrap();
    assert_eq!((verified.below, verified.transitions), (1501, verified.states));
}

/// Symptom: hashes agree, and the chain broke the protocol's rules all the same. Mechanism: a root proves what a chain said,
/// not that it was right. Fix: the transition is asked too.
#[test]
fn a_state_that_hashes_right_and_follows_from_no_rule_is_found_by_the_transition_alone() {
    let genesis = &SMALL_CHAIN.genesis;
    let network = Network::new(genesis.config.genesis_time, genesis.validators.clone());
    let (entry, state) = network.genesis();
    let (mut block, mut forged) = child(&state, 1, Vec::new());
    forged.latest_justified = Checkpoint { root: block.parent_root, slot: 1 };
    block.state_root = forged.root();
    let (next, settled) = child(&forged, 1030, Vec::new());
    let mut builder = SegmentBuilder::new(&network, 0, Some((&entry, &state))).unwrap();
    builder.push(&block.header(), &block.body, PostState::State(&forged)).unwrap();
    let segment = builder.finish().unwrap();
    let frontier = Frontier::of(&next.header(), &settled).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let put = |name: String, bytes: &[u8]| {
        let path = folder.path().join(network.id().to_string()).join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    put(segment.name().to_string(), &segment.bytes);
    put(frontier.name().to_string(), &frontier.encode());
    let registry = ObjectName::Registry { root: network.registry_root() };
    put(registry.to_string(), network.validators().as_ssz());
    let store = Store::open(folder.path().to_str().unwrap(), Access::Read).unwrap();
    let remote = Remote::find(store, None).unwrap();
    let deep = Verify { depth: Depth::States, ..TRANSITION }.run(&remote, &mut go_on).unwrap();
    assert_eq!(deep.states, 2);
    let error = TRANSITION.run(&remote, &mut go_on).unwrap_err();
    let ShippingError::Transition { block: found, .. } = &error else { panic!("{error}") };
    assert_eq!((found.slot, found.root), (1, block.header().root()));
}

/// A chain is sealed up to an older block that is named, and never up to one that may still be left.
#[test]
fn a_chain_is_sealed_up_to_a_finalized_block_that_is_named() {
    let chain = &SMALL_CHAIN.chain;
    let ship = |root| {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().to_str().unwrap(), Access::Write).unwrap();
        let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
        let shipped = shipped.ending_at(Some(root));
        archiver::ship(shipped, store, Known::default(), &mut go_on, &mut |_| Ok(()))
            .map(|(_, shipment)| shipment)
    };
    let slot = (1100..).find(|slot| SMALL_CHAIN.root_at(*slot).is_some()).unwrap();
    let root = SMALL_CHAIN.root_at(slot).unwrap();
    let shipment = ship(root).unwrap();
    assert_eq!((shipment.segments, shipment.frontier), (1, Some(Checkpoint { root, slot })));
    let refused = |root, says: &str| {
        let error = ship(root).unwrap_err();
        assert!(matches!(error, ShippingError::NotShippable { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    let head = SMALL_CHAIN.root_at(2_300).unwrap();
    refused(head, "is not finalized");
    refused(Root::new([7; 32]), "is not in this directory");
    let fork = SMALL_CHAIN.blocks.iter().find(|block| {
        let header = block.block.header();
        SMALL_CHAIN.root_at(header.slot) != Some(header.root())
    });
    refused(fork.unwrap().block.header().root(), "is not canonical");
}
