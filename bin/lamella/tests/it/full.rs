//! A full map: imports pause with a clear error, disk and memory stay as they were, reads go on.

use std::sync::Arc;

use lamella::import::{ImportError, Imported, Importer};
use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_state_transition::compute_post_state;
use lamella_tables::Consequence;
use lamella_types::{
    Block, MultiMessageAggregate, ProofBytes, Root, SignedBlock, State, Validator, Validators,
    genesis_state, slot::proposer_for_slot,
};
use lamella_xmss::scheme::Trust;

/// A child of a post-state, with a proof of this size.
fn child(parent: &State, parent_root: Root, proof_bytes: usize) -> SignedBlock {
    let slot = parent.slot + 1;
    let proposer_index = proposer_for_slot(slot, parent.validators.len() as u64).unwrap();
    let mut block = Block { slot, proposer_index, parent_root, ..Block::default() };
    block.state_root = compute_post_state(parent, &block).unwrap().1;
    let proof = ProofBytes::new(vec![7; proof_bytes]).unwrap();
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}

#[test]
fn a_full_map_pauses_imports_and_keeps_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let validators: Vec<_> =
        (0..4).map(|index| Validator { index, ..Validator::default() }).collect();
    let genesis = genesis_state(7, Validators::new(&validators).unwrap());
    let small = Settings { size_bytes_max: Some(8 << 20), ..Settings::default() };
    let (chain, _) =
        Chain::open(&path, Bootstrap::genesis(genesis.clone()), "trust", small).unwrap();
    let chain = Arc::new(chain);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));

    let failure = loop {
        let head = chain.fork_choice().head();
        let parent = chain.state(&head).unwrap().unwrap();
        match importer.import(child(&parent, head, 300_000)) {
            Ok(Imported::New(new)) => assert_eq!(chain.fork_choice().head(), new.root),
            Ok(Imported::Known(root)) => panic!("{root} is not new"),
            Err(error) => break error,
        }
        assert!(chain.fork_choice().head_summary().slot < 40, "8 MiB cannot hold 12 MB of proofs");
    };
    let ImportError::Persist(failure) = failure else { panic!("{failure}") };
    assert_eq!(failure.consequence(), Some(Consequence::NoSpace), "{failure}");
    assert!(failure.to_string().contains("free some disk space"), "{failure}");

    // Memory and disk are as before, reads go on, and the same call fails the same way.
    let view = chain.fork_choice();
    let (head, slot) = (view.head(), view.head_summary().slot);
    assert!(slot > 5, "some blocks fit");
    let state = chain.state(&head).unwrap().unwrap();
    assert!(importer.import(child(&state, head, 300_000)).is_err());
    let report =
        lamella_chain::verify(chain.database(), &mut |_| std::ops::ControlFlow::Continue(()));
    assert_eq!(report.unwrap().findings, []);
    drop((importer, chain));

    // With room, the import that failed succeeds.
    let (chain, opened) =
        Chain::open(&path, Bootstrap::genesis(genesis), "trust", Settings::default()).unwrap();
    assert_eq!((opened.fork_choice.head, opened.head_slot), (head, slot));
    let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
    importer.import(child(&state, head, 300_000)).unwrap();
}
