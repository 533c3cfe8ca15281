//! Fork trees, participation, and what a block changed in its parent's state.

use lamella_tables::{Key as _, SlotRoot};
use lamella_types::{Decode as _, State};
use serde_json::{Value, json};

use super::support::{Node, get};

fn tree(node: &Node, path: &str) -> Value {
    get(node.serve().api_address(), &format!("/lean/v0/tree/{path}")).json()
}

#[test]
fn the_tree_of_a_past_slot_has_every_branch_with_its_parent() {
    let (node, side) = Node::with_chain();
    let block = |root| {
        let block = &node.made[&root].signed.block;
        json!({
            "slot": block.slot, "root": root.to_string(), "parent_root": block.parent_root.to_string(),
            "proposer_index": block.proposer_index, "is_canonical": root != side,
        })
    };
    let mut at_7 = [side, node.canonical(7)];
    at_7.sort();
    let expected = json!({
        "from": 5, "to": 7, "first_slot": 0, "proofs_from_slot": 5, "head_slot": 8, "finalized_slot": 6,
        "blocks": [block(node.canonical(5)), block(node.canonical(6)), block(at_7[0]), block(at_7[1])],
        "damage": [],
    });
    assert_eq!(tree(&node, "5?slots=3"), expected);
    let all = tree(&node, "0?slots=10240");
    assert_eq!(all["blocks"].as_array().unwrap().len(), 9);
    assert_eq!(tree(&node, "4?slots=1")["blocks"], json!([]), "a skipped slot");
    assert_eq!(tree(&node, "99")["blocks"], json!([]), "beyond the head");
    assert_eq!(tree(&node, "18446744073709551615")["to"], u64::MAX);
    let server = node.serve();
    for route in ["tree", "participation"] {
        for (path, code) in [
            ("1?slots=0", "invalid_request"),
            ("1?slots=10241", "invalid_request"),
            ("1?slots=x", "invalid_request"),
            ("head", "invalid_request"),
            ("-1", "invalid_id"),
        ] {
            let answer = get(server.api_address(), &format!("/lean/v0/{route}/{path}"));
            assert_eq!(answer.refusal(), (400, code.to_owned()), "{route}/{path}");
        }
    }
}

/// Damage hides nothing but itself, and a lost row is never a skipped slot.
#[test]
fn a_damaged_row_of_the_tree_is_listed_beside_what_can_be_read() {
    let (node, _) = Node::with_chain();
    let put = |change: &dyn Fn(&mut lamella_tables::WriteTxn<'_>)| {
        let mut txn = node.chain.database().write_raw().unwrap();
        change(&mut txn);
        txn.commit().unwrap();
    };
    let key = SlotRoot::new(2, node.canonical(2)).encode();
    put(&|txn| txn.put_raw("Headers", &key, &[7; 30]).unwrap());
    let damaged = tree(&node, "0?slots=9");
    assert_eq!(damaged["blocks"].as_array().unwrap().len(), 8);
    let [damage] = damaged["damage"].as_array().unwrap().as_slice() else { panic!("{damaged}") };
    assert_eq!(damage["slot"], 2);
    assert!(damage["error"].as_str().unwrap().contains("Headers"), "{damage}");

    let (node, _) = Node::with_chain();
    let mut txn = node.chain.database().write_raw().unwrap();
    assert!(txn.delete_raw("Canonical", &3_u64.encode()).unwrap());
    txn.commit().unwrap();
    let lost = tree(&node, "0?slots=9");
    assert_eq!(lost["blocks"].as_array().unwrap().len(), 9);
    let [damage] = lost["damage"].as_array().unwrap().as_slice() else { panic!("{lost}") };
    assert!(damage["error"].as_str().unwrap().contains("Canonical"), "{damage}");
    assert_eq!(damage["slot"], Value::Null);
}

#[test]
fn participation_says_who_voted_in_each_slot() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let ask = |path: &str| get(server.api_address(), &format!("/lean/v0/participation/{path}"));
    let slot = |slot: u64, has_block: bool, voters: &str| {
        let root = has_block.then(|| node.canonical(slot).to_string());
        json!({ "slot": slot, "proposer_index": slot % 4, "root": root, "voters": voters })
    };
    // The votes for a slot's block stand in the next one; nobody votes for the head's yet, nor in the empty slot.
    let expected = json!({
        "validator_count": 4,
        "slots": [slot(3, true, "0x1f"), slot(4, false, "0x10"), slot(5, true, "0x1f")],
    });
    assert_eq!(ask("3?slots=3").json(), expected);
    let to_the_head = ask("7?slots=256").json();
    assert_eq!(to_the_head["slots"], json!([slot(7, true, "0x1f"), slot(8, true, "0x10")]));
    assert_eq!(ask("9").refusal(), (404, "beyond_head".to_owned()));
    assert_eq!(ask("1?slots=257").refusal(), (400, "invalid_request".to_owned()));
}

#[test]
fn a_change_shows_a_state_beside_its_parents() {
    let (node, side) = Node::with_chain();
    let server = node.serve();
    let change = |id: &str| get(server.api_address(), &format!("/lean/v0/states/{id}/change"));
    let short = |slot: u64| {
        let made = &node.made[&node.canonical(slot)];
        let state = State::from_ssz(&made.state).unwrap();
        let checkpoint =
            |of: lamella_types::Checkpoint| json!({ "slot": of.slot, "root": of.root.to_string() });
        json!({
            "slot": slot, "state_root": made.signed.block.state_root.to_string(),
            "latest_justified": checkpoint(state.latest_justified), "latest_finalized": checkpoint(state.latest_finalized),
            "history_roots": slot, "tracked_slots": state.justified_slots.len(),
            "justified_slots": state.justified_slots.count_ones(), "validators": 4, "pending_roots": 0, "pending": [],
        })
    };
    let answer = change("8");
    assert_eq!(answer.header("x-block-root"), Some(node.canonical(8).to_string().as_str()));
    let body = answer.json();
    assert_eq!((&body["before"], &body["after"]), (&short(7), &short(8)));
    assert_eq!(body["parent"], node.canonical(7).to_string());
    let stored = &body["stored"];
    assert_eq!((&stored["kind"], &stored["base_slot"]), (&json!("diff"), &json!(7)));
    assert!(stored["bytes"].as_u64().unwrap() < 100, "{stored}");

    let genesis = change("genesis").json();
    assert_eq!((&genesis["before"], &genesis["stored"]["kind"]), (&Value::Null, &json!("anchor")));
    assert_eq!(change(&side.to_string()).json()["after"]["slot"], 7);
    assert_eq!(change("4").refusal(), (404, "skipped_slot".to_owned()));
}
