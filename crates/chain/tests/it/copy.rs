//! Compacting and backing up: nothing is lost, whatever kills it on the way, and nothing damaged is carried.

use std::{fs, ops::ControlFlow, path::PathBuf, sync::LazyLock, time::Duration};

use lamella_chain::{
    BACKUP_SILENT_SLOTS, BackupMark, Chain, ChainOpenError, Found, GuardError, ReadOnlyChain,
    Settings,
    copy::{BackedUp, Compacted, CopyError, CopyJob},
    migrate::Migration,
};
use lamella_tables::{
    Bytes, Database, DutyKey, Headers, KeyKind, Meta, MetaName, OpenError, OpenMode, Options,
    Read as _, SignGuard, Signatures, SlotRoot, Slots, WriteTxn,
};
use lamella_types::Root;

use crate::{
    golden_directory::SLOT_MS,
    migrate::{Data, Rows, all_rows, assert_clean},
};

/// When the backups of these tests are taken: slot 50 or so of their chain.
const TAKEN_UNIX_S: u64 = crate::golden_directory::GOLDEN[1].genesis_time + 50 * SLOT_MS / 1000;

/// A directory of 38 blocks on two branches, with votes, proofs and a guard.
fn directory() -> Data {
    static MADE: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let data = Data::golden();
        Migration::new(SLOT_MS).run(&data.db(), &mut |_| ControlFlow::Continue(())).unwrap();
        fs::read(data.db().join("mdbx.dat")).unwrap()
    });
    let data = Data::golden();
    fs::write(data.db().join("mdbx.dat"), &*MADE).unwrap();
    data
}

