//! Up and down between the schemas: the way back gives the same rows, whatever kills it on the way, and what an older
//! schema cannot say is named.

use std::ops::ControlFlow;

use lamella_block_store::Extent;
use lamella_chain::{
    Chain, ChainOpenError, Progress, SCHEMA_VERSION, Settings,
    migrate::{MigrateError, Migrated, Migration},
    schema2,
};
use lamella_tables::{
    Bytes, Database, DatabaseView, Headers, Meta, MetaName, OpenMode, Options, Read as _, SlotRoot,
    TABLES, Table as _, TableInfo, Votes, WriteTxn, trees,
};

use crate::{
    golden_directory::{GOLDEN, Golden, SLOT_MS},
    migrate::{Data, Rows, all_rows_of, assert_clean, schema2_trees},
};

/// Every two schemas: a golden directory of one, and the other.
fn ways() -> impl Iterator<Item = (&'static Golden, u32)> {
    let targets = 1..=SCHEMA_VERSION;
    GOLDEN.iter().flat_map(move |golden| {
        targets.clone().filter(|to| *to != golden.schema).map(move |to| (golden, to))
    })
}

/// Every row of the trees that a schema has; and it has no others.
fn rows(data: &Data, schema: u32) -> Rows {
    let (ours, others): (Vec<_>, Vec<_>) = if schema == SCHEMA_VERSION {
        (trees().collect(), schema2_trees())
    } else {
        (schema2_trees(), trees().collect())
    };
    let database = DatabaseView::open(&data.db()).unwrap();
    let txn = database.read().unwrap();
    for tree in others.iter().filter(|tree| !ours.contains(tree)) {
        assert!(txn.tree_rows(tree).unwrap().is_none(), "schema {schema} has no tree {tree}");
    }
    drop(txn);
    drop(database);
    all_rows_of(&data.db(), &ours)
}

/// Without the row that says where the others came from.
fn rows_but_migration(data: &Data, schema: u32) -> Rows {
    let mut rows = rows(data, schema);
    rows.remove(&(Meta::NAME.to_owned(), b"migration".to_vec()));
    rows
}

#[test]
fn the_way_back_gives_the_same_rows() {
    for (golden, to) in ways() {
        let data = Data::of(golden);
        let before = rows_but_migration(&data, golden.schema);
        assert!(before.len() > 100, "{}", before.len());
        let done = data.migrate_to(to, 5, u64::MAX).unwrap();
        assert_eq!((done.from, done.to), (golden.schema, to));
        assert_eq!((done.votes_dropped, done.keys_silenced), (0, 0));
        assert_eq!(done.slot_ms_unsaid, (golden.schema == SCHEMA_VERSION).then_some(SLOT_MS));
        assert_eq!(done.old, data.beside(&format!(".schema-{}", golden.schema)));
        assert!(!data.beside(".migrating").exists());
        if to == SCHEMA_VERSION {
            assert_clean(&data.db());
        }
        assert_ne!(rows_but_migration(&data, to), before);
        data.migrate_to(golden.schema, 5, u64::MAX).unwrap();
        let after = rows_but_migration(&data, golden.schema);
        assert_eq!(after, before, "{} to {to} and back", golden.schema);
    }
}

#[test]
fn two_steps_give_what_one_gives() {
    for [first, last] in [[0, 2], [2, 0]] {
        let (direct, stepped) = (Data::of(&GOLDEN[first]), Data::of(&GOLDEN[first]));
        let to = GOLDEN[last].schema;
        direct.migrate_to(to, 5, u64::MAX).unwrap();
        stepped.migrate_to(2, 5, u64::MAX).unwrap();
        stepped.migrate_to(to, 5, u64::MAX).unwrap();
        assert_eq!(rows_but_migration(&stepped, to), rows_but_migration(&direct, to));
    }
}

