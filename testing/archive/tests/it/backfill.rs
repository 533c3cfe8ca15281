//! History fetched below a checkpoint: the rows of a node that had it from genesis, whenever the fetching is killed, and
//! nothing that is not the chain's.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use lamella::node::{Inbox, Node};
use lamella_archive::ObjectName;
use lamella_chain::{Chain, HISTORY_BLOCKS_MAX, PersistError, ReadOnlyChain};
use lamella_http_api::ServerConfig;
use lamella_inspect::{
    LookupError, NotStored, block_id::BlockId, checksum, ends::held_slots, held::HeldSlots, stored,
    which::locate,
};
use lamella_shipping::{
    ShippingError,
    backfill::{Backfill, Left},
    remote::Remote,
    store::StoreError,
};
use lamella_tables::{Canonical, Database, DatabaseView, OpenMode, Options};
use lamella_types::Slot;
use tempfile::TempDir;

use crate::{
    grown::{OTHER_CHAIN, SMALL_CHAIN, from_checkpoint, go_on, in_folder, rows, settings, small},
    http::{get, serving},
    node::{FOREVER, config, metric},
    pruned_answers::lamella,
};

/// Where directories begin: in the last segment that is sealed.
pub const BEGAN: Slot = 2_040;

fn database(data: &TempDir) -> PathBuf {
    data.path().join("db")
}

fn resume(data: &TempDir) -> Chain {
    Chain::resume(&database(data), &SMALL_CHAIN.identity(), settings()).unwrap().0
}

/// Fills from a source and stops before a commit more than these.
fn fill(chain: &Chain, url: &str, commits: usize) -> Result<Left, ShippingError> {
    let mut left = commits;
    Backfill::of(chain)?.fill(url, &mut |blocks| {
        if left == 0 {
            return Ok(ControlFlow::Break(()));
        }
        left -= 1;
        assert!(blocks.len() <= HISTORY_BLOCKS_MAX);
        chain.put_history(&blocks).unwrap();
        Ok(ControlFlow::Continue(()))
    })
}

fn url(folder: &TempDir) -> String {
    folder.path().to_str().unwrap().to_owned()
}

fn held(database: &DatabaseView) -> Vec<(Slot, Slot)> {
    let slots = |held: HeldSlots| (held.from_slot, held.to_slot);
    held_slots(&database.read().unwrap()).unwrap().into_iter().map(slots).collect()
}

fn assert_clean(database: &Path) {
    let chain = ReadOnlyChain::open(database).unwrap();
    let report = lamella_chain::verify(chain.database(), &mut go_on).unwrap();
    assert_eq!(report.findings, []);
}

/// The directory holds what the small chain's own holds.
pub fn assert_whole(database: &Path) {
    assert_clean(database);
    assert!(rows(database, BEGAN - 1) == SMALL_CHAIN.rows(BEGAN - 1), "row by row");
    let of = |chain: &ReadOnlyChain| checksum::of(chain.database(), Some(0), None).unwrap();
    assert_eq!(of(&ReadOnlyChain::open(database).unwrap()), of(&SMALL_CHAIN.chain));
    assert_eq!(held(ReadOnlyChain::open(database).unwrap().database()), [(0, 2_300)]);
}

#[test]
fn history_that_is_killed_at_any_commit_goes_on_to_the_rows_of_a_node_that_had_it() {
    let (folder, _, _) = small();
    let mut commits = 0;
    loop {
        let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
        let outcome = fill(&resume(&data), &url(&folder), commits);
        match outcome {
            Ok(left) => {
                assert_eq!(left, Left::Nothing);
                assert_whole(&database(&data));
                break;
            }
            Err(error) => assert!(matches!(error, ShippingError::Stopped), "{error}"),
        }
        assert_clean(&database(&data));
        let ranges = held(ReadOnlyChain::open(&database(&data)).unwrap().database()).len();
        assert_eq!(ranges, 1 + usize::from(commits > 0), "{commits} commits");
        assert_eq!(fill(&resume(&data), &url(&folder), usize::MAX).unwrap(), Left::Nothing);
        assert_whole(&database(&data));
        commits += 1;
    }
    assert!(commits >= 4, "{commits} commits");
}

/// Killed after each single commit.
#[test]
fn history_that_comes_one_commit_at_a_time_comes_to_its_end() {
    let (folder, _, _) = small();
    let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let mut runs = 0;
    while fill(&resume(&data), &url(&folder), 1).is_err() {
        runs += 1;
        assert!(runs < 100);
    }
    assert_whole(&database(&data));
}

