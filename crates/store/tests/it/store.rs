//! Import, read, prove, close, open, damage.

use std::{ops::ControlFlow, path::Path, thread};

use lamella_store::{
    Answer, BackupError, BlockId, ImportError, OpenError, Options, PostState, ReadError, Reader,
    Start, Store,
};

use crate::client::chain::Client;

fn created(directory: &Path, client: &Client) -> Store {
    let state = client.state();
    Store::create(directory, Start::Genesis { state: &state }, &Options::default()).unwrap()
}

fn grown(directory: &Path, slots: u64) -> (Store, Client) {
    let mut client = Client::genesis(4);
    let store = created(directory, &client);
    for _ in 0..slots {
        store.import(&client.next(0), PostState::Execute).unwrap();
    }
    (store, client)
}

fn is_send_and_sync<T: Send + Sync>(_: &T) {}

#[test]
fn what_a_client_imports_it_reads_back_after_it_opened_the_store_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = Client::genesis(4);
    let store = created(folder.path(), &client);
    let mut imported = vec![(client.root(), Vec::new(), client.state())];
    for number in 0..40 {
        let block = client.next(u64::from(number % 7 == 3));
        let state = client.state();
        // Both ways must come to the same.
        let post = if number % 2 == 0 { PostState::Execute } else { PostState::Given(&state) };
        let done = store.import(&block, post).unwrap();
        assert!(done.is_new);
        assert_eq!((done.root, done.heads.head.root), (client.root(), client.root()));
        imported.push((done.root, block, state));
    }
    let (heads, network) = (store.reader().heads(), store.network());
    assert!(heads.finalized.slot + 4 >= heads.head.slot, "{heads:?}");
    drop(store);

    let store = Store::open(folder.path(), &Options::default()).unwrap();
    assert_eq!((store.reader().heads(), store.network()), (heads, network));
    let reader = store.reader();
    is_send_and_sync(&reader);
    is_send_and_sync(&store);
    // Readers on threads of their own.
    thread::scope(|scope| {
        for part in imported.chunks(11) {
            let reader: Reader = reader.clone();
            scope.spawn(move || {
                for (root, block, state) in part {
                    let found = reader.state(BlockId::Root(*root)).unwrap().found().unwrap();
                    assert_eq!((&found.ssz, found.block.root), (state, *root));
                    let stored = reader.signed_block(BlockId::Root(*root)).unwrap();
                    assert!(block.is_empty() || stored.found().unwrap().ssz == *block);
                }
            });
        }
    });
    let checked = store.verify(&mut |_, _, _| ControlFlow::Continue(())).unwrap();
    assert_eq!((checked.finding_count, checked.is_stopped), (0, false), "{:?}", checked.findings);
    assert!(checked.checks > 200, "{}", checked.checks);
}

#[test]
fn what_is_not_there_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = Client::genesis(4);
    let store = created(folder.path(), &client);
    for skipped in [0, 2, 0] {
        store.import(&client.next(skipped), PostState::Execute).unwrap();
    }
    let reader = store.reader();
    assert_eq!(reader.block(BlockId::Root([9; 32])).unwrap(), Answer::Unknown);
    assert_eq!(reader.state(BlockId::Slot(3)).unwrap(), Answer::Skipped { before: 1, after: 4 });
    assert_eq!(reader.block(BlockId::Slot(6)).unwrap(), Answer::BeyondHead { head_slot: 5 });
    let head = client.root();
    assert_eq!(reader.proof(head, 6).unwrap(), Answer::BeyondHead { head_slot: 5 });
    let empty = reader.proof(head, 2).unwrap().found().unwrap();
    assert_eq!((empty.root, empty.header, empty.branch.len()), ([0; 32], None, 23));
}

#[test]
fn proofs_of_a_small_window_are_pruned_and_said_to_be() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = Client::genesis(4);
    let mut options = Options::default();
    options.signature_window_slots = 8;
    let state = client.state();
    let store = Store::create(folder.path(), Start::Genesis { state: &state }, &options).unwrap();
    for _ in 0..30 {
        store.import(&client.next(0), PostState::Execute).unwrap();
    }
    let reader = store.reader();
    let Answer::Pruned { kept_from } = reader.signed_block(BlockId::Slot(3)).unwrap() else {
        panic!("slot 3's proof is there")
    };
    assert!((10..=30).contains(&kept_from), "{kept_from}");
    assert!(reader.block(BlockId::Slot(3)).unwrap().found().is_some());
    assert!(reader.signed_block(BlockId::Slot(kept_from)).unwrap().found().is_some());
}

#[test]
fn a_block_that_is_wrong_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (store, client) = grown(folder.path(), 3);
    let heads = store.reader().heads();
    let mut ahead = client.clone();
    let missing = ahead.next(0);
    let orphan = ahead.next(0);
    let refused = store.import(&orphan, PostState::Execute).unwrap_err();
    assert!(
        matches!(refused, ImportError::Rejected { reason: "UNKNOWN_PARENT_BLOCK" }),
        "{refused}"
    );
    let old_state = client.state();
    let refused = store.import(&missing, PostState::Given(&old_state)).unwrap_err();
    assert!(matches!(refused, ImportError::WrongState(_)), "{refused}");
    for cut in 0..missing.len() {
        let refused = store.import(&missing[..cut], PostState::Execute);
        // A shorter proof is another proof, which is the client's to check: its block is the same.
        if let Ok(imported) = refused {
            assert!(cut + 320 >= missing.len(), "{cut}: {imported:?}");
            break;
        }
        assert_eq!(store.reader().heads(), heads, "cut to {cut} bytes");
    }
    let again = store.import(&missing, PostState::Execute).unwrap();
    assert!(!again.is_new);
}

