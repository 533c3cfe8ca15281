//! Damaged, missing and mixed-up files give the error that names them.

use std::{fs, path::Path};

use lamella_network_dir::{
    AssignedValidator, Assignments, Bootnode, GenesisConfig, NetworkDir, NetworkFileError, NodeKey,
    ValidatorConfig, ValidatorKeyError, ValidatorKeys,
};
use lamella_types::Validators;

use crate::small_network;

#[test]
fn no_prefix_of_a_file_panics_a_loader() {
    let dir = tempfile::tempdir().unwrap();
    small_network(dir.path());
    let paths = NetworkDir::new(dir.path());
    let cut = dir.path().join("cut");
    let files = [
        &paths.config,
        &paths.annotated_validators,
        &paths.validators,
        &paths.validator_config,
        &paths.nodes,
    ];
    for path in files {
        let text = fs::read(path).unwrap();
        for end in 0..text.len() {
            let tail = [&b""[..], b"\xff", b"\t:", b"]["][end % 4];
            fs::write(&cut, [&text[..end], tail].concat()).unwrap();
            let _ = GenesisConfig::load(&cut);
            let _ = Assignments::load(&cut).map(|found| found.of("lamella_0").is_ok());
            let _ = ValidatorConfig::load(&cut);
            let _ = Bootnode::load_all(&cut);
            let _ = NodeKey::load(&cut);
        }
    }
}

#[test]
fn absent_unreadable_and_endless_files_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let absent = GenesisConfig::load(&dir.path().join("config.yaml")).unwrap_err();
    assert!(matches!(absent, NetworkFileError::Missing { .. }));
    assert!(absent.to_string().contains("lamella genesis"), "{absent}");
    let folder = GenesisConfig::load(dir.path()).unwrap_err();
    assert!(matches!(folder, NetworkFileError::Read { .. }), "{folder}");
    let endless = NodeKey::load(Path::new("/dev/zero")).unwrap_err();
    assert!(matches!(endless, NetworkFileError::TooLarge { .. }), "{endless}");
}

#[test]
fn the_files_may_be_in_the_folder_or_in_its_genesis_folder() {
    let dir = tempfile::tempdir().unwrap();
    let below = dir.path().join("genesis");
    assert_eq!(NetworkDir::find(dir.path()), NetworkDir::new(dir.path()));
    fs::create_dir(&below).unwrap();
    fs::write(below.join("config.yaml"), "").unwrap();
    assert_eq!(NetworkDir::find(dir.path()), NetworkDir::new(&below));
    fs::write(dir.path().join("config.yaml"), "").unwrap();
    assert_eq!(NetworkDir::find(dir.path()), NetworkDir::new(dir.path()));
}

#[test]
fn the_role_of_a_key_is_in_its_name_or_else_in_the_order() {
    let row =
        |file: &str| format!("  - index: 3\n    pubkey_hex: 00ff\n    privkey_file: {file}\n");
    for (first, second, attester_first) in [
        ("validator_3_attester_key_sk.ssz", "validator_3_proposer_key_sk.ssz", true),
        ("validator_3_proposer_key_sk.ssz", "validator_3_attester_key_sk.ssz", false),
        ("3_attestation_sk.ssz", "3_proposal_sk.ssz", true),
        ("3_proposal_sk.ssz", "3_other.ssz", false),
        ("a.ssz", "b.ssz", true),
        ("proposer/a.ssz", "proposer/b.ssz", true),
    ] {
        let found = annotated(&format!("ream_0:\n{}{}", row(first), row(second))).unwrap();
        let (attester, proposer) = if attester_first { (first, second) } else { (second, first) };
        let expected = AssignedValidator {
            index: 3,
            attester_key_file: attester.into(),
            proposer_key_file: proposer.into(),
        };
        assert_eq!(found.of("ream_0").unwrap(), Some(vec![expected]));
    }
    for rows in [
        row("attester.ssz"),
        row("attester.ssz") + &row("attester_2.ssz"),
        row("a.ssz") + &row("b.ssz") + &row("c.ssz"),
    ] {
        let found = annotated(&format!("ream_0:\n{rows}other_0:\n  []\nempty_0:\n")).unwrap();
        let error = found.of("ream_0").unwrap_err();
        assert!(matches!(error, NetworkFileError::KeyFiles { index: 3, .. }), "{error}");
        // Another node's rows are its own affair.
        assert_eq!(found.of("other_0").unwrap(), Some(vec![]));
        assert_eq!(found.of("empty_0").unwrap(), Some(vec![]));
    }
}

