//! Server-sent events.

use std::{
    io::{BufRead as _, BufReader},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use lamella_http_api::{ApiServer, Limits, serve};
use lamella_inspect::served::Change;
use serde_json::json;

use super::support::{Node, any_port, get, send, wait_until};

/// A stream whose head has arrived: whatever is published from now on is in it.
pub(super) struct Stream(BufReader<TcpStream>);

impl Stream {
    pub(super) fn open(server: SocketAddr, topics: &str) -> Self {
        let head = format!("GET /lean/v0/events?{topics} HTTP/1.1");
        let mut stream = Self(BufReader::new(send(server, &head, "")));
        let head: Vec<_> =
            std::iter::from_fn(|| Some(stream.line()).filter(|line| !line.is_empty())).collect();
        assert!(head[0].contains("200"), "{head:?}");
        assert!(head.iter().any(|line| line == "content-type: text/event-stream"), "{head:?}");
        stream
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Topic and data of the next event.
    pub(super) fn next(&mut self) -> (String, serde_json::Value) {
        loop {
            let line = self.line();
            if let Some(topic) = line.strip_prefix("event: ") {
                let data = self.line();
                let data = data.strip_prefix("data: ").unwrap();
                return (topic.to_owned(), serde_json::from_str(data).unwrap());
            }
        }
    }
}

#[test]
fn topics_are_required_and_known() {
    let server = Node::new(4).serve();
    for query in ["", "?topics=", "?topics=head,nonsense", "?topic=head"] {
        let answer = get(server.api_address(), &format!("/lean/v0/events{query}"));
        assert_eq!(answer.refusal(), (400, "invalid_request".to_owned()), "{query}");
        assert!(answer.text().contains("finalized_checkpoint"), "{}", answer.text());
    }
}

#[test]
fn an_import_is_told_to_every_stream_by_topic() {
    let (mut node, _) = Node::with_chain();
    let server = node.serve();
    let mut heads = Stream::open(server.api_address(), "topics=head");
    let mut all = Stream::open(
        server.api_address(),
        "topics=block%2Chead,finalized_checkpoint&topics=justified_checkpoint",
    );
    let before = node.chain.fork_choice();
    let new = node.extend(9);
    let after = node.chain.fork_choice();
    assert_ne!(before.latest_finalized(), after.latest_finalized());
    let state = |root| node.made[&root].signed.block.state_root.to_string();
    let root = new.root.to_string();
    let head = json!({ "slot": 9, "block": root, "state": state(new.root) });
    assert_eq!(heads.next(), ("head".to_owned(), head.clone()));
    assert_eq!(all.next(), ("block".to_owned(), json!({ "slot": 9, "block": root })));
    assert_eq!(all.next(), ("head".to_owned(), head));
    for (topic, of) in [
        ("justified_checkpoint", after.latest_justified()),
        ("finalized_checkpoint", after.latest_finalized()),
    ] {
        let data =
            json!({ "slot": of.slot, "block": of.root.to_string(), "state": state(of.root) });
        assert_eq!(all.next(), (topic.to_owned(), data));
    }
}

#[test]
fn gossip_is_told_and_heads_of_catch_up_are_not() {
    let (node, _) = Node::with_chain();
    let server = node.serve();
    let mut stream = Stream::open(server.api_address(), "topics=head,block_gossip,attestation");
    let view = node.chain.fork_choice();
    let genesis = lamella_fork_choice::ForkChoice::from_anchor(*view.tree_root());
    let change = Change::between(&genesis, &view);
    node.events.changed(&Arc::clone(&node.chain).into(), &change, 8 + 33);
    let root = node.canonical(8);
    node.events.block_gossip(9, &root);
    let gossip = json!({ "slot": 9, "block": root.to_string() });
    assert_eq!(stream.next(), ("block_gossip".to_owned(), gossip));
    let vote = node.made[&root].signed.block.attestations()[0].data;
    node.events.attestation(3, &vote);
    let (topic, data) = stream.next();
    assert_eq!((topic.as_str(), &data["validator_id"]), ("attestation", &json!(3)));
    assert_eq!(data["data"]["target"]["root"], vote.target.root.to_string());
}

#[test]
fn streams_are_few_and_give_their_place_back() {
    let node = Node::new(4);
    let limits = Limits { event_streams: 1, ..Limits::default() };
    let server: ApiServer = serve(&any_port(None), node.context(limits)).unwrap();
    let first = Stream::open(server.api_address(), "topics=head");
    let path = "/lean/v0/events?topics=head";
    assert_eq!(get(server.api_address(), path).refusal().0, 503);
    drop(first);
    wait_until("the place of a closed stream is free", || {
        let head = format!("GET {path} HTTP/1.1");
        let mut line = String::new();
        BufReader::new(send(server.api_address(), &head, "")).read_line(&mut line).unwrap();
        line.contains("200")
    });
}
