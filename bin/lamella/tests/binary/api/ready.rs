//! `GET /lean/v0/node/ready` over a socket; what it judges is tested where it is judged.

use std::time::Instant;

use lamella_network::standing::SyncStatus;

use super::support::{Node, get};

#[test]
fn a_node_is_ready_when_all_is_well_and_says_what_is_not() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let ready = || get(server.api_address(), "/lean/v0/node/ready");
    let never = ready();
    assert_eq!((never.status, &never.json()["is_ready"]), (503, &false.into()));
    assert_eq!(never.json()["ticks"]["is_ok"], false);

    node.facts.set_sync_status(SyncStatus::Synced);
    node.facts.tell(|standing| {
        standing.ticked = Some((node.facts.current_slot() * 5, Instant::now()));
        standing.dials_nobody = true;
    });
    let well = ready();
    assert_eq!((well.status, &well.json()["is_ready"]), (200, &true.into()), "{}", well.text());

    node.facts.tell(|standing| standing.guard_failure = Some("no space left".to_owned()));
    let silent = ready();
    assert_eq!(silent.status, 503);
    let reason = silent.json()["keys"]["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("no space left"), "{reason}");
    let wrong = silent.json();
    let wrong = wrong.as_object().unwrap().iter().filter(|(_, check)| check["is_ok"] == false);
    assert_eq!(wrong.count(), 1, "{}", silent.text());
}