#[test]
fn plain_assignments_come_with_or_without_a_top_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("validators.yaml");
    for text in
        ["zeam_0: [3, 0]\nx_0: []\n", "validators:\n  zeam_0:\n    - 0\n    - 3\n  x_0: []\n"]
    {
        fs::write(&path, text).unwrap();
        let found = Assignments::load(&path).unwrap();
        let validators = found.of("zeam_0").unwrap().unwrap();
        assert_eq!(validators.iter().map(|validator| validator.index).collect::<Vec<_>>(), [0, 3]);
        assert_eq!(validators[1].proposer_key_file, Path::new("validator_3_proposer_key_sk.ssz"));
        assert_eq!(found.of("validators").unwrap(), None);
    }
    fs::write(&path, "a: [0]\nb: [1, 0]\n").unwrap();
    let error = Assignments::load(&path).unwrap_err();
    assert!(matches!(error, NetworkFileError::SharedValidator { index: 0, .. }), "{error}");
    fs::write(&path, "a: [zero]\n").unwrap();
    let error = Assignments::load(&path).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[test]
fn a_node_entry_may_say_more_or_less() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("validator-config.yaml");
    let text = "shuffle: roundrobin\nconfig: { activeEpoch: 18, keyType: hash-sig }\nvalidators:\n  \
                - name: \"a_0\"\n    privkey: 0x2995299529952995299529952995299529952995299529952995299529952995\n    \
                enrFields: { ip: host.example, quic: 9007, ip6: \"::1\", seq: 1 }\n    devnet: 5\n    \
                metricsPort: 8087\n    apiPort: 8087\n    isAggregator: true\n    count: 1\n  \
                - name: b_0\n    enr: \"enr:x\"\n";
    fs::write(&path, text).unwrap();
    let config = ValidatorConfig::load(&path).unwrap();
    assert_eq!(config.attestation_committee_count, None);
    let full = config.node("a_0").unwrap();
    assert_eq!((full.metrics_port, full.api_port), (Some(8087), Some(8087)));
    assert_eq!(full.enr_fields.quic, Some(9007));
    assert!(full.is_aggregator && full.private_key.is_some());
    let sparse = config.node("b_0").unwrap();
    assert!(!sparse.is_aggregator && sparse.private_key.is_none() && sparse.api_port.is_none());

    fs::write(&path, text.replace("0x2995", "0x299")).unwrap();
    let message = ValidatorConfig::load(&path).unwrap_err().to_string();
    assert!(message.contains("validators[0]") && message.contains("63"), "{message}");
    assert!(!message.contains("9952995"), "a secret in {message}");
}

#[test]
fn keys_of_another_validator_role_or_network_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    small_network(dir.path());
    let paths = NetworkDir::new(dir.path());
    let registry = GenesisConfig::load(&paths.config).unwrap().validators;
    let validator = |index: u64, attester: &str, proposer: &str| AssignedValidator {
        index,
        attester_key_file: attester.into(),
        proposer_key_file: proposer.into(),
    };
    let (attester, proposer) =
        ("validator_0_attester_key_sk.ssz", "validator_0_proposer_key_sk.ssz");
    let load = |registry: &Validators, assigned: &[AssignedValidator]| {
        ValidatorKeys::load(registry, assigned, &paths.keys_dir, &lamella_xmss::PRODUCTION)
            .unwrap_err()
    };

    let error = load(&registry, &[validator(0, proposer, attester)]);
    assert!(matches!(error, ValidatorKeyError::WrongKey { index: 0, .. }), "{error}");
    let error = load(&registry, &[validator(1, attester, proposer)]);
    assert!(matches!(error, ValidatorKeyError::WrongKey { index: 1, .. }), "{error}");
    let error = load(&registry, &[validator(3, attester, proposer)]);
    assert!(matches!(error, ValidatorKeyError::UnknownValidator { index: 3, count: 3 }), "{error}");
    let error = load(&registry, &[validator(0, attester, "gone.ssz")]);
    assert!(matches!(error, ValidatorKeyError::File { index: 0, .. }), "{error}");

    // One key in two places would sign twice in a slot.
    let mut entry = registry.get(0).unwrap();
    entry.proposal_public_key = entry.attestation_public_key;
    let one_key = Validators::new(&[entry]).unwrap();
    let error = load(&one_key, &[validator(0, attester, attester)]);
    assert!(matches!(error, ValidatorKeyError::ReusedKey { index: 0, .. }), "{error}");

    let path = paths.keys_dir.join(attester);
    let whole = fs::read(&path).unwrap();
    for end in [0, 1, 87, 88, whole.len() / 2, whole.len() - 1] {
        fs::write(&path, &whole[..end]).unwrap();
        let error = load(&registry, &[validator(0, attester, proposer)]);
        assert!(matches!(error, ValidatorKeyError::Decode { index: 0, .. }), "{end}: {error}");
    }
}

fn annotated(text: &str) -> Result<Assignments, NetworkFileError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("annotated_validators.yaml");
    fs::write(&path, text).unwrap();
    Assignments::load(&path)
}
