//! What goes around a node knows the node: metrics that it has, flags that it takes, sections that explain each alert.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use clap::Parser as _;
use lamella::cli::Cli;
use serde_json::Value;

use crate::{
    follow::{api, follower},
    node::{BINARY, Node, field, get, head_slot, network},
    wait::until,
};

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

/// The output of a program that checks files of its own kind; where there is none, that is said.
fn checked_by(program: &str, arguments: &[&str], file: &Path) -> Option<(bool, String)> {
    let Ok(output) = Command::new(program).args(arguments).arg(file).output() else {
        println!("skipped: {program} is not here");
        return None;
    };
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn alerts() -> BTreeSet<String> {
    let alerts = contrib("prometheus/alerts.yml");
    let alerts = alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: "));
    alerts.map(str::to_owned).collect()
}

/// What was scraped of an instance, for two hours as promtool writes it.
fn series(instance: &str, scraped: &str) -> String {
    let mut series = String::new();
    let samples = scraped.lines().filter(|line| !line.starts_with('#'));
    for (name, value) in samples.filter_map(|line| line.rsplit_once(' ')) {
        let name = match name.split_once('{') {
            Some((name, labels)) => format!("{name}{{instance=\"{instance}\",{labels}"),
            None => format!("{name}{{instance=\"{instance}\"}}"),
        };
        if value.parse::<f64>().is_ok_and(f64::is_finite) {
            writeln!(series, "      - series: '{name}'\n        values: '{value}+0x120'").unwrap();
        }
    }
    series
}

/// Symptom: LamellaNoPeers paged for every follower, for ever, and nothing told of one that is late or parted. Mechanism: a
/// follower shows the gauge of peers at 0, and the rules were only compared with a node's names. Fix: the rules are run over
/// what a node and a follower show.
#[test]
fn of_a_sound_follower_no_alert_is_told_and_of_a_late_or_parted_one_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    let (net, archive) = (folder("net"), folder("archive"));
    fs::create_dir(&archive).unwrap();
    network(&net);
    let to = ["--archive", archive.to_str().unwrap()];
    let mut node = Node::start_with(&net, &folder("data"), &to);
    let mut following = follower(&archive, &folder("follower"));
    let (node_api, follower_api) = (api(&mut node), api(&mut following));
    following.wait_for(|line| head_slot(line).is_some_and(|slot| slot >= 3));
    let scrape = |api: &str| String::from_utf8(get(api, "/metrics").1).unwrap();
    // A busy machine may make it late for a moment.
    let (follower, state) = until("followed", || {
        let scraped = scrape(&follower_api);
        let state = scraped.lines().find(|line| line.starts_with("lean_follow_state "))?.to_owned();
        let is_sound = ["lean_follow_state 2", "lean_follow_state 3"].contains(&state.as_str());
        is_sound.then_some((scraped, state))
    });
    let in_state = |name| follower.replace(&state, &format!("lean_follow_state {name}"));
    let input = [
        series("node", &scrape(&node_api)),
        series("follower", &follower),
        series("late", &in_state(4)),
        series("parted", &in_state(5)),
    ];
    let mut tests = format!(
        "rule_files: [{}]\ntests:\n  - interval: 1m\n    input_series:\n{}    alert_rule_test:\n",
        repository().join("contrib/prometheus/alerts.yml").canonicalize().unwrap().display(),
        input.concat(),
    );
    // The node is alone, and its keys are as short as a test's.
    for alert in alerts().iter().filter(|alert| !alert.starts_with("LamellaKeys")) {
        let told = match alert.as_str() {
            "LamellaNoPeers" => [("node", "node has no peer")].as_slice(),
            "LamellaFollowerBehind" => &[(
                "late",
                "late: nothing came from the archive that it follows for 5 minutes and more",
            )],
            "LamellaFollowerDiverged" => &[(
                "parted",
                "parted: its chain and that of the archive parted, it follows no more",
            )],
            _ => &[],
        };
        writeln!(tests, "      - {{eval_time: 90m, alertname: {alert}, exp_alerts: [").unwrap();
        for (instance, summary) in told {
            let labels = format!("{{instance: {instance}, severity: page}}");
            writeln!(
                tests,
                "          {{exp_labels: {labels}, exp_annotations: {{summary: '{summary}'}}}}]}}"
            )
            .unwrap();
        }
        if told.is_empty() {
            writeln!(tests, "        ]}}").unwrap();
        }
    }
    let file = folder("alerts_test.yml");
    fs::write(&file, tests).unwrap();
    if let Some((holds, said)) = checked_by("promtool", &["test", "rules"], &file) {
        assert!(holds, "{said}");
    }
}

#[test]
fn every_alert_has_a_section_that_says_what_to_do() {
    let alerts = alerts();
    assert!(alerts.len() > 10, "{alerts:?}");
    let page = fs::read_to_string(repository().join("docs/operating.md")).unwrap();
    let sections = page.lines().filter_map(|line| line.strip_prefix("### "));
    let sections = sections.filter(|title| title.starts_with("Lamella")).map(str::to_owned);
    let sections: BTreeSet<_> = sections.collect();
    assert_eq!(sections, alerts);
}

/// The words of a command line, as a start of the program would get them.
fn parses(line: &str) {
    let parsed = Cli::try_parse_from(line.split_whitespace());
    assert!(parsed.is_ok(), "{line}: {}", parsed.unwrap_err());
}

#[test]
fn systemd_knows_every_line_of_the_unit() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("lamella.service");
    fs::write(&file, contrib("systemd/lamella.service").replace("/usr/local/bin/lamella", BINARY))
        .unwrap();
    if let Some((holds, said)) = checked_by("systemd-analyze", &["verify", "--man=no"], &file) {
        assert!(holds && said.is_empty(), "{said}");
    }
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
        let output = Command::new(BINARY).args(arguments).output().unwrap();
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
