//! The pages of real nodes: over a restart, and all of a network on one.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use super::browser::Browser;
use crate::{
    devnet,
    node::{BINARY, Node, field, network},
    wait::{Lines, PATIENCE},
};

#[test]
fn a_page_outlives_the_restart_of_its_node() {
    let Some(mut browser) = Browser::start() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (net, data) = (directory.path().join("net"), directory.path().join("data"));
    network(&net);
    let mut node = Node::start_with(&net, &data, &["--explorer"]);
    let listening = node.wait_for(|line| line.contains("HTTP API listening"));
    let address = field(&listening, "api").unwrap().to_owned();
    browser.open(&format!("http://{address}/"));
    let head = "Number(document.getElementById('figure-head')?.innerText)";
    browser.wait_for(&format!("{head} >= 3"));
    browser.eval("window.isTheSamePage = true");
    let link =
        |text: &str| format!("document.getElementById('link').innerText.startsWith('{text}')");
    browser.wait_for(&link("live"));

    node.kill();
    browser.wait_for(&link("no answer"));
    // What was shown stays.
    let before = browser.eval(head).as_u64().unwrap();
    let (_, port) = address.rsplit_once(':').unwrap();
    let mut command = Command::new(BINARY);
    command.args(["node", "--node-id", "lamella_0", "--gossipsub-port", "0", "--explorer"]);
    command.args(["--api-port", port, "--metrics-port", port, "--network-dir"]).arg(&net);
    let mut node = Node::spawn({
        command.arg("--data-dir").arg(&data);
        command
    });
    node.wait_for(|line| line.contains("HTTP API listening"));
    browser.wait_for(&link("live"));
    browser.wait_for(&format!("{head} > {before}"));
    assert_eq!(browser.eval("window.isTheSamePage"), true, "nobody loaded it again");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn a_local_network_is_shown_on_one_page() {
    let Some(mut browser) = Browser::start() else { return };
    let _turn = devnet::turn();
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--nodes", "2", "--validators", "2", "--slot-ms", "1000", "--key-slots", "200"];
    let mut run = devnet::command(directory.path(), &flags)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = Lines::of(run.stdout.take().unwrap());
    let deadline = Instant::now() + PATIENCE;
    let url = loop {
        let line = lines.next_before(deadline).unwrap();
        if let Some(url) = line.strip_prefix("pages at ") {
            break url.to_owned();
        }
    };
    // The first slot: every node answers.
    lines.next_before(deadline).unwrap();
    for name in ["127.0.0.1", "localhost"] {
        browser.open(&url.replace("127.0.0.1", name));
        browser.wait_for(
            "document.querySelectorAll('[data-node][data-linked=true] .figure').length === 2",
        );
        browser.wait_for(
            "document.getElementById('agreement').innerText.includes('2 nodes on one head')",
        );
        let head = "Math.min(...[...document.querySelectorAll('.figure')].map((figure) => Number(figure.innerText)))";
        let before = browser.eval(head).as_u64().unwrap();
        browser.wait_for(&format!("{head} > {before}"));
    }
    let asked = browser.asked();
    let is_of_network =
        |url: &String| url.starts_with("http://127.0.0.1:") || url.starts_with("http://localhost:");
    assert!(asked.iter().all(is_of_network), "{asked:?}");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let stopped = Command::new("kill").args(["-INT", &run.id().to_string()]).status().unwrap();
    assert!(stopped.success());
    assert!(run.wait().unwrap().success());
}
