//! Unknown, skipped, beyond the head, pruned, corrupt, invalid: different answers.

use lamella_chain::{Bootstrap, Chain, Settings};
use lamella_tables::{Key as _, SlotRoot};
use lamella_types::{Decode as _, Root, State};

use super::support::{Node, get, get_as, request};

fn refused(code: &str, status: u16) -> (u16, String) {
    (status, code.to_owned())
}

#[test]
fn what_is_not_there_says_why() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    let stranger = Root::new([9; 32]);
    for kind in ["states", "blocks", "headers"] {
        let get = |id: &str| get(server.api_address(), &format!("/lean/v0/{kind}/{id}")).refusal();
        assert_eq!(get(&stranger.to_string()), refused("unknown", 404));
        assert_eq!(get("4"), refused("skipped_slot", 404));
        assert_eq!(get("9"), refused("beyond_head", 404));
        for id in ["0x12", "-1", "nine", "99999999999999999999", &"9".repeat(500)] {
            assert_eq!(get(id), refused("invalid_id", 400), "{id}");
        }
    }
    let accept = get_as(server.api_address(), &format!("/lean/v0/blocks/{side}"), "text/html");
    assert_eq!(accept.refusal(), refused("not_acceptable", 406));
    assert_eq!(get(server.api_address(), "/lean/v1/health").refusal(), refused("no_route", 404));
    let delete = request(server.api_address(), "DELETE /lean/v0/health HTTP/1.1", "");
    assert_eq!(delete.refusal(), refused("method_not_allowed", 405));
}

#[test]
fn a_pruned_proof_is_gone_and_its_block_is_not() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    for slot in [0, 1, 2, 3] {
        let path = format!("/lean/v0/blocks/{slot}");
        let ssz = get_as(server.api_address(), &path, "application/octet-stream");
        assert_eq!(ssz.refusal(), refused("pruned", 410));
        assert!(ssz.text().contains("kept from slot 5"), "{}", ssz.text());
        assert_eq!(get(server.api_address(), &path).json()["slot"], slot);
    }
    let kept = get_as(server.api_address(), "/lean/v0/blocks/5", "application/octet-stream");
    assert_eq!(kept.status, 200);
}

#[test]
fn damage_is_named_by_table_and_key_and_never_served() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let root = node.canonical(6);
    let key = SlotRoot::new(6, root);
    let damage = |table: &str| {
        let mut txn = node.chain.database().write_raw().unwrap();
        txn.put_raw(table, &key.encode(), &[7; 30]).unwrap();
        txn.commit().unwrap();
        node.chain.states().clear();
    };
    let corrupt = |path: &str, accept: &str, table: &str| {
        let answer = get_as(server.api_address(), path, accept);
        assert_eq!(answer.refusal(), refused("corrupt", 500), "{path}");
        let text = answer.text();
        assert!(text.contains(table) && text.contains("db verify"), "{path}: {text}");
        assert!(text.contains(&root.to_string()), "{path}: {text}");
    };
    let ssz = "application/octet-stream";
    damage("Signatures");
    corrupt("/lean/v0/blocks/6", ssz, "Signatures");
    assert_eq!(get(server.api_address(), "/lean/v0/blocks/6").status, 200, "JSON has no proof");
    damage("Diffs");
    corrupt("/lean/v0/states/6", ssz, "Diffs");
    damage("Bodies");
    corrupt("/lean/v0/blocks/6", "application/json", "Bodies");
    damage("Headers");
    corrupt("/lean/v0/headers/6", "application/json", "Headers");
    assert_eq!(get(server.api_address(), "/lean/v0/headers/7").status, 200);
    let metrics = get(server.api_address(), "/metrics");
    assert!(metrics.text().contains("lean_storage_corrupt_reads_total 4\n"));
}

#[test]
fn a_node_that_began_at_a_checkpoint_says_so() {
    let (mut node, _) = Node::with_chain();
    let made = &node.made[&node.canonical(7)];
    let state = State::from_ssz(&made.state).unwrap();
    let bootstrap = Bootstrap { block: made.signed.clone(), state: state.into() };
    let directory = tempfile::tempdir().unwrap();
    let (chain, _) =
        Chain::create(directory.path(), bootstrap, "trust", Settings::default()).unwrap();
    node.chain = chain.into();
    let server = node.serve();
    for id in ["6", "0", "genesis"] {
        let answer = get(server.api_address(), &format!("/lean/v0/states/{id}"));
        assert_eq!(answer.refusal(), refused("before_bootstrap", 404));
        assert!(answer.text().contains("has slots 7 to 7;"), "{}", answer.text());
    }
    let database = get(server.api_address(), "/lean/v0/node/database").json();
    assert_eq!((&database["first_slot"], &database["proofs_from_slot"]), (&7.into(), &7.into()));
    assert_eq!(database["held"], serde_json::json!([{ "from_slot": 7, "to_slot": 7 }]));
    assert_eq!(get(server.api_address(), "/lean/v0/states/7").status, 200);
    assert_eq!(get(server.api_address(), "/lean/v0/states/8").refusal().1, "beyond_head");
}

/// Symptom: a node that had lost a canonical row told its clients that the slot was skipped.
/// Mechanism: the lookup took every slot without a row for a skipped one.
/// Fix: the next block says whether it was; the tools and the answers to peers ask the same lookup.
#[test]
fn a_lost_canonical_row_is_damage_and_no_skipped_slot() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let mut txn = node.chain.database().write_raw().unwrap();
    assert!(txn.delete_raw("Canonical", &3_u64.encode()).unwrap());
    assert!(txn.delete_raw("Canonical", &8_u64.encode()).unwrap());
    txn.commit().unwrap();
    for kind in ["states", "blocks", "headers"] {
        let get = |id: &str| get(server.api_address(), &format!("/lean/v0/{kind}/{id}"));
        for lost in ["3", "8"] {
            let answer = get(lost);
            assert_eq!(answer.refusal(), refused("corrupt", 500), "{kind} of slot {lost}");
            assert!(answer.text().contains("table Canonical"), "{}", answer.text());
        }
        assert_eq!(get("4").refusal(), refused("skipped_slot", 404), "4 was skipped");
        assert_eq!(get("9").refusal(), refused("beyond_head", 404));
        assert_eq!(get("2").status, 200);
        assert_eq!(get("head").status, 200, "its root is known without the index");
    }
}
