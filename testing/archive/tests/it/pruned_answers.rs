//! What a directory whose states were pruned answers: over HTTP, on the command line, to a client of the store, to an archive,
//! to a flag. *Pruned* everywhere, with the slot from which on states are kept; never unknown, never damage.

use std::{
    path::Path,
    process::{Command, Output},
    thread::sleep,
    time::{Duration, Instant},
};

use lamella::{
    config::NodeConfig,
    node::{Inbox, Node},
};
use lamella_archive::ObjectName;
use lamella_chain::{PruneMode, Settings};
use lamella_store::{Answer, BlockId, Options, Store};
use tempfile::TempDir;

use crate::{
    backfill::BEGAN,
    grown::{LAST, SMALL_CHAIN, from_checkpoint},
    http::{get, serving},
    node::{config, metric},
    prune::{copied, prune},
};

const BINARY: &str = env!("CARGO_BIN_EXE_lamella-under-archive");

/// Longest wait for a sample of the store, of which the first is taken at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// From here on the small chain's states are kept.
const FLOOR: u64 = 1_024;

fn pruned() -> TempDir {
    let data = copied(&SMALL_CHAIN);
    assert_eq!(prune(&data.path().join("db"), PruneMode::States(0)).floor, FLOOR);
    data
}

pub fn lamella(arguments: &[&str], data: &Path) -> (i32, String) {
    let mut command = Command::new(BINARY);
    let output: Output = command.args(arguments).arg("--data-dir").arg(data).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

#[test]
fn over_http_states_are_pruned_and_all_else_is_served() {
    let data = pruned();
    let (_node, api) = serving(&data);
    let ask = |path: &str| {
        let (status, body) = get(api, &format!("/lean/v0/{path}"));
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    for path in ["states/5", "states/genesis", "states/5/change", "proof/block/3?root=5"] {
        let (status, body) = ask(path);
        assert!(status == "410" && body.contains("\"pruned\""), "{path}: {status} {body}");
        assert!(body.contains("states are kept from slot 1024"), "{body}");
    }
    let first = SMALL_CHAIN.root_at(1_024).unwrap();
    let served = [
        "headers/5",
        "states/1024",
        "states/finalized",
        "states/head",
        "blocks/finalized",
        "tree/5",
        "proof/block/3?root=head",
        "proof/state/3?root=finalized",
        "participation/5",
    ];
    for path in served {
        assert_eq!(ask(path).0, "200", "{path}: {}", ask(path).1);
    }
    let (status, change) = ask(&format!("states/{first}/change"));
    assert!(status == "200" && change.contains("\"before\":null"), "{change}");
    let database = ask("node/database").1;
    let begun = Instant::now();
    loop {
        let (_, metrics) = get(api, "/metrics");
        if String::from_utf8_lossy(&metrics).contains("\nlean_storage_state_floor_slot 1024\n") {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "the first sample says where states begin");
        sleep(Duration::from_millis(50));
    }
    let says = "\"prune_mode\":\"states:0\",\"states_from_slot\":1024,";
    assert!(database.contains(says), "{database}");

    // Nobody prunes beneath a node that runs.
    let (code, text) = lamella(&["db", "prune", "--mode", "light", "--apply"], data.path());
    assert!(code == 1 && text.contains("in use by process"), "{code} {text}");
    let (code, text) = lamella(&["db", "prune", "--mode", "light"], data.path());
    assert!(code == 0 && text.contains("nothing was changed"), "{code} {text}");

    // As an archive it has what it can still seal: the second segment begins with a state of the first.
    let network = SMALL_CHAIN.network();
    let list = ask(&format!("archive/{network}")).1;
    assert!(!list.contains("segments/") && list.contains("frontier/"), "{list}");
    let segments = SMALL_CHAIN.chain.database().read().unwrap();
    let head = SMALL_CHAIN.root_at(LAST.min(2_300)).unwrap();
    let state = SMALL_CHAIN.chain.states().state(&segments, &head).unwrap().unwrap();
    for (index, segment) in (0..).zip(state.historical_block_hashes.segments()) {
        let name = ObjectName::Segment { index, root: segment.root() };
        let (status, body) = ask(&format!("archive/{network}/{name}"));
        assert!(status == "404" && body.contains("with their states"), "{status} {body}");
    }
    let old = SMALL_CHAIN.root_at(1_010).unwrap();
    let name = ObjectName::Frontier { slot: 1_010, root: old };
    assert_eq!(ask(&format!("archive/{network}/{name}")).0, "410");
    // Nothing of this is damage.
    assert_eq!(metric(api, "lean_storage_corrupt_reads_total"), 0);
}

#[test]
fn over_http_bodies_and_proofs_are_pruned_too_where_a_directory_is_light() {
    let data = copied(&SMALL_CHAIN);
    prune(&data.path().join("db"), PruneMode::Light);
    let (_node, api) = serving(&data);
    let ask = |path: &str| {
        let (status, body) = get(api, &format!("/lean/v0/{path}"));
        (status, String::from_utf8_lossy(&body).into_owned())
    };
    for path in ["blocks/5", "participation/5"] {
        let (status, body) = ask(path);
        assert!(status == "410" && body.contains("bodies are kept from slot 1024"), "{body}");
    }
    for path in ["headers/5", "blocks/1024", "blocks/finalized", "states/finalized", "tree/5"] {
        assert_eq!(ask(path).0, "200", "{path}: {}", ask(path).1);
    }
    assert_eq!(ask("proof/block/3?root=head").0, "200");
    let database = ask("node/database").1;
    let says = "\"prune_mode\":\"light\",\"states_from_slot\":1024,\"bodies_from_slot\":1024,";
    assert!(database.contains(says), "{database}");
    assert_eq!(metric(api, "lean_storage_corrupt_reads_total"), 0);
}

#[test]
fn the_command_line_prunes_when_told_to_and_says_pruned_with_a_code_of_its_own() {
    let data = copied(&SMALL_CHAIN);
    let path = data.path();
    let ask = |arguments: &[&str]| lamella(arguments, path);
    let mode = ["db", "prune", "--mode", "states:0"];
    let (code, text) = ask(&mode);
    assert!(code == 0 && text.contains("nothing was changed: --apply does it"), "{text}");
    assert!(text.contains("archive -> states:0") && text.contains("slot 0 -> slot 1024"), "{text}");
    assert_eq!(ask(&["db", "get", "state", "5"]).0, 0);
    let (code, text) = ask(&[&mode[..], &["--apply", "--json"]].concat());
    assert_eq!(code, 0, "{text}");
    let says = [
        "\"applied\":true",
        "\"mode\":\"states:0\"",
        "\"states_from_slot\":1024",
        "\"checked_all\":false",
        "\"frontier_diverged\":null",
    ];
    assert!(says.iter().all(|says| text.contains(says)), "{text}");
    for part in ["state", "diff"] {
        let (code, text) = ask(&["db", "get", part, "5"]);
        assert!(code == 4 && text.contains("states are kept from slot 1024 on"), "{code} {text}");
    }
    assert_eq!(ask(&["db", "get", "block", "5"]).0, 0);
    assert_eq!(ask(&["db", "get", "state", "1024"]).0, 0);
    assert_eq!(ask(&["db", "checksum"]).0, 0);
    let (code, info) = ask(&["db", "info"]);
    assert!(code == 0 && info.contains("states       from slot 1024 on, kept: states:0"), "{info}");
    let (code, text) = ask(&["db", "verify"]);
    assert!(code == 0 && text.contains("P3"), "{text}");
    assert_eq!(ask(&["db", "prune", "--mode", "few"]).0, 2);

    // What an archive lacks cannot be made of this directory any more, and the refusal names it.
    let archive = tempfile::tempdir().unwrap();
    let (code, text) = ask(&["archive", "export", "--to", archive.path().to_str().unwrap()]);
    assert!(code != 0 && text.contains("cannot seal it"), "{code} {text}");
}

#[test]
fn a_client_of_the_store_is_told_from_where_on_states_are_kept() {
    let data = pruned();
    let store = Store::open(data.path(), &Options::default()).unwrap();
    let reader = store.reader();
    assert_eq!(reader.state(BlockId::Slot(5)).unwrap(), Answer::Pruned { kept_from: FLOOR });
    assert!(matches!(reader.block(BlockId::Slot(5)).unwrap(), Answer::Found(_)));
    assert!(matches!(reader.state(BlockId::Slot(FLOOR)).unwrap(), Answer::Found(_)));
}

#[test]
fn a_node_refuses_to_fetch_history_into_a_directory_that_does_not_keep_it() {
    let made = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let data = tempfile::tempdir().unwrap();
    std::fs::create_dir(data.path().join("db")).unwrap();
    std::fs::copy(made.path().join("db/mdbx.dat"), data.path().join("db/mdbx.dat")).unwrap();
    prune(&data.path().join("db"), PruneMode::States(7));
    let history = vec!["http://127.0.0.1:1".to_owned()];
    let config = NodeConfig { history, settings: Settings::default(), ..config(&data) };
    let refused = Node::open(&config, None, &Inbox::default()).err().unwrap().to_string();
    assert!(refused.contains("--history: states of this directory are pruned"), "{refused}");
}