#[test]
fn what_is_missing_and_what_is_here_is_said_of_each_slot() {
    let (folder, _, _) = small();
    // Begun behind the last sealed segment: a hole is left until the next one is sealed.
    let data = from_checkpoint(&SMALL_CHAIN, 2_100);
    let chain = resume(&data);
    let left = fill(&chain, &url(&folder), usize::MAX).unwrap();
    assert_eq!(left, Left::Unsealed { until: 3_072 });
    let txn = chain.read().unwrap();
    let newest = 2_047;
    let found = |slot: Slot| locate(&txn, BlockId::Slot(slot));
    for slot in [0, 1, 1_010, newest, 2_100, 2_300] {
        let located = found(slot).unwrap();
        assert_eq!(Some(located.key.root), SMALL_CHAIN.root_at(slot), "slot {slot}");
        assert!(stored::state(chain.states(), &txn, &located).is_ok(), "slot {slot}");
    }
    assert_eq!(locate(&txn, BlockId::Genesis).unwrap().key.slot, 0);
    for slot in [500, 1_036, 1_500] {
        let error = found(slot).unwrap_err();
        assert!(matches!(error, LookupError::NotStored(NotStored::Skipped { .. })), "{error}");
    }
    for slot in [newest + 1, 2_099] {
        let text = found(slot).unwrap_err().to_string();
        assert!(text.contains("this directory has slots 0 to 2047, 2100 to 2300;"), "{text}");
    }
    // A block of history has no proof, and that is not because it was pruned.
    let error = stored::signed_block(&txn, &found(1_010).unwrap()).unwrap_err();
    assert!(error.to_string().contains("did not come with its history"), "{error}");
    drop(txn);
    // What lies on both sides of the hole is one question too many.
    let of = |from, to| checksum::of(chain.database(), Some(from), Some(to));
    assert!(of(0, 2_100).unwrap_err().to_string().contains("slot 2048 is not here"));
    assert_eq!(
        of(0, newest).unwrap(),
        checksum::of(SMALL_CHAIN.chain.database(), Some(0), Some(newest)).unwrap()
    );
    assert!(of(2_100, 2_300).is_ok());
    drop(chain);
    assert_clean(&database(&data));
    // Such a node is a source of what it has.
    let (_node, api) = serving(&data);
    let remote = crate::http::remote(api);
    let listed: Vec<u32> = remote.inventory().unwrap().segments().map(|(index, _)| index).collect();
    assert_eq!(listed, [0, 1]);
}