#[test]
fn a_store_begins_at_a_checkpoint_and_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let mut client = Client::genesis(4);
    let block = (0..9).map(|_| client.next(0)).last().unwrap();
    let state = client.state();
    let start = Start::Checkpoint { block: &block, state: &state };
    let store = Store::create(folder.path(), start, &Options::default()).unwrap();
    store.import(&client.next(0), PostState::Execute).unwrap();
    let reader = store.reader();
    assert_eq!(reader.state(BlockId::Slot(9)).unwrap().found().unwrap().ssz, state);
    assert_eq!(reader.block(BlockId::Slot(8)).unwrap(), Answer::BeforeOldest { oldest: 9 });
    // The chain before it is proven all the same.
    assert_eq!(reader.proof(client.root(), 3).unwrap().found().unwrap().branch.len(), 23);

    let other = tempfile::tempdir().unwrap();
    let genesis = Client::genesis(4).state();
    let start = Start::Checkpoint { block: &block, state: &genesis };
    let refused = Store::create(other.path(), start, &Options::default()).err().unwrap();
    assert!(matches!(refused, OpenError::Unusable(_)), "{refused}");
}

#[test]
fn a_directory_is_made_once_and_held_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options::default();
    assert!(matches!(Store::open(folder.path(), &options), Err(OpenError::Missing)));
    let (store, client) = grown(folder.path(), 2);
    let state = client.state();
    let second = Store::open(folder.path(), &options).err().unwrap();
    assert!(matches!(second, OpenError::InUse(_)), "{second}");
    drop(store);
    let created = Store::create(folder.path(), Start::Genesis { state: &state }, &options);
    assert!(matches!(created.err().unwrap(), OpenError::Exists));
    let malformed = Store::create(folder.path(), Start::Genesis { state: &state[1..] }, &options);
    assert!(matches!(malformed.err().unwrap(), OpenError::Malformed { .. }));
    Store::open(folder.path(), &options).unwrap();
}

#[test]
fn a_backup_is_a_store_of_its_own_made_while_imports_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let (store, mut client) = grown(&folder.path().join("data"), 30);
    let to = folder.path().join("backup");
    let stopped = store.backup(&to, &mut |_, _, _| ControlFlow::Break(()));
    assert!(matches!(stopped, Err(BackupError::Stopped)));
    assert!(matches!(Store::open(&to, &Options::default()), Err(OpenError::Unusable(_))));
    let mut imported = 0;
    let done = store.backup(&to, &mut |_, _, _| {
        if imported < 5 {
            store.import(&client.next(0), PostState::Execute).unwrap();
            imported += 1;
        }
        ControlFlow::Continue(())
    });
    let done = done.unwrap();
    // Genesis and those that came before its one snapshot.
    assert!((31..=36).contains(&done.blocks) && done.head.slot + 1 == done.blocks, "{done:?}");
    assert!(matches!(
        store.backup(&to, &mut |_, _, _| ControlFlow::Continue(())),
        Err(BackupError::InTheWay(_))
    ));
    let backup = Store::open(&to, &Options::default()).unwrap();
    assert_eq!(backup.reader().heads().head, done.head);
    for slot in 0..=done.head.slot {
        let state = |of: &Store| of.reader().state(BlockId::Slot(slot)).unwrap();
        assert_eq!(state(&backup), state(&store), "{slot}");
    }
}

/// Damages stored rows, as a disk does: with nothing of it open.
fn damage(directory: &Path, tables: &[&str], key: &[u8]) {
    let path = directory.join("db");
    let options = lamella_tables::Options::new(lamella_tables::OpenMode::Existing);
    let database = lamella_tables::Database::open(&path, options).unwrap();
    let mut txn = database.write_raw().unwrap();
    for table in tables {
        txn.put_raw(table, key, &[7; 30]).unwrap();
    }
    txn.commit().unwrap();
}

#[test]
fn damage_is_an_error_that_names_the_row_and_neither_absent_nor_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (store, _) = grown(folder.path(), 5);
    let block = store.reader().block(BlockId::Slot(2)).unwrap().found().unwrap().block;
    let key = [&2_u64.to_be_bytes()[..], &block.root].concat();
    drop(store);
    damage(folder.path(), &["Bodies", "Signatures"], &key);
    for _ in 0..2 {
        let store = Store::open(folder.path(), &Options::default()).unwrap();
        let reader = store.reader();
        for id in [BlockId::Slot(2), BlockId::Root(block.root)] {
            let Err(ReadError::Damaged(said)) = reader.block(id) else { panic!("it was read") };
            assert!(said.contains("Bodies") && said.contains("slot 2"), "{said}");
            assert!(matches!(reader.signed_block(id), Err(ReadError::Damaged(_))));
            // What rests on other rows is whole.
            assert!(reader.state(id).unwrap().found().is_some());
        }
        assert!(reader.block(BlockId::Slot(3)).unwrap().found().is_some());
        let checked = store.verify(&mut |_, _, _| ControlFlow::Continue(())).unwrap();
        assert!(checked.finding_count >= 2, "{:?}", checked.findings);
    }
    // A state that fork choice needs: the store does not open, and says of which row it is.
    damage(folder.path(), &["Diffs"], &key);
    let refused = Store::open(folder.path(), &Options::default()).err().unwrap();
    let OpenError::Unusable(said) = refused else { panic!("{refused}") };
    assert!(said.contains("slot 2"), "{said}");
}