/// Says when to stop: at the call after these.
fn until(calls: u64) -> impl FnMut(lamella_chain::Progress) -> ControlFlow<()> {
    let mut called = 0;
    move |_| {
        called += 1;
        if called > calls { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

const ROWS: CopyJob = CopyJob {
    commit_rows_max: 24,
    commit_bytes_max: usize::MAX,
    resume: true,
    snapshot_time_max: Duration::MAX,
};

fn compact(data: &Data, calls: u64) -> Result<Compacted, CopyError> {
    ROWS.compact(&data.db(), &mut until(calls))
}

fn backup(data: &Data, calls: u64) -> Result<BackedUp, CopyError> {
    ROWS.backup(&data.db(), &to(data), TAKEN_UNIX_S, &mut until(calls))
}

fn to(data: &Data) -> PathBuf {
    data.beside("-backup").join("db")
}

fn beside_backup(data: &Data) -> PathBuf {
    to(data).with_file_name("db.backing-up")
}

fn change(data: &Data, change: impl FnOnce(&mut WriteTxn<'_>)) {
    let database = Database::open(&data.db(), Options::new(OpenMode::Existing)).unwrap();
    let mut txn = database.write().unwrap();
    change(&mut txn);
    txn.commit().unwrap();
}

/// Nothing that it carried is lost, and the next run has less to do in its snapshot.
#[test]
fn a_backup_gives_up_a_snapshot_that_it_held_for_too_long_and_goes_on() {
    let data = directory();
    let hasty = CopyJob { snapshot_time_max: Duration::ZERO, ..ROWS };
    let given_up = hasty.backup(&data.db(), &to(&data), TAKEN_UNIX_S, &mut until(u64::MAX));
    let Err(CopyError::Engine(error)) = given_up else { panic!("{given_up:?}") };
    assert!(error.is_given_up() && !to(&data).exists() && beside_backup(&data).exists());
    let done = backup(&data, u64::MAX).unwrap();
    assert!(done.kept > 10 * done.rows, "{done:?}");
}

/// The rows that a backup of these is to have.
fn marked(mut rows: Rows) -> Rows {
    let mark = [&[1][..], &TAKEN_UNIX_S.to_be_bytes(), &[0; 8]].concat();
    let sealed = {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path(), Options::new(OpenMode::Create)).unwrap();
        let mut txn = database.write().unwrap();
        txn.put::<Meta>(&MetaName::new("backup"), &Bytes(mark)).unwrap();
        txn.commit().unwrap();
        drop(database);
        all_rows(folder.path())
    };
    rows.extend(sealed);
    rows
}

#[test]
fn a_compaction_keeps_every_row_and_gives_back_what_was_free() {
    let data = directory();
    let before = all_rows(&data.db());
    // Given free pages: 200 proofs that were written and pruned.
    let key = |slot| SlotRoot::new(slot, Root::ZERO);
    change(&data, |txn| {
        for slot in 0..200 {
            txn.put::<Signatures>(&key(slot), &Bytes(vec![7; 40_000])).unwrap();
        }
    });
    change(&data, |txn| {
        for slot in 0..200 {
            assert!(txn.delete::<Signatures>(&key(slot)).unwrap());
        }
    });
    assert_eq!(all_rows(&data.db()), before);
    let done = compact(&data, u64::MAX).unwrap();
    assert!(done.before.file_bytes >= done.after.file_bytes + (4 << 20), "{done:?}");
    let count = |sizes: &lamella_chain::copy::Sizes| {
        sizes.trees.iter().map(|tree| (tree.name, tree.rows)).collect::<Vec<_>>()
    };
    assert_eq!(count(&done.before), count(&done.after));
    assert!(all_rows(&data.db()) == before, "row by row what it was");
    assert_clean(&data.db());
    assert!(!data.beside(".compacting").exists() && !data.beside(".before-compact").exists());
    let Found::Chain(identity) = Chain::find(&data.db()).unwrap() else { panic!("no chain") };
    let settings = Settings { slot_ms: SLOT_MS, ..Settings::default() };
    let (chain, opened) = Chain::resume(&data.db(), &identity, settings).unwrap();
    assert_eq!(opened.recovered, lamella_chain::Recovered::default());
    assert!(matches!(compact(&data, u64::MAX), Err(CopyError::Chain(_))), "a node holds it");
    drop(chain);
}

#[test]
fn killed_after_any_commit_a_compaction_and_a_backup_go_on_and_end_with_the_same_rows() {
    let (compacted, backed_up) = (directory(), directory());
    let expected = all_rows(&compacted.db());
    // Killed again and again, each time one call later.
    let mut kills = 0;
    while let Err(error) = compact(&compacted, kills) {
        assert!(matches!(error, CopyError::Stopped), "{error}");
        assert!(all_rows(&compacted.db()) == expected, "the old one serves");
        kills += 1;
    }
    assert!(kills > 20, "{kills}");
    assert!(all_rows(&compacted.db()) == expected);
    assert_clean(&compacted.db());
    let with_mark = marked(expected.clone());
    for kills in 0.. {
        match backup(&backed_up, kills) {
            Err(CopyError::Stopped) => {
                let refused = ReadOnlyChain::open(&to(&backed_up)).err().unwrap();
                assert!(matches!(refused, ChainOpenError::BackingUp { .. }), "{refused}");
            }
            ended => {
                assert_eq!(ended.unwrap().rows, 0, "all was there");
                assert!(kills > 20, "{kills}");
                break;
            }
        }
    }
    assert!(all_rows(&to(&backed_up)) == with_mark);
    // Killed before the renaming.
    fs::rename(to(&backed_up), beside_backup(&backed_up)).unwrap();
    assert_eq!(backup(&backed_up, u64::MAX).unwrap().rows, 0);
    assert!(all_rows(&to(&backed_up)) == with_mark);
    // One kill, at each call in turn.
    for calls in 0.. {
        let data = directory();
        let (stopped, stopped_too) =
            (backup(&data, calls).is_err(), compact(&data, calls).is_err());
        if !stopped && !stopped_too {
            assert!(calls > 40, "{calls}");
            break;
        }
        if stopped {
            backup(&data, u64::MAX).unwrap();
        }
        compact(&data, u64::MAX).unwrap();
        assert!(all_rows(&data.db()) == expected && all_rows(&to(&data)) == with_mark, "{calls}");
        assert_clean(&to(&data));
    }
}

/// What was carried is compared with what there is now: a key that signed, a row that went, one that is another.
#[test]
fn what_changed_since_a_job_was_killed_is_carried_and_what_went_goes() {
    for calls in [5, 30, u64::MAX] {
        let data = directory();
        let stopped = backup(&data, calls).is_err();
        let compaction = compact(&data, calls.min(30));
        assert!(matches!(compaction, Err(CopyError::Stopped)));
        let key = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
        change(&data, |txn| {
            txn.put::<SignGuard>(&key, &77).unwrap();
            txn.put::<Meta>(&MetaName::new("blocks2"), &Bytes(vec![7])).unwrap();
            let newest = txn.last::<lamella_tables::Votes>().unwrap().unwrap().unwrap().0;
            assert!(txn.delete::<lamella_tables::Votes>(&newest).unwrap());
        });
        let expected = all_rows(&data.db());
        if stopped {
            backup(&data, u64::MAX).unwrap();
            assert!(all_rows(&to(&data)) == marked(expected.clone()), "{calls}");
        }
        compact(&data, u64::MAX).unwrap();
        assert!(all_rows(&data.db()) == expected, "{calls}");
    }
}

/// A finished copy whose renaming never came is looked at again: the old one may have signed since.
#[test]
fn killed_before_or_between_the_renamings_a_compaction_is_ended_by_the_same_command() {
    for between in [false, true] {
        let data = directory();
        let outdated = directory();
        compact(&outdated, u64::MAX).unwrap();
        let key = DutyKey { validator_index: 0, kind: KeyKind::Attestation };
        if !between {
            change(&data, |txn| txn.put::<SignGuard>(&key, &77).unwrap());
        }
        let expected = all_rows(&data.db());
        fs::rename(outdated.db(), data.beside(".compacting")).unwrap();
        if between {
            fs::rename(data.db(), data.beside(".before-compact")).unwrap();
            let refused = Chain::find(&data.db()).err().unwrap();
            let text = format!("lamella db compact --data-dir {}", data.folder().display());
            assert!(refused.to_string().contains(&text), "{refused}");
            let bootstrap = lamella_chain::Bootstrap::genesis(crate::genesis(7, 4, 1));
            let created = Chain::create(&data.db(), bootstrap, "raw", Settings::default());
            assert!(matches!(created, Err(ChainOpenError::Compacting { .. })), "no new chain");
        }
        compact(&data, u64::MAX).unwrap();
        assert!(all_rows(&data.db()) == expected, "{between}");
        assert!(!data.beside(".compacting").exists() && !data.beside(".before-compact").exists());
    }
}

/// Symptom: a compaction that was killed before it had deleted the old database failed ever after, with an error of the engine's.
/// Mechanism: to see that the new one is a chain it opened it a second time, which the engine allows no process. Fix: it
/// looks through the view that it has.
#[test]
fn killed_before_the_old_database_was_deleted_a_compaction_deletes_it() {
    let (data, outdated) = (directory(), directory());
    let expected = all_rows(&data.db());
    fs::rename(outdated.db(), data.beside(".before-compact")).unwrap();
    compact(&data, u64::MAX).unwrap();
    assert!(all_rows(&data.db()) == expected);
    assert!(!data.beside(".before-compact").exists());
}

#[test]
fn damage_in_the_source_is_named_and_ends_it() {
    let data = directory();
    let before = all_rows(&data.db());
    let ((_, key), stored) = before.iter().find(|((tree, _), _)| tree == "Signatures").unwrap();
    let mut flipped = stored.clone();
    flipped[3] ^= 1;
    change(&data, |txn| txn.put_raw("Signatures", key, &flipped).unwrap());
    let damaged = all_rows(&data.db());
    for error in [compact(&data, u64::MAX).unwrap_err(), backup(&data, u64::MAX).unwrap_err()] {
        assert!(matches!(&error, CopyError::Damaged(damage) if damage.key == *key), "{error}");
        assert!(error.to_string().contains("table Signatures, key slot"), "{error}");
    }
    assert!(all_rows(&data.db()) == damaged, "left as it was");
    assert!(!to(&data).exists());
    // A row that is gone is a finding of the copy, by its invariant.
    change(&data, |txn| {
        txn.put_raw("Signatures", key, stored).unwrap();
        let (slot_root, _) =
            txn.scan::<Headers>(SlotRoot::first_of(9)).unwrap().next().unwrap().unwrap();
        assert!(txn.delete::<Slots>(&slot_root.root).unwrap());
    });
    for error in [compact(&data, u64::MAX).unwrap_err(), backup(&data, u64::MAX).unwrap_err()] {
        assert!(matches!(error, CopyError::Findings { .. }), "{error}");
    }
}

/// Makes the second row of each page that begins with `first` lie where the first does: a rotten offset. How many pages.
fn hide_second_row(data: &Data, first: &[u8]) -> usize {
    const PAGE_BYTES: usize = 4096;
    /// Flags u16 from 10, bytes of the offsets u16 from 12; the offsets follow it, and are counted from there.
    const HEADER_BYTES: usize = 20;
    const LEAF: u8 = 2;
    /// Of a row, before its key: bytes of the value u32, flags u16, bytes of the key u16.
    const ROW_HEADER_BYTES: usize = 8;
    let path = data.db().join("mdbx.dat");
    let mut file = fs::read(&path).unwrap();
    let mut pages = 0;
    for page in file.chunks_exact_mut(PAGE_BYTES) {
        let number = |at: usize| usize::from(u16::from_le_bytes([page[at], page[at + 1]]));
        let key_at = HEADER_BYTES + number(HEADER_BYTES) + ROW_HEADER_BYTES;
        let has_two = page[10] == LEAF && number(12) >= 4;
        if has_two && page.get(key_at..).is_some_and(|row| row.starts_with(first)) {
            page.copy_within(HEADER_BYTES..HEADER_BYTES + 2, HEADER_BYTES + 2);
            pages += 1;
        }
    }
    fs::write(&path, file).unwrap();
    pages
}

/// Symptom: `lamella db backup` ended well, and the copy lacked a row of the guard that a rotten offset hid.
/// Mechanism: nothing but the row says that it is there, and a walk over the rows does not come to it.
/// Fix: a copy has as many rows as each tree's own record counts.
#[test]
fn a_row_that_a_rotten_offset_hides_is_missed() {
    let rows = all_rows(&directory().db());
    for hidden in ["SignGuard", "Meta"] {
        let data = directory();
        let ((_, first), _) = rows.iter().find(|((tree, _), _)| tree == hidden).unwrap();
        assert!(hide_second_row(&data, first) > 0);
        let error = backup(&data, u64::MAX).unwrap_err();
        assert!(matches!(error, CopyError::Hidden { tree, .. } if tree == hidden), "{error}");
        assert!(!to(&data).exists());
    }
}

#[test]
fn nothing_is_overwritten_and_no_chain_is_mixed_with_another() {
    let data = directory();
    backup(&data, u64::MAX).unwrap();
    assert!(matches!(backup(&data, u64::MAX), Err(CopyError::InTheWay { .. })));
    fs::remove_dir_all(to(&data)).unwrap();
    // Another chain's backup was begun there.
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("db");
    drop(crate::open(&other, crate::genesis(7, 4, 1), "raw").unwrap());
    let stopped = ROWS.backup(&other, &to(&data), TAKEN_UNIX_S, &mut until(3));
    assert!(matches!(stopped, Err(CopyError::Stopped)));
    let refused = backup(&data, u64::MAX).unwrap_err();
    assert!(refused.to_string().contains("--no-resume"), "{refused}");
    let afresh = CopyJob { resume: false, ..ROWS };
    let held = Database::open(&beside_backup(&data), Options::new(OpenMode::Existing)).unwrap();
    let refused = afresh.backup(&data.db(), &to(&data), TAKEN_UNIX_S, &mut until(u64::MAX));
    assert!(matches!(refused, Err(CopyError::Open(OpenError::InUse { .. }))), "another is at it");
    drop(held);
    afresh.backup(&data.db(), &to(&data), TAKEN_UNIX_S, &mut until(u64::MAX)).unwrap();
    assert!(all_rows(&to(&data)) == marked(all_rows(&data.db())));
}

/// G1: what the original signed after the backup is not in it.
#[test]
fn a_restored_backup_signs_nothing_before_its_silence_is_durable_and_over() {
    let data = directory();
    backup(&data, u64::MAX).unwrap();
    let Found::Chain(identity) = Chain::find(&to(&data)).unwrap() else { panic!("no chain") };
    let settings = Settings { slot_ms: SLOT_MS, ..Settings::default() };
    let open = || Chain::resume(&to(&data), &identity, settings).unwrap().0;
    let key = DutyKey { validator_index: 1, kind: KeyKind::Proposal };
    let chain = open();
    assert!(matches!(chain.reserve_slot(10_000, &[key]), Err(GuardError::Backup)));
    // A clock that is behind the backup's own time.
    let mark = chain.silence_backup(3).unwrap().unwrap();
    let end = 50 + BACKUP_SILENT_SLOTS;
    assert_eq!(mark, BackupMark { taken_unix_s: TAKEN_UNIX_S, silent_until: end });
    drop(chain);
    // Killed and started again, it is as silent, and for no longer.
    let chain = open();
    assert_eq!(chain.silence_backup(60).unwrap(), None);
    assert_eq!(chain.reserve_slot(end, &[key]).unwrap().allowed, []);
    assert_eq!(chain.reserve_slot(end + 1, &[key]).unwrap().allowed, [key]);
    drop(chain);
    assert_clean(&to(&data));
    // The mark is the database's: compacted, it is there; a backup of it is a fresh one.
    let before = all_rows(&to(&data));
    ROWS.compact(&to(&data), &mut until(u64::MAX)).unwrap();
    assert!(all_rows(&to(&data)) == before);
    let again = data.beside("-again").join("db");
    ROWS.backup(&to(&data), &again, TAKEN_UNIX_S, &mut until(u64::MAX)).unwrap();
    let (chain, _) = Chain::resume(&again, &identity, settings).unwrap();
    assert!(matches!(chain.reserve_slot(10_000, &[key]), Err(GuardError::Backup)));
    assert_eq!(
        chain.silence_backup(1_000).unwrap().unwrap().silent_until,
        1_000 + BACKUP_SILENT_SLOTS
    );
}