/// History grows from genesis up, so a fetching that was killed leaves a hole up to where the directory began.
#[test]
fn a_hole_is_told_over_http_and_on_the_command_line() {
    let (folder, _, _) = small();
    let data = from_checkpoint(&SMALL_CHAIN, 2_100);
    assert!(matches!(fill(&resume(&data), &url(&folder), 1), Err(ShippingError::Stopped)));
    let (held, not_here) = (
        "\"held\":[{\"from_slot\":0,\"to_slot\":1023},{\"from_slot\":2100,\"to_slot\":2300}]",
        "is not here: this directory has slots 0 to 1023, 2100 to 2300; ask a node that began earlier",
    );
    let db = |arguments: &[&str]| lamella(&[&["db"], arguments].concat(), data.path());
    for arguments in [["info", "--json"], ["verify", "--json"]] {
        let (code, text) = db(&arguments);
        assert!(code == 0 && text.contains(held), "{text}");
    }
    for what in ["header", "block", "state"] {
        for (slot, expected) in [("5", 0), ("1010", 0), ("1024", 3), ("2099", 3), ("2100", 0)] {
            let (code, text) = db(&["get", what, slot, "--json"]);
            assert!(code == expected && text.contains(not_here) == (code == 3), "{text}");
        }
    }
    let (_node, api) = serving(&data);
    let ask = |path: &str| {
        let (status, body) = get(api, &format!("/lean/v0/{path}"));
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    assert!(ask("node/database").1.contains(held));
    for route in ["headers", "blocks", "states"] {
        for (slot, expected) in
            [("5", "200"), ("1010", "200"), ("1024", "404"), ("2099", "404"), ("2100", "200")]
        {
            let (status, text) = ask(&format!("{route}/{slot}"));
            assert_eq!(status, expected, "{route}/{slot}: {text}");
            let is_told = text.contains(not_here) && text.contains("\"before_bootstrap\"");
            assert_eq!(is_told, status == "404", "{text}");
        }
    }
    assert_eq!(ask("proof/block/5?root=head").0, "200");
}

/// Symptom: after the index of a directory with a hole was derived again, its history was unknown by slot.
/// Mechanism: deriving walked down from the head and ended at the hole. Fix: it goes on below it.
#[test]
fn a_lost_row_of_the_index_below_a_hole_is_derived_again() {
    let (folder, _, _) = small();
    let data = from_checkpoint(&SMALL_CHAIN, 2_100);
    fill(&resume(&data), &url(&folder), usize::MAX).unwrap();
    let path = database(&data);
    let tables = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
    let mut txn = tables.write().unwrap();
    assert!(txn.delete::<Canonical>(&1_010).unwrap());
    txn.commit().unwrap();
    drop(tables);
    assert_eq!(Chain::derive(&path).unwrap().canonical, 1);
    assert_clean(&path);
    assert!(rows(&path, 2_047) == SMALL_CHAIN.rows(2_047));
}

/// The first segment's file in an archive.
fn first_segment(folder: &TempDir, remote: &Remote) -> PathBuf {
    let (index, root) = remote.inventory().unwrap().segments().next().unwrap();
    folder.path().join(remote.path(&ObjectName::Segment { index, root }))
}

#[test]
fn a_source_that_lies_or_lacks_something_is_named_and_changes_nothing() {
    let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let chain = resume(&data);
    let before = held(chain.database());
    let refused = |url: &str, says: &str| {
        let error = fill(&chain, url, usize::MAX).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        assert_eq!(held(chain.database()), before, "{says}");
        error
    };
    let (folder, remote, _) = small();
    let segment = first_segment(&folder, &remote);
    let good = fs::read(&segment).unwrap();
    // Another chain of the same network, under its own names and under ours.
    let (other, other_remote, _) = in_folder(&OTHER_CHAIN);
    refused(&url(&other), "has a gap");
    fs::write(&segment, fs::read(first_segment(&other, &other_remote)).unwrap()).unwrap();
    let name = segment.file_name().unwrap().to_str().unwrap();
    assert!(matches!(refused(&url(&folder), name), ShippingError::Damaged { .. }));
    // Every 97th byte of the file flipped, and the file cut.
    for at in (0..good.len()).step_by(97) {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(&segment, bad).unwrap();
        assert!(matches!(refused(&url(&folder), name), ShippingError::Damaged { .. }));
    }
    fs::write(&segment, &good[..good.len() / 2]).unwrap();
    assert!(matches!(refused(&url(&folder), name), ShippingError::Damaged { .. }));
    fs::remove_file(&segment).unwrap();
    assert!(matches!(refused(&url(&folder), name), ShippingError::Missing { .. }));
    refused(&url(&tempfile::tempdir().unwrap()), "");
    // A node that began later itself, and nobody at all.
    let later = from_checkpoint(&SMALL_CHAIN, 1_020);
    let (_node, api) = serving(&later);
    let error = refused(&format!("http://{api}"), "has slots 1020 to 2300");
    assert!(matches!(error, ShippingError::Store(StoreError::NotHeld { .. })), "{error}");
    refused("http://127.0.0.1:1", "tried 4 times");
    // Then the good one.
    fs::write(&segment, &good).unwrap();
    assert_eq!(fill(&chain, &url(&folder), usize::MAX).unwrap(), Left::Nothing);
    drop(chain);
    assert_whole(&database(&data));
}

#[test]
fn blocks_that_do_not_belong_where_history_is_missing_are_not_put() {
    let (folder, _, _) = small();
    let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let chain = resume(&data);
    let mut taken = Vec::new();
    let job = Backfill::of(&chain).unwrap();
    let stopped = job.fill(&url(&folder), &mut |blocks| {
        taken = blocks;
        Ok(ControlFlow::Break(()))
    });
    assert!(matches!(stopped, Err(ShippingError::Stopped)));
    let mut gap = taken.clone();
    gap.remove(3);
    for bad in [&taken[1..], &gap[..]] {
        assert!(matches!(chain.put_history(bad), Err(PersistError::NotHistory { .. })));
    }
    assert_eq!(chain.put_history(&[]).unwrap().missing_slots(), BEGAN);
    chain.put_history(&taken).unwrap();
    // The same once more.
    assert!(matches!(chain.put_history(&taken), Err(PersistError::NotHistory { .. })));
    drop(chain);
    assert_clean(&database(&data));
}

/// A node with this directory and these sources, which serves what it counts.
fn fetching(data: &TempDir, history: &[String]) -> (Node, std::net::SocketAddr) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let api = Some(ServerConfig::new(std::net::Ipv4Addr::LOCALHOST.into(), port, None));
    let config = lamella::config::NodeConfig { history: history.to_vec(), api, ..config(data) };
    let node = Node::open(&config, None, &Inbox::default()).unwrap();
    (node, ([127, 0, 0, 1], port).into())
}

/// Each metric of history moves; the second source has what the first one lacks.
#[test]
fn a_node_that_began_later_fetches_its_history_from_another() {
    let until = |what: &str, is_done: &dyn Fn() -> bool| {
        let begun = std::time::Instant::now();
        while !is_done() {
            assert!(begun.elapsed() < FOREVER, "{what}");
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    };
    let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let empty = url(&tempfile::tempdir().unwrap());
    let (node, api) = fetching(&data, std::slice::from_ref(&empty));
    until("no source", &|| metric(api, "lean_history_failing") == 1);
    assert_eq!(metric(api, "lean_history_missing_slots"), BEGAN);
    drop(node);

    let source = tempfile::tempdir().unwrap();
    SMALL_CHAIN.copy_to(&source.path().join("db"));
    let (_source_node, source_api) = serving(&source);
    let (node, api) = fetching(&data, &[empty, format!("http://{source_api}")]);
    until("history", &|| metric(api, "lean_history_missing_slots") == 0);
    assert!(metric(api, "lean_history_failures_total") >= 1);
    let blocks = metric(api, "lean_history_blocks_total");
    let canonical = (0..BEGAN).filter(|slot| SMALL_CHAIN.root_at(*slot).is_some()).count();
    assert_eq!(blocks, canonical as u64);
    drop(node);
    // The threads let go of the database a moment after.
    let resume = || Chain::resume(&database(&data), &SMALL_CHAIN.identity(), settings());
    until("closed", &|| resume().is_ok());
    assert_whole(&database(&data));
}
