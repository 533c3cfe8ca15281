//! A full map, a full disk, a file that may not grow: imports pause with a clear error, disk and memory stay as they
//! were, reads go on, and what was acknowledged stays.

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
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

use crate::{
    disk::SmallDisk,
    node::{Node, field, get, head_slot, network, verify},
};

/// More slots than a store that fails for another reason is tried again in.
const FULL_SLOTS: usize = 6;

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
    assert!(failure.to_string().contains("--db-size-max"), "{failure}");

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

/// Symptom: only a full map was ever tried; 526 of 526 writes that a full disk cut short were told as input/output
/// errors. Mechanism: the engine names a short write so. Fix: the free space of the disk decides what is told, and the
/// node tries again for as long as it takes.
#[test]
fn a_node_on_a_full_disk_says_so_serves_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount(24) else { return };
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), disk.path().join("data"));
    network(&network_dir);
    let mut node = Node::start(&network_dir, &data);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&line, "api").unwrap().to_owned();
    let mut acknowledged = 0;
    node.wait_for(|line| {
        acknowledged = head_slot(line).unwrap_or(acknowledged);
        acknowledged >= 1
    });
    disk.fill();
    let mut paused = Vec::new();
    node.wait_for(|line| {
        acknowledged = head_slot(line).unwrap_or(acknowledged);
        paused.extend(line.contains(" Paused: ").then(|| line.to_owned()));
        paused.len() >= FULL_SLOTS
    });
    for line in &paused {
        assert!(line.contains("free some disk space"), "{line}");
        assert!(line.contains("No space left") || line.contains("cut short"), "{line}");
    }
    for what in ["states/head", "headers/head", "health"] {
        assert_eq!(get(&address, &format!("/lean/v0/{what}")).0, "HTTP/1.1 200 OK", "{what}");
    }

    disk.free();
    let goal = acknowledged + 3;
    let mut last = node.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= goal));
    for line in node.kill() {
        last = head_slot(&line).map_or(last, |_| line.clone());
    }
    verify(&data);
    let mut again = Node::start(&network_dir, &data);
    let found = again.wait_for(|line| line.contains(" Started "));
    assert!(head_slot(&found) >= head_slot(&last), "acknowledged {last}, found {found}");
}

/// A quota of the system, for which nothing has to be mounted: what fills a disk where tests may not make one.
#[test]
fn a_node_whose_file_may_not_grow_is_told_of_the_limit_serves_and_goes_on_when_it_is_raised() {
    // The system ends a process that writes beyond the limit by SIGXFSZ, unless that is ignored, as it is here.
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    let ours = Node::command(&network_dir, &data, &[]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\""]);
    command.arg(ours.get_program()).args(ours.get_args());
    let mut node = Node::spawn(command);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&line, "api").unwrap().to_owned();
    let (mut acknowledged, mut paused) = (0, 0);
    node.wait_for(|line| {
        acknowledged = head_slot(line).unwrap_or(acknowledged);
        if line.contains(" Paused: ") {
            assert!(line.contains("ulimit -f"), "{line}");
            paused += 1;
        }
        paused >= FULL_SLOTS
    });
    for what in ["states/head", "headers/head", "health"] {
        assert_eq!(get(&address, &format!("/lean/v0/{what}")).0, "HTTP/1.1 200 OK", "{what}");
    }

    let limit = getrlimit(Resource::Fsize);
    let (pid, raised) =
        (Pid::from_child(&node.process), Rlimit { current: limit.maximum, ..limit });
    prlimit(Some(pid), Resource::Fsize, raised).unwrap();
    let goal = acknowledged + 3;
    node.wait_for(|line| {
        acknowledged = head_slot(line).unwrap_or(acknowledged);
        acknowledged >= goal
    });
    node.kill();
    verify(&data);
    let mut again = Node::start(&network_dir, &data);
    let found = again.wait_for(|line| line.contains(" Started "));
    assert!(head_slot(&found) >= Some(acknowledged), "acknowledged {acknowledged}, found {found}");
}
