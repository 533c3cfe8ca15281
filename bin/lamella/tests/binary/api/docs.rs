//! What docs/api.md shows is what a node answers: every `curl` of it is asked of a real server, and the answers must
//! have the same keys, kinds, constants, statuses and series; and every route of its table is asked.

use std::{net::SocketAddr, time::Instant};

use lamella_network::standing::{Peer, SyncStatus};
use serde_json::Value;

use super::{
    events::Stream,
    support::{Answer, Node, get, request},
};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/api.md");

/// Fields that have the same value on every node, whatever its chain.
const CONSTANTS: [&str; 7] = [
    "code",
    "status",
    "service",
    "schema_version",
    "INTERVALS_PER_SLOT",
    "HISTORICAL_ROOTS_LIMIT",
    "FORK_DIGEST",
];

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

/// The rows of the table under this heading, as cells.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(DOCS).unwrap();
    let (_, section) = text.split_once(&format!("\n{heading}\n")).unwrap();
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).skip(1).collect()).collect()
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Path and query that a command asks for.
fn target(command: &str) -> &str {
    let (_, url) = command.split_once("localhost:5052").unwrap();
    url.split([' ', '\'']).next().unwrap()
}

fn method(command: &str) -> &'static str {
    if command.contains(" -d ") { "POST" } else { "GET" }
}

/// The path with the network of this node in the place of the one in the docs.
fn of_own_network(address: SocketAddr, path: &str) -> String {
    let Some((before, rest)) = path.split_once("/archive/") else { return path.to_owned() };
    let networks = parse(get(address, "/lean/v0/archive").text()).unwrap();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    format!("{before}/archive/{}{}", networks["networks"][0].as_str().unwrap(), &rest[end..])
}

/// Asks what a command asks.
fn ask(address: SocketAddr, command: &str) -> Answer {
    let path = of_own_network(address, target(command));
    let quoted = |flag: &str| {
        let (_, rest) = command.split_once(&format!("{flag} '"))?;
        Some(rest.split('\'').next().unwrap().to_owned())
    };
    let body = quoted("-d");
    let method = method(command);
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
        _ if CONSTANTS.iter().any(|name| at.rsplit('.').next() == Some(name)) => {
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
        let name = |line: &str| line.split(' ').next().unwrap().to_owned();
        let given: Vec<_> = text.lines().map(name).collect();
        let missing: Vec<_> =
            printed.iter().map(|line| name(line)).filter(|shown| !given.contains(shown)).collect();
        return if missing.is_empty() { Ok(()) } else { Err(format!("no {missing:?}")) };
    }
    if let Some(shown) = parse(first) {
        let given = parse(answer.text()).ok_or(format!("no JSON: {}", answer.text()))?;
        let status = shown["code"].as_str().map_or("200".to_owned(), status_of);
        if status != answer.status.to_string() {
            return Err(format!("status {}, the docs say {status}", answer.status));
        }
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

/// The status that the table of errors gives a code.
fn status_of(code: &str) -> String {
    let rows = table("## Errors");
    let row = rows.iter().find(|row| quoted(&row[1]).any(|listed| listed == code));
    row.unwrap_or_else(|| panic!("the table of errors lacks {code}"))[0].clone()
}

#[test]
fn every_route_of_the_table_is_shown() {
    let examples = examples();
    let is_shown = |method: &str, route: &str| {
        examples.iter().any(|Example { command, .. }| {
            let path = target(command).split('?').next().unwrap();
            let (asked, routed) = (path.split('/'), route.split('/'));
            let same = asked.clone().count() == routed.clone().count();
            let mut pairs = asked.zip(routed);
            self::method(command) == method
                && same
                && pairs.all(|(a, b)| a == b || b.starts_with('{'))
        })
    };
    let mut missing = Vec::new();
    let rows = table("## Routes");
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        let of = |kind: fn(&&str) -> bool| {
            let words = quoted(&row[0]).flat_map(|text| text.split(' '));
            words.filter(kind).map(str::to_owned).collect::<Vec<_>>()
        };
        let (methods, paths) =
            (of(|word| !word.starts_with('/')), of(|word| word.starts_with('/')));
        assert!(!methods.is_empty() && !paths.is_empty(), "{row:?}");
        for (method, path) in methods.iter().flat_map(|m| paths.iter().map(move |path| (m, path))) {
            let route = path.split('?').next().unwrap();
            if !is_shown(method, route) {
                missing.push(format!("{method} {route}"));
            }
        }
    }
    assert!(missing.is_empty(), "no example asks {missing:?}");
}

#[test]
fn events_in_the_docs_are_what_an_import_sends() {
    let (mut node, _) = Node::with_chain();
    let server = node.serve();
    let examples = examples();
    let is_stream = |example: &&Example| example.command.contains("/events");
    let Example { command, printed } = examples.iter().find(is_stream).unwrap();
    let (_, topics) = target(command).split_once('?').unwrap();
    let mut stream = Stream::open(server.api_address(), topics);
    node.extend(9);
    let of = |prefix| printed.iter().filter_map(move |line| line.strip_prefix(prefix));
    let shown: Vec<(&str, &str)> = of("event: ").zip(of("data: ")).collect();
    assert!(shown.len() >= 3, "{printed:?}");
    for (topic, data) in shown {
        let (given_topic, given) = stream.next();
        assert_eq!(topic, given_topic);
        assert_eq!(difference(topic, &parse(data).unwrap(), &given), None);
    }
}

#[test]
fn every_answer_in_the_docs_is_what_a_node_answers() {
    let (node, _) = Node::with_chain();
    node.facts.set_sync_status(SyncStatus::Synced);
    let interval = node.facts.current_slot() * 5;
    node.facts.tell(|standing| standing.ticked = Some((interval, Instant::now())));
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
    // A stream does not end: `events_in_the_docs_are_what_an_import_sends`.
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
