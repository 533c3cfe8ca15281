//! What goes around a node knows the node: metrics that it has, flags that it takes, sections that explain each alert.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser as _;
use lamella::cli::Cli;
use serde_json::Value;

use crate::node::{Node, field, get, network};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn contrib(file: &str) -> String {
    fs::read_to_string(repository().join("contrib").join(file)).unwrap()
}

/// Names of ours in a text. A histogram's parts count as the histogram.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let ours = words.filter(|word| word.starts_with("lean_"));
    let whole = |word: &str| {
        let parts = ["_bucket", "_sum", "_count"];
        let histogram = parts.iter().find_map(|part| word.strip_suffix(part));
        histogram.filter(|name| name.ends_with("_seconds")).unwrap_or(word).to_owned()
    };
    ours.map(whole).collect()
}

#[test]
fn the_dashboard_and_the_alerts_ask_for_metrics_that_a_node_has() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    network(&net);
    let mut node = Node::start(&net, &dir.path().join("data"));
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let (_, scraped) = get(field(&line, "api").unwrap(), "/metrics");
    let scraped = String::from_utf8(scraped).unwrap();
    let has: BTreeSet<_> = metrics_in(&scraped);
    assert!(has.len() > 50, "{has:?}");
    let board = contrib("grafana/lamella.json");
    let panels = serde_json::from_str::<Value>(&board).unwrap()["panels"].as_array().unwrap().len();
    assert!(panels > 20, "{panels}");
    for text in [board, contrib("prometheus/alerts.yml")] {
        let missing: Vec<_> = metrics_in(&text).difference(&has).cloned().collect();
        assert_eq!(missing, [""; 0]);
    }
}

#[test]
fn every_alert_has_a_section_that_says_what_to_do() {
    let alerts = contrib("prometheus/alerts.yml");
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    let alerts: BTreeSet<_> = alerts.collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    let page = fs::read_to_string(repository().join("docs/operating.md")).unwrap();
    let sections = page.lines().filter_map(|line| line.strip_prefix("### "));
    let sections: BTreeSet<_> = sections.filter(|title| title.starts_with("Lamella")).collect();
    assert_eq!(sections, alerts);
}

/// The words of a command line, as a start of the program would get them.
fn parses(line: &str) {
    let parsed = Cli::try_parse_from(line.split_whitespace());
    assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
}

#[test]
fn the_unit_the_image_and_quickstart_pass_flags_that_exist() {
    let unit = contrib("systemd/lamella.service");
    parses(unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap());
    let image = contrib("docker/Dockerfile");
    let run = image.lines().find_map(|line| line.split_once(" lamella node ")).unwrap();
    parses(&format!("lamella node {}", run.1));
    let file = repository().join("contrib/quickstart/client-cmds/lamella-cmd.sh");
    for (aggregator, subnets, url) in [("false", "", ""), ("true", "0,1", "http://a:5052")] {
        let sourced = Command::new("bash")
            .args(["-euc", r#"source "$0"; echo "$node_binary"; echo "$node_docker""#])
            .arg(&file)
            .env("scriptDir", "/quickstart")
            .envs([("item", "lamella_0"), ("configDir", "/genesis"), ("dataDir", "/data")])
            .envs([("quicPort", "9011"), ("apiPort", "5061"), ("metricsPort", "8091")])
            .envs([("isAggregator", aggregator), ("aggregateSubnetIds", subnets)])
            .envs([("attestationCommitteeCount", "2"), ("checkpoint_sync_url", url)])
            .output()
            .unwrap();
        assert!(sourced.status.success(), "{}", String::from_utf8_lossy(&sourced.stderr));
        let said = String::from_utf8(sourced.stdout).unwrap();
        assert_eq!(said.lines().count(), 2, "{said}");
        for line in said.lines() {
            assert!(line.contains(" node --network-dir "), "{line}");
            assert_eq!(line.contains("--is-aggregator"), aggregator == "true", "{line}");
            parses(line);
        }
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    let lamella = |arguments: &[&str]| {
        let output = Command::new(crate::node::BINARY).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "zsh", "fish"] {
        let script = lamella(&["completions", shell]);
        assert!(script.contains("checkpoint-sync-url") && script.contains("verify"), "{shell}");
    }
    let script = tempfile::NamedTempFile::new().unwrap();
    fs::write(script.path(), lamella(&["completions", "bash"])).unwrap();
    let completed = Command::new("bash")
        .args(["-euc", r#"source "$0"; COMP_WORDS=(lamella db ver); COMP_CWORD=2; _lamella lamella ver db; echo "${COMPREPLY[*]}""#])
        .arg(script.path())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(completed.stdout).unwrap().trim(), "verify");
    assert!(lamella(&["man"]).starts_with(".ie"), "roff");
    let dir = tempfile::tempdir().unwrap();
    lamella(&["man", "--to", dir.path().to_str().unwrap()]);
    for page in ["lamella.1", "lamella-node.1", "lamella-db-verify.1"] {
        assert!(dir.path().join(page).is_file(), "{page}");
    }
}
