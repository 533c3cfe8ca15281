//! Block proofs beside the segments.

use std::{
    collections::BTreeMap,
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::Arc,
};

use lamella::import::Importer;
use lamella_block_store::{UncheckedProofs, signature_floor};
use lamella_chain::{Bootstrap, Chain, HELD_SLOTS_MAX, ReadOnlyChain, Settings};
use lamella_inspect::ends::servable;
use lamella_shipping::{
    ShippingError,
    cleaner::clean,
    proofs::{ProofShipment, ship_proofs},
    remote::Remote,
    restorer::Target,
    seal::Shipped,
    verifier::{Depth, Verify},
};
use lamella_tables::{DatabaseView, Key as _, Signatures, SlotRoot, Table as _};
use lamella_types::Slot;
use lamella_xmss::scheme::{ProofScheme as _, Trust};

use crate::grown::{
    SMALL_CHAIN, SMALL_SEGMENTS, go_on, import, restore, restore_to, rows, settings, small,
};

/// The last slot of the sealed segments.
const END: Slot = SMALL_SEGMENTS * 1024 - 1;

/// Ships the proofs of a chain whose segments are shipped.
pub fn ship(chain: &ReadOnlyChain, remote: &Remote, segments: u64) -> ProofShipment {
    let shipped = Shipped::new(chain.database(), chain.states(), chain.identity());
    let mut counted = 0;
    let confirmed = &mut |segments| {
        counted += 1;
        assert_eq!(segments, counted, "by one, and only up");
        Ok(())
    };
    let database = chain.database();
    ship_proofs(database, shipped, remote, 0, segments, &mut go_on, confirmed).unwrap()
}

/// An archive of the small chain with its proofs.
fn with_proofs() -> (tempfile::TempDir, Remote) {
    let (folder, remote, _) = small();
    let shipment = ship(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS);
    let expected = (SMALL_SEGMENTS, SMALL_SEGMENTS, 0, proofs(SMALL_CHAIN.chain.database()).len());
    let ProofShipment { segments, put, there, proofs, absent, .. } = shipment;
    assert_eq!((segments, put, there, proofs as usize), expected);
    assert_eq!((absent, shipment.waits), (0, None));
    (folder, remote)
}

/// The proofs, as stored, of the canonical blocks of the sealed segments; without genesis, which has none.
fn proofs(database: &DatabaseView) -> BTreeMap<Slot, Vec<u8>> {
    let txn = database.read().unwrap();
    let rows = txn.raw_rows(Signatures::NAME).unwrap().unwrap().map(Result::unwrap);
    let keyed = rows.map(|row| (SlotRoot::decode(&row.key).unwrap(), row.stored));
    keyed
        .filter(|(key, _)| (1..=END).contains(&key.slot))
        .filter(|(key, _)| SMALL_CHAIN.root_at(key.slot) == Some(key.root))
        .map(|(key, stored)| (key.slot, stored))
        .collect()
}

