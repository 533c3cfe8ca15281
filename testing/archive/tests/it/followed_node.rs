//! A node that is followed: it tells a tail to whoever asks, and ships none.

use std::{collections::HashSet, sync::Arc};

use lamella::import::Importer;
use lamella_archive::{ObjectName, TailFile, WriterId};
use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_inspect::{objects::ObjectError, served::Served};
use lamella_shipping::store::{Access, Store};
use lamella_types::hash_tree_root;
use lamella_xmss::scheme::{ProofScheme as _, Trust};

use crate::{
    grown::{SMALL_CHAIN, import},
    http::serving,
    world::{Outcome, Reader, assert_sound, digest, live_until},
};

#[test]
fn a_follower_of_a_node_begins_with_its_segments_and_goes_on_with_each_life_s_tail() {
    let data = tempfile::tempdir().unwrap();
    SMALL_CHAIN.copy_to(&data.path().join("db"));
    let mut reader = Reader::new();
    let mut writers = Vec::new();
    for _ in 0..2 {
        let (node, api) = serving(&data);
        let open = || Store::open(&format!("http://{api}"), Access::Read).unwrap();
        assert_eq!(reader.follow(&open), Outcome::Tail);
        writers.push(reader.position().unwrap().writer);
        let (ours, theirs) = (reader.chain().fork_choice(), node.chain().fork_choice());
        let end = ours.head_summary().slot;
        assert_eq!(ours.head_summary(), theirs.head_summary());
        assert_eq!(ours.latest_finalized(), theirs.latest_finalized());
        assert_eq!(digest(reader.chain(), end), digest(node.chain(), end));
        let began = reader.chain().fork_choice().tree_root().slot;
        assert!(began >= 1_024, "the segments came first: {began}");
        reader.kill();
    }
    assert_ne!(writers[0], writers[1], "a life of the node is a writer of its own");
    reader.start(&|| Store::open("http://127.0.0.1:1", Access::Read).unwrap()).unwrap();
    assert_sound(reader.chain(), "followed over http");
}

/// The tail's objects as they are listed.
fn listed(served: &Served) -> Vec<(WriterId, u64)> {
    let page = served.objects().page("tail/", "").unwrap();
    let names = page.objects.iter().map(|object| object.name.parse().unwrap());
    let named = names.map(|name| match name {
        ObjectName::Tail { writer, sequence } => (writer, sequence),
        other => panic!("{other} below tail/"),
    });
    named.collect()
}

fn get(served: &Served, (writer, sequence): (WriterId, u64)) -> Option<TailFile> {
    match served.objects().get(&ObjectName::Tail { writer, sequence }.to_string()) {
        Ok(bytes) => Some(TailFile::decode("tail", &bytes, SMALL_CHAIN.network()).unwrap()),
        Err(ObjectError::NotThere { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// An object whose proofs were pruned has another digest than the one that its successor names: whoever reads from the
/// beginning would never get past it.
#[test]
fn a_tail_whose_objects_cannot_be_made_again_begins_again_under_another_id() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { signature_window_slots: 4, ..Settings::default() };
    let genesis = Bootstrap::genesis(SMALL_CHAIN.genesis.clone());
    let database = directory.path().join("db");
    let (chain, _) = Chain::open(&database, genesis, Trust.name(), settings).unwrap();
    let importer = Importer::new(Arc::new(chain), Arc::new(Trust));
    let served = Served::from(Arc::clone(importer.chain()));
    let import = |blocks: &[_]| {
        live_until(importer.chain(), blocks);
        import(&importer, blocks);
    };
    import(&SMALL_CHAIN.blocks[..10]);
    let [first] = listed(&served)[..] else { panic!("one object") };
    assert_eq!(first.1, 0);
    let told = get(&served, first).unwrap();
    assert_eq!(told.tail().blocks.len(), 10);
    // The next object is made for whoever asks for it, once there is something to tell.
    let second = (first.0, 1);
    assert!(get(&served, second).is_none());
    import(&SMALL_CHAIN.blocks[10..12]);
    let next = get(&served, second).unwrap();
    next.check_follows(Some(told.link())).unwrap();

    import(&SMALL_CHAIN.blocks[12..100]);
    assert!(get(&served, first).is_none(), "its proofs are pruned");
    assert!(get(&served, second).is_none(), "the chain of objects is broken");
    let [again] = listed(&served)[..] else { panic!("one object") };
    assert!(again.0 != first.0 && again.1 == 0);
    let (mut before, mut told) = (None, HashSet::new());
    for sequence in 0.. {
        let Some(file) = get(&served, (again.0, sequence)) else { break };
        file.check_follows(before).unwrap();
        before = Some(file.link());
        for signed in file.into_tail().blocks {
            assert!(told.insert(hash_tree_root(&signed.block)), "each once");
        }
    }
    // A fork that finality has left behind leads nowhere.
    let view = importer.chain().fork_choice();
    let sealed = view.latest_finalized().slot / 1_024 * 1_024;
    let end = view.head_summary().slot;
    assert!(told.len() > 10, "{} blocks from slot {sealed} to {end}", told.len());
    let canonical = (sealed.max(1)..=end).filter_map(|slot| SMALL_CHAIN.root_at(slot));
    assert!(canonical.into_iter().all(|root| told.contains(&root)), "all that is not sealed");
}
