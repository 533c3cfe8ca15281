//! Blocks, headers and states of every block ever imported, as SSZ and as JSON.

use std::net::SocketAddr;

use lamella_inspect::json::Json;
use lamella_types::{BlockHeader, Decode as _, Root, State, merkle::hash_pair, to_ssz};
use serde_json::{Value, json};

use super::support::{Node, get, get_as};

const SSZ: &str = "application/octet-stream";
const JSON: &str = "application/json";

/// Paths that name a block: its root, and its slot if it is canonical.
fn ids(node: &Node, root: &Root) -> Vec<String> {
    let slot = node.made[root].signed.block.slot;
    let mut ids = vec![root.to_string()];
    if node.canonical(slot) == *root {
        ids.push(slot.to_string());
    }
    ids
}

#[test]
fn the_state_of_every_block_is_the_models_and_hashes_to_its_root() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    assert!(node.made.contains_key(&side) && node.made.len() == 9);
    for is_cold in [false, true] {
        for (root, made) in &node.made {
            for id in ids(&node, root) {
                if is_cold {
                    node.chain.states().clear();
                }
                let answer = get(server.api_address(), &format!("/lean/v0/states/{id}"));
                assert_eq!((answer.status, answer.content_type()), (200, SSZ), "{id}");
                assert_eq!(answer.header("x-block-root"), Some(root.to_string().as_str()));
                assert_eq!(answer.body, made.state, "{id}");
                let state = State::from_ssz(&answer.body).unwrap();
                assert_eq!(state.root(), made.signed.block.state_root, "{id}");
            }
        }
    }
}

#[test]
fn a_state_as_json_says_what_its_ssz_says() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let answer = get_as(server.api_address(), "/lean/v0/states/8", JSON).json();
    let state = State::from_ssz(&node.made[&node.canonical(8)].state).unwrap();
    assert_eq!(answer["slot"], 8);
    assert_eq!(answer["config"]["genesis_time"], state.config.genesis_time);
    assert_eq!(answer["latest_finalized"]["root"], state.latest_finalized.root.to_string());
    let history = answer["historical_block_hashes"].as_array().unwrap();
    assert_eq!(history.len(), 8);
    assert_eq!(history[3], node.canonical(3).to_string());
    assert_eq!(history[4], Root::ZERO.to_string());
    assert_eq!(answer["validators"].as_array().unwrap().len(), 4);
    let zero = &answer["latest_block_header"]["state_root"];
    assert_eq!(zero, &Root::ZERO.to_string(), "as the transition leaves it");
}

#[test]
fn names_are_blocks_of_the_published_view() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let view = node.chain.fork_choice();
    for (name, root) in [
        ("head", view.head()),
        ("justified", view.latest_justified().root),
        ("finalized", view.latest_finalized().root),
        ("genesis", node.canonical(0)),
    ] {
        let state = get(server.api_address(), &format!("/lean/v0/states/{name}"));
        assert_eq!(state.body, node.made[&root].state, "{name}");
        let header = get_as(server.api_address(), &format!("/lean/v0/headers/{name}"), SSZ);
        assert_eq!(header.body, to_ssz(&node.made[&root].signed.block.header()), "{name}");
        let block = get_as(server.api_address(), &format!("/lean/v0/blocks/{name}"), JSON);
        assert_eq!(block.json()["slot"], node.made[&root].signed.block.slot, "{name}");
    }
}

#[test]
fn blocks_are_json_unless_ssz_is_asked_for_and_the_finalized_one_the_other_way_round() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    for root in [node.canonical(8), node.canonical(7), side] {
        let signed = &node.made[&root].signed;
        let ssz = get_as(server.api_address(), &format!("/lean/v0/blocks/{root}"), SSZ);
        assert_eq!((ssz.content_type(), &ssz.body), (SSZ, &to_ssz(signed)));
    }
    let finalized = node.chain.fork_choice().latest_finalized();
    let answer = get(server.api_address(), "/lean/v0/blocks/finalized");
    assert_eq!((answer.status, answer.content_type()), (200, SSZ), "{}", answer.text());
    assert_eq!(answer.body, to_ssz(&node.made[&finalized.root].signed));

    let block = get(server.api_address(), "/lean/v0/blocks/3").json();
    let vote = &node.made[&node.canonical(3)].signed.block.attestations()[0];
    let checkpoint = |slot| json!({ "slot": slot, "root": node.canonical(slot).to_string() });
    assert_eq!(vote.data.head.slot, 2);
    let data = json!({
        "slot": 2, "head": checkpoint(2), "target": checkpoint(2), "source": checkpoint(1),
    });
    let body = json!({ "attestations": [{ "aggregation_bits": "0x1f", "data": data }] });
    assert_eq!(block["body"], body);
    assert_eq!(block["parent_root"], node.canonical(2).to_string());
}

