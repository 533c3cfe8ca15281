//! What docs/api.md shows is what a node answers: every `curl` of it is asked of a real server, and the answers must
//! have the same keys, kinds, error codes and series.

use std::net::SocketAddr;

use lamella::api::{Peer, SyncStatus};
use serde_json::Value;

use super::support::{Answer, Node, request};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");

/// A command and what it printed.
struct Example {
    command: String,
    printed: Vec<String>,
}

/// Every `$ curl` in a code block, with the lines up to the next command or the block's end.
fn examples() -> Vec<Example> {
    let text = std::fs::read_to_string(DOCS).unwrap();
    let mut examples: Vec<Example> = Vec::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_code) {
            examples.push(Example { command: command.to_owned(), printed: Vec::new() });
        } else if is_code {
            examples.last_mut().unwrap().printed.push(line.to_owned());
        }
    }
    examples
}

/// Asks what a command asks.
fn ask(address: SocketAddr, command: &str) -> Answer {
    let (_, url) = command.split_once("localhost:5052").unwrap();
    let path: String = url.chars().take_while(|c| !matches!(c, ' ' | '\'')).collect();
    let quoted = |flag: &str| {
        let (_, rest) = command.split_once(&format!("{flag} '"))?;
        Some(rest.split('\'').next().unwrap().to_owned())
    };
    let body = quoted("-d");
    let method = if body.is_some() { "POST" } else { "GET" };
    let header = quoted("-H").unwrap_or_else(|| "Accept: */*".to_owned());
    let head = format!("{method} {path} HTTP/1.1\r\n{header}");
    request(address, &head, &body.unwrap_or_default())
}

/// JSON as the docs cut it: `…` for the rest of a list, or of a string.
fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(&text.replace(",…]", "]")).ok()
}

/// Where two values differ in more than their figures.
fn difference(at: &str, shown: &Value, given: &Value) -> Option<String> {
    match (shown, given) {
        (Value::Object(shown), Value::Object(given)) => {
            let keys = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect();
            let (shown_keys, given_keys): (Vec<_>, Vec<_>) = (keys(shown), keys(given));
            if shown_keys != given_keys {
                return Some(format!("{at}: shown {shown_keys:?}, given {given_keys:?}"));
            }
            shown
                .iter()
                .find_map(|(key, value)| difference(&format!("{at}.{key}"), value, &given[key]))
        }
        (Value::Array(shown), Value::Array(given)) => match (shown.first(), given.first()) {
            (Some(shown), Some(given)) => difference(&format!("{at}[0]"), shown, given),
            (Some(_), None) => Some(format!("{at}: given an empty list")),
            _ => None,
        },
        (Value::String(shown), Value::String(given)) if at.ends_with(".code") => {
            (shown != given).then(|| format!("{at}: shown {shown}, given {given}"))
        }
        // What a node without peers or keys does not have.
        (_, Value::Null) => None,
        _ => {
            let is_same = std::mem::discriminant(shown) == std::mem::discriminant(given);
            (!is_same).then(|| format!("{at}: shown {shown}, given {given}"))
        }
    }
}

fn check(address: SocketAddr, example: &Example) -> Result<(), String> {
    let Example { command, printed } = example;
    let first = printed.first().ok_or("no answer is shown")?;
    let answer = ask(address, command);
    if command.contains("/metrics") {
        let text = answer.text();
        let series = printed.iter().map(|line| line.split(' ').next().unwrap());
        let missing: Vec<_> = series.filter(|series| !text.contains(series)).collect();
        return if missing.is_empty() { Ok(()) } else { Err(format!("no {missing:?}")) };
    }
    if let Some(shown) = parse(first) {
        let given = parse(answer.text()).ok_or(format!("no JSON: {}", answer.text()))?;
        return difference("", &shown, &given).map_or(Ok(()), Err);
    }
    // Bytes: their status and headers are shown, as `curl -i` or `--write-out` prints them.
    let shown = printed.join("\n").to_lowercase();
    let content_type = answer.content_type();
    let has_root = answer.header("x-block-root").is_some() || !shown.contains("x-block-root");
    if shown.contains(&answer.status.to_string()) && shown.contains(content_type) && has_root {
        Ok(())
    } else {
        Err(format!("given {} {content_type}", answer.status))
    }
}

#[test]
fn every_answer_in_the_docs_is_what_a_node_answers() {
    let (node, _) = Node::with_chain();
    node.facts.set_sync_status(SyncStatus::Synced);
    node.facts.set_peers(vec![Peer {
        peer_id: "16Uiu2HAm".to_owned(),
        address: "/ip4/127.0.0.1/udp/9001/quic-v1".to_owned(),
        direction: "inbound",
        client: Some("lamella".to_owned()),
        head_slot: Some(9),
        finalized_slot: Some(6),
        is_in_mesh: true,
    }]);
    let server = node.serve();
    let mut failures = Vec::new();
    let mut count = 0;
    // A stream does not end; its events have tests of their own.
    for example in examples().iter().filter(|example| !example.command.contains("/events")) {
        assert!(example.command.starts_with("curl "), "{}", example.command);
        count += 1;
        if let Err(failure) = check(server.api_address(), example) {
            failures.push(format!("{}: {failure}", example.command));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    assert!(count >= 20, "only {count} examples were found");
}
