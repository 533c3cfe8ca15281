//! The binary: exit codes, one-line errors, what goes to which stream.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Output, Stdio},
};

use lamella_network_dir::{GenesisConfig, NetworkDir, genesis::GENESIS_LEAD_S};

fn lamella(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lamella")).args(args).output().unwrap()
}

fn genesis(out: &Path, more: &[&str]) -> Output {
    let out = out.to_str().unwrap();
    lamella(&[&["genesis", "--validators", "1", "--key-slots", "2", "--out", out], more].concat())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn a_network_is_made_once_and_the_next_command_is_printed() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("my net");
    let made = genesis(&out, &[]);
    assert_eq!(made.status.code(), Some(0), "{}", text(&made.stderr));
    let next = format!(
        "lamella node --network-dir '{0}' --node-id lamella_0 --data-dir '{0}/data/lamella_0'",
        out.display()
    );
    assert!(text(&made.stdout).contains(&next), "{}", text(&made.stdout));
    assert!(text(&made.stdout).contains("slots 0 to 1,"), "{}", text(&made.stdout));

    let again = genesis(&out, &[]);
    assert_eq!((again.status.code(), text(&again.stdout)), (Some(1), ""));
    let error = text(&again.stderr);
    assert!(error.starts_with("error: ") && error.contains("choose another --out"), "{error}");
    assert_eq!(error.lines().count(), 1);
}

#[test]
fn json_is_all_there_is_on_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let made = genesis(&dir.path().join("net"), &["--json", "--genesis-time", "99999999999"]);
    let value: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(value["network"]["genesis_time"], 99_999_999_999_u64);
    assert_eq!(value["network"]["last_signable_slot"], 1);
    assert_eq!(value["commands"].as_array().unwrap().len(), 1);
}

#[test]
fn wrong_use_exits_with_2_and_failure_with_1() {
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    for more in
        [["--nodes", "65"], ["--nodes", "-1"], ["--genesis-time", "1"], ["--no-such", "flag"]]
    {
        let failed = genesis(&net, &more);
        assert_eq!((failed.status.code(), text(&failed.stdout)), (Some(2), ""), "{more:?}");
        assert!(text(&failed.stderr).starts_with("error: "), "{}", text(&failed.stderr));
    }
    assert_eq!(lamella(&[]).status.code(), Some(2));
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let failed = genesis(&file, &[]);
    assert_eq!(failed.status.code(), Some(1));
    assert_eq!(text(&failed.stderr).lines().count(), 1, "{}", text(&failed.stderr));
}

#[test]
fn help_names_every_default() {
    let help = lamella(&["genesis", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    let help = text(&help.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    for part in
        ["[default: 4096]", &format!("{GENESIS_LEAD_S} s after the keys are made"), "4 h 33 min"]
    {
        assert!(help.contains(part), "{part:?} not in {help}");
    }
    let version = lamella(&["--version"]);
    assert_eq!(text(&version.stdout), format!("lamella {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_run_killed_while_making_keys_leaves_no_network_and_the_next_one_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("net");
    let paths = NetworkDir::new(&out);
    // Given a run killed while it makes keys, and what else a kill can leave.
    let mut run = Command::new(env!("CARGO_BIN_EXE_lamella"))
        .args(["genesis", "--key-slots", "512", "--out", out.to_str().unwrap()])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(run.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("50 %")));
    run.kill().unwrap();
    assert!(!run.wait().unwrap().success());
    assert!(!paths.config.exists());
    assert!(paths.keys_dir.join("validator_0_attester_key_sk.ssz").exists());
    fs::write(out.join("config.yaml.tmp"), "GENESIS_").unwrap();
    fs::write(out.join("stdout.log"), "a stranger").unwrap();

    // When a smaller network is made there.
    assert_eq!(genesis(&out, &[]).status.code(), Some(0));

    // Then it is whole, nothing is left over, and the stranger is.
    assert_eq!(GenesisConfig::load(&paths.config).unwrap().validators.len(), 1);
    assert_eq!(fs::read_dir(&paths.keys_dir).unwrap().count(), 4 + 1);
    let mut names: Vec<_> = fs::read_dir(&out)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "annotated_validators.yaml",
            "config.yaml",
            "hash-sig-keys",
            "lamella_0.key",
            "nodes.yaml",
            "stdout.log",
            "validator-config.yaml",
            "validators.yaml",
        ]
    );
}