fn sidecars(folder: &Path) -> Vec<PathBuf> {
    let proofs = folder.join(SMALL_CHAIN.network().to_string()).join("proofs");
    let mut files: Vec<_> =
        fs::read_dir(proofs).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

const COMPARE: Verify = Verify { trusted: None, depth: Depth::Content, proofs: true };

#[test]
fn proofs_are_shipped_beside_the_segments_compared_and_restored() {
    let (folder, remote) = with_proofs();
    let original = proofs(SMALL_CHAIN.chain.database());
    let verified = COMPARE.run(&remote, &mut go_on).unwrap();
    assert_eq!((verified.proofs, verified.without_proof), (original.len() as u64, 0));
    assert_eq!(verified.unproven, SMALL_SEGMENTS, "never called proven");

    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let target = restore_to(&database, Target::Finalized);
    let restored = target.run_with_proofs(&remote, &mut go_on).unwrap();
    assert_eq!(restored.proofs_from.unwrap().slot, 1);
    assert!(rows(&database, u64::MAX) == SMALL_CHAIN.rows(END));
    let view = DatabaseView::open(&database).unwrap();
    assert!(proofs(&view) == original);
    let txn = view.read().unwrap();
    assert_eq!(servable(&txn).unwrap().proofs_from, 0, "as in a directory that pruned nothing");
    // Upholds P2: what nobody has checked here is not served.
    let unchecked = UncheckedProofs::read(&txn).unwrap();
    assert_eq!(unchecked.slots(), &(1..restored.target.slot + 1));
    drop(txn);
    drop(view);

    // So it ships none before a node has checked them, and an archive that has them is compared.
    let chain = ReadOnlyChain::open(&database).unwrap();
    assert_eq!(ship(&chain, &remote, 1).there, 1);
    fs::remove_file(&sidecars(folder.path())[0]).unwrap();
    assert_eq!(ship(&chain, &remote, 1).waits, Some(0));
    assert_eq!(ship(&SMALL_CHAIN.chain, &remote, 2).put, 1);
}

#[test]
fn a_directory_without_proofs_ships_no_empty_sidecar_in_the_place_of_another_nodes() {
    let (_folder, remote, _) = small();
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    let restored = restore(&remote, &database, Target::Finalized).unwrap();
    assert_eq!(restored.proofs_from, None);
    let chain = ReadOnlyChain::open(&database).unwrap();
    let shipment = ship(&chain, &remote, 1);
    let blocks = proofs(SMALL_CHAIN.chain.database()).range(..1024).count();
    assert_eq!((shipment.put, shipment.absent as usize, shipment.segments), (0, blocks, 1));
    assert_eq!(ship(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS).put, SMALL_SEGMENTS);
}

#[test]
fn proofs_are_restored_back_to_the_first_that_the_archive_lacks() {
    let (folder, remote) = with_proofs();
    let [older, newer] = &sidecars(folder.path())[..] else { panic!("two") };
    fs::remove_file(older).unwrap();
    let restored = |first: Option<Slot>| {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("db");
        let target = restore_to(&database, Target::Finalized);
        let restored = target.run_with_proofs(&remote, &mut go_on).unwrap();
        assert_eq!(restored.proofs_from.map(|block| block.slot), first);
        let view = DatabaseView::open(&database).unwrap();
        let floor = signature_floor(&view.read().unwrap()).unwrap();
        assert_eq!(floor.key.slot, first.unwrap_or(restored.target.slot));
        let expected = proofs(SMALL_CHAIN.chain.database());
        if let Some(first) = first {
            assert!(proofs(&view) == expected.into_iter().filter(|row| row.0 >= first).collect());
        }
    };
    let first = (1024..=END).find(|slot| SMALL_CHAIN.root_at(*slot).is_some());
    restored(first);
    fs::remove_file(newer).unwrap();
    restored(None);
}

#[test]
fn a_restoration_with_proofs_that_was_stopped_at_any_step_goes_on_to_the_same_rows() {
    let (_folder, remote) = with_proofs();
    let original = proofs(SMALL_CHAIN.chain.database());
    for steps in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("db");
        let restore = restore_to(&database, Target::Finalized);
        let mut told = 0;
        let stopped = restore.run_with_proofs(&remote, &mut |_| {
            told += 1;
            if told > steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        if stopped.is_ok() {
            assert!(steps > 8, "{steps} steps");
            break;
        }
        assert!(!database.exists(), "nothing in place after {steps} steps");
        // Whoever goes on without them had put none for the last block: with them, they come all the same.
        if steps % 2 == 0 {
            let ended = restore.run(&remote, &mut |progress| match progress.stage {
                "segments" => ControlFlow::Continue(()),
                _ => ControlFlow::Break(()),
            });
            assert!(ended.is_err() && !database.exists());
        }
        restore.run_with_proofs(&remote, &mut go_on).unwrap();
        assert!(rows(&database, u64::MAX) == SMALL_CHAIN.rows(END), "after {steps} steps");
        assert!(proofs(&DatabaseView::open(&database).unwrap()) == original, "{steps} steps");
    }
}

#[test]
fn a_damaged_sidecar_is_named_cleaned_and_shipped_again() {
    let (folder, remote) = with_proofs();
    let sidecar = &sidecars(folder.path())[1];
    let whole = fs::read(sidecar).unwrap();
    let refused = |bytes: &[u8], what: &str| {
        fs::write(sidecar, bytes).unwrap();
        let error = COMPARE.run(&remote, &mut go_on).unwrap_err();
        assert!(matches!(error, ShippingError::Damaged { .. }), "{what}: {error}");
        assert!(error.to_string().contains("/proofs/00001-"), "{what}: {error}");
    };
    for position in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[position] ^= 1;
        refused(&flipped, &format!("byte {position}"));
    }
    for kept in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        refused(&whole[..kept], &format!("{kept} bytes"));
    }
    refused(&[&whole[..], &[0]].concat(), "a byte more");
    refused(&fs::read(&sidecars(folder.path())[0]).unwrap(), "its neighbour");
    let found = clean(&remote, false, &mut go_on).unwrap();
    assert_eq!(found.unusable.len(), 1);
    assert!(found.unusable[0].path.contains("/proofs/00001-"), "{found:?}");
    clean(&remote, true, &mut go_on).unwrap();
    assert_eq!(ship(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS).put, 1);
    assert_eq!(fs::read(sidecar).unwrap(), whole);
}

/// Proofs that an archive lacks outlive their window, and no longer than the limit; what it has does not.
#[test]
fn proofs_are_held_until_the_archive_has_them() {
    const WINDOW: u64 = 100;
    /// Proofs are pruned some slots at a time.
    const STEPS: std::ops::Range<u64> = 0..32;
    let settings = Settings { signature_window_slots: WINDOW, ..settings() };
    let directory = tempfile::tempdir().unwrap();
    let bootstrap = Bootstrap::genesis(SMALL_CHAIN.genesis.clone());
    let (chain, _) =
        Chain::create(&directory.path().join("db"), bootstrap, Trust.name(), settings).unwrap();
    let chain = Arc::new(chain);
    let importer = Importer::new(Arc::clone(&chain), Arc::new(Trust));
    let floor = || signature_floor(&chain.read().unwrap()).unwrap().key.slot;
    let (most, last) = SMALL_CHAIN.blocks.split_at(SMALL_CHAIN.blocks.len() - 12);
    chain.hold_proofs_from(0);
    import(&importer, most);
    assert_eq!(floor(), 0, "everything is held");
    let tip = chain.fork_choice().head_summary().slot;
    let held = chain.held_proofs();
    assert_eq!((held.slots, held.lost), (tip - WINDOW, 0));
    assert!(held.slots < HELD_SLOTS_MAX);
    chain.hold_proofs_from(1024);
    import(&importer, &last[..4]);
    assert!(STEPS.contains(&(1024 - floor())), "the archive has a segment: {}", floor());
    chain.hold_proofs_from(2048);
    import(&importer, &last[4..]);
    assert!(STEPS.contains(&(2048 - floor())), "and another: {}", floor());
    assert_eq!(chain.held_proofs().slots, 0, "no further one is finalized");
}