#[test]
fn killed_at_any_commit_of_any_way_it_ends_with_the_same_rows() {
    for (golden, to) in ways() {
        let migration = Migration { commit_rows_max: 11, ..Migration::to(to, SLOT_MS) };
        let undisturbed = Data::of(golden);
        let mut stages = Vec::new();
        let mut note = |progress: Progress| {
            stages.push(progress.stage);
            ControlFlow::Continue(())
        };
        migration.run(&undisturbed.db(), &mut note).unwrap();
        let expected = rows(&undisturbed, to);
        // Rows are committed table by table; what is told later comes behind the same commit, many times.
        let is_commit = |stage: &str| {
            let is_table = |table: &TableInfo| table.name == stage;
            TABLES.iter().any(is_table) || stage == schema2::LiveChain::NAME
        };
        let is_new = |at: usize| at == 0 || stages[at - 1] != stages[at] || is_commit(stages[at]);
        let kills: Vec<_> = (0..stages.len()).filter(|at| is_new(*at)).collect();
        assert!(kills.len() > 12, "{stages:?}");
        for calls in kills {
            let data = Data::of(golden);
            let before = rows(&data, golden.schema);
            let stopped = data.migrate_to(to, 11, calls as u64);
            assert!(matches!(stopped, Err(MigrateError::Stopped)), "{stopped:?}");
            assert_eq!(rows(&data, golden.schema), before, "it is only read");
            // A directory of today's schema could be opened, and must not be.
            if golden.schema == SCHEMA_VERSION {
                let Ok(lamella_chain::Found::Chain(identity)) = Chain::find(&data.db()) else {
                    panic!("no chain")
                };
                let refused = Chain::resume(&data.db(), &identity, Settings::default()).err();
                let text = refused.unwrap().to_string();
                assert!(text.contains("it goes on, or delete"), "{text}");
            } else {
                let refused = Chain::find(&data.db());
                assert!(matches!(refused, Err(ChainOpenError::Migrating { is_kept: true, .. })));
            }
            // Without a target it goes on to that which it was begun with.
            let migration = Migration { commit_rows_max: 11, ..Migration::new(SLOT_MS) };
            let ended = migration.run(&data.db(), &mut |_| ControlFlow::Continue(())).unwrap();
            let Migrated::Done(done) = ended else { panic!("{ended:?}") };
            assert_eq!(done.to, to);
            assert!(done.diverged.is_none() && !done.began_again);
            assert_eq!(rows(&data, to), expected, "{} to {to}, call {calls}", golden.schema);
        }
    }
}

/// Changes the golden directory of today's schema.
fn changed(change: impl FnOnce(&mut WriteTxn<'_>)) -> Data {
    let data = Data::of(&GOLDEN[2]);
    let database = Database::open(&data.db(), Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    change(&mut txn);
    txn.commit().unwrap();
    data
}

#[test]
fn a_row_that_the_older_schema_cannot_say_is_named_and_nothing_is_begun() {
    let refused = |data: &Data, table: &str, key: &str| {
        for to in [1, 2] {
            let before = rows(data, SCHEMA_VERSION);
            let error = data.migrate_to(to, 5, u64::MAX).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, MigrateError::Unsayable { .. }), "{text}");
            let begins = format!("schema {to} cannot say the row of table {table}, key {key}");
            assert!(text.starts_with(&begins), "{text}");
            assert_eq!(rows(data, SCHEMA_VERSION), before);
            assert!(!data.beside(".migrating").exists(), "a node may go on");
            let looked = Migration::to(to, SLOT_MS)
                .look(&data.db(), &mut |_| ControlFlow::Continue(()))
                .unwrap_err();
            assert_eq!(looked.to_string(), text);
        }
    };
    let put = |txn: &mut WriteTxn<'_>, name: &'static str, bytes: Vec<u8>| {
        txn.put::<Meta>(&MetaName::new(name), &Bytes(bytes)).unwrap();
    };
    for name in ["unchecked_proofs", "backup", "archived", "of_a_later_version"] {
        refused(&changed(|txn| put(txn, name, vec![1; 80])), "Meta", name);
    }
    for name in ["identity", "fork_choice", "extent"] {
        let longer = changed(|txn| {
            let Bytes(bytes) = txn.get::<Meta>(&MetaName::new(name)).unwrap().unwrap();
            put(txn, name, [&bytes[..], &[7]].concat());
        });
        refused(&longer, "Meta", name);
    }
    // It began at a checkpoint, and its history was fetched later.
    let filled = changed(|txn| {
        let (_, header) =
            txn.scan::<Headers>(SlotRoot::first_of(9)).unwrap().next().unwrap().unwrap();
        let first = txn.scan::<Headers>(SlotRoot::first_of(0)).unwrap().next().unwrap().unwrap();
        let mut extent = Extent::begin(first.0, first.1.parent_root);
        extent.bootstrap = SlotRoot::new(header.slot, header.root());
        extent.put(txn).unwrap();
    });
    refused(&filled, "Meta", "extent");
    let mut vote = None;
    let votes = changed(|txn| {
        let (key, Bytes(bytes)) = txn.last::<Votes>().unwrap().unwrap().unwrap();
        txn.put::<Votes>(&key, &Bytes([&bytes[..], &[7]].concat())).unwrap();
        vote = Some(key.to_string());
    });
    refused(&votes, "Votes", &vote.unwrap());
}