#[test]
fn both_header_routes_answer_the_same() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    for root in node.made.keys() {
        let header = header(server.api_address(), &format!("/lean/v0/headers/{root}"));
        let twin = self::header(server.api_address(), &format!("/lean/v0/blocks/{root}/header"));
        assert_eq!(header, twin);
        let made = node.made[root].signed.block.header();
        let expected = json!({
            "slot": made.slot, "proposer_index": made.proposer_index,
            "parent_root": made.parent_root.to_string(),
            "state_root": made.state_root.to_string(), "body_root": made.body_root.to_string(),
        });
        assert_eq!(header, expected);
    }
    assert_eq!(header(server.api_address(), &format!("/lean/v0/headers/{side}"))["slot"], 7);
}

fn header(server: SocketAddr, path: &str) -> Value {
    get(server, path).json()
}

/// A client needs a root that it trusts and SHA-256, and nobody's word: what it is told of each slot climbs to that root's state.
#[test]
fn a_branch_of_23_hashes_proves_each_slot_under_a_trusted_root() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    let head = node.canonical(8);
    let root = |value: &Value| value.as_str().unwrap().parse::<Root>().unwrap();
    for (trusted, slots) in [(head, 0..9), (side, 0..8), (node.canonical(1), 0..2)] {
        let trusted_header = node.made[&trusted].signed.block.header();
        for (slot, kind) in slots.flat_map(|slot| [(slot, "block"), (slot, "state")]) {
            let path = format!("/lean/v0/proof/{kind}/{slot}?root={trusted}");
            let answer = get(server.api_address(), &path);
            assert_eq!(answer.header("x-block-root"), Some(trusted.to_string().as_str()));
            let proof = answer.json();
            assert_eq!(proof["trusted_header"], to_json(&trusted_header));
            let branch: Vec<Root> = proof["branch"].as_array().unwrap().iter().map(root).collect();
            let index = proof["generalized_index"].as_u64().unwrap();
            assert_eq!(index, (42 << 18) + slot);
            let leaf = root(&proof["root"]);
            if slot == trusted_header.slot {
                assert_eq!((leaf, branch.len()), (trusted, 0));
            } else {
                assert_eq!(branch.len(), 23);
                let climbed = branch.iter().enumerate().fold(leaf, |node, (height, sibling)| {
                    let is_right = index >> height & 1 == 1;
                    if is_right { hash_pair(sibling, &node) } else { hash_pair(&node, sibling) }
                });
                assert_eq!(climbed, trusted_header.state_root, "slot {slot} under {trusted}");
            }
            if slot == 4 {
                assert_eq!((leaf, &proof["header"]), (Root::ZERO, &Value::Null), "proven empty");
                continue;
            }
            let expected = if slot == 7 && trusted == side { side } else { node.canonical(slot) };
            assert_eq!(leaf, expected);
            assert_eq!(proof["header"], to_json(&node.made[&leaf].signed.block.header()));
        }
    }
    let by_default = get(server.api_address(), "/lean/v0/proof/block/2");
    let finalized = node.chain.fork_choice().latest_finalized().root.to_string();
    assert_eq!(by_default.header("x-block-root"), Some(finalized.as_str()));
    for (path, refusal) in [
        (format!("9?root={head}"), (400, "invalid_request")),
        ("18446744073709551615?root=head".to_owned(), (400, "invalid_request")),
        ("head".to_owned(), (400, "invalid_request")),
        ("1?root=0x12".to_owned(), (400, "invalid_id")),
        ("1?root=a&root=b".to_owned(), (400, "invalid_request")),
        (format!("1?root={}", Root::new([7; 32])), (404, "unknown")),
    ] {
        let answer = get(server.api_address(), &format!("/lean/v0/proof/block/{path}"));
        assert_eq!(answer.refusal(), (refusal.0, refusal.1.to_owned()), "{path}");
    }
}

fn to_json(header: &BlockHeader) -> Value {
    serde_json::to_value(Json(header)).unwrap()
}