#[test]
fn a_schema_that_there_is_no_way_to_or_that_another_migration_is_on_its_way_to_is_refused() {
    let data = Data::of(&GOLDEN[2]);
    for to in [0, SCHEMA_VERSION + 1] {
        let refused = data.migrate_to(to, 5, u64::MAX).unwrap_err();
        assert!(matches!(refused, MigrateError::To { .. }), "{refused}");
    }
    assert!(matches!(data.migrate_to(1, 5, 7), Err(MigrateError::Stopped)));
    for to in [2, 3] {
        let refused = data.migrate_to(to, 5, u64::MAX).unwrap_err();
        assert!(matches!(refused, MigrateError::OtherTarget { begun: 1, .. }), "{refused}");
    }
    std::fs::remove_dir_all(data.beside(".migrating")).unwrap();
    let same = Migration::new(SLOT_MS).run(&data.db(), &mut |_| ControlFlow::Continue(()));
    assert_eq!(same.unwrap(), Migrated::Nothing { schema: SCHEMA_VERSION });
}

/// Killed between the renamings, of a way down: what is left under the name of the database is nothing.
#[test]
fn a_way_down_killed_between_the_renamings_is_finished_by_the_same_command() {
    let data = Data::of(&GOLDEN[2]);
    data.migrate_to(1, 5, u64::MAX).unwrap();
    let expected = rows(&data, 1);
    std::fs::rename(data.db(), data.beside(".migrating")).unwrap();
    let refused = Chain::find(&data.db());
    assert!(matches!(refused, Err(ChainOpenError::Migrating { is_kept: false, .. })));
    let migration = Migration::new(SLOT_MS);
    let ended = migration.run(&data.db(), &mut |_| ControlFlow::Continue(())).unwrap();
    assert!(matches!(ended, Migrated::Done(done) if done.rows == 0 && done.to == 1));
    assert_eq!(rows(&data, 1), expected);
}

#[test]
fn a_look_reads_every_row_and_writes_none() {
    for (golden, to) in ways() {
        let data = Data::of(golden);
        let look = Migration::to(to, SLOT_MS)
            .look(&data.db(), &mut |_| ControlFlow::Continue(()))
            .unwrap()
            .unwrap();
        assert_eq!((look.from, look.to, look.replaced), (golden.schema, to, 0));
        assert!(!look.is_under_way && !data.beside(".migrating").exists());
        data.migrate_to(to, 5, u64::MAX).unwrap();
        let migrated = rows(&data, to);
        for (table, count) in look.rows {
            let part = trees().all(|tree| tree != table) && table != schema2::LiveChain::NAME;
            if to == SCHEMA_VERSION && part {
                let database = DatabaseView::open(&data.db()).unwrap();
                let txn = database.read().unwrap();
                let rows = txn.raw_rows(table).unwrap().unwrap().count();
                assert_eq!(rows as u64, count, "{table}");
            } else {
                let rows = migrated.keys().filter(|(tree, _)| tree == table).count();
                assert_eq!(rows as u64, count, "{table}");
            }
        }
        let nothing = Migration::to(to, SLOT_MS);
        assert_eq!(nothing.look(&data.db(), &mut |_| ControlFlow::Continue(())).unwrap(), None);
    }
}

/// Symptom: a damaged vote or guard was left out on the way down, as on the way up, and then the last check found it in the
/// old database: the migration never ended. Mechanism: what an older schema's database is forgiven, today's is checked for.
/// Fix: there every damaged row is named, before anything is begun if nothing but those two is damaged.
#[test]
fn on_the_way_down_every_damaged_row_is_named() {
    for (table, is_begun) in [
        ("Headers", true),
        ("Bodies", true),
        ("Diffs", true),
        ("Signatures", true),
        ("Slots", true),
        ("Canonical", true),
        ("Votes", false),
        ("SignGuard", false),
    ] {
        let row = {
            let data = Data::of(&GOLDEN[2]);
            let database = DatabaseView::open(&data.db()).unwrap();
            let txn = database.read().unwrap();
            txn.raw_rows(table).unwrap().unwrap().nth(1).unwrap().unwrap()
        };
        let mut stored = row.stored;
        stored[5] ^= 1;
        let data = changed(|txn| txn.put_raw(table, &row.key, &stored).unwrap());
        let before = rows(&data, SCHEMA_VERSION);
        let refused = data.migrate_to(2, 5, u64::MAX).unwrap_err();
        let MigrateError::Damaged(damage) = &refused else { panic!("{refused}") };
        assert_eq!((damage.table, &damage.key), (table, &row.key));
        assert_eq!(rows(&data, SCHEMA_VERSION), before);
        assert_eq!(data.beside(".migrating").exists(), is_begun, "{table}");
        assert!(!data.beside(".schema-3").exists());
    }
}
