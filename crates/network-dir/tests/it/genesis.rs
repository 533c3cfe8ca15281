//! A made network is the one the loaders find, and a folder is a network or none.

use std::{
    fs,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use lamella_network_dir::{
    Bootnode, GenesisConfig, NetworkDir, NodeKey, ValidatorConfig, ValidatorKeys,
    genesis::{GENESIS_LEAD_S, GenesisError, GenesisOptions, NodePorts, create},
};
use lamella_types::genesis_state;
use lamella_xmss::{PRODUCTION, verify};

use crate::{options, small_network};

#[test]
fn the_loaders_find_the_network_that_was_made() {
    // Given a network of 2 nodes and 3 validators.
    let dir = tempfile::tempdir().unwrap();
    let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let summary = small_network(dir.path());
    let paths = NetworkDir::new(dir.path());

    // Then the chain is the one announced, and begins a little later.
    let config = GenesisConfig::load(&paths.config).unwrap();
    assert!(config.genesis_time >= before + GENESIS_LEAD_S);
    assert_eq!(config.genesis_time, summary.genesis_time);
    assert_eq!(config.attestation_committee_count, 1);
    let state = genesis_state(config.genesis_time, config.validators.clone());
    assert_eq!(state.root().to_string(), summary.genesis_state_root);
    assert_eq!(summary.genesis_state_root.len(), 66);

    // And every validator belongs to one node, whose keys sign for it at every slot.
    let assignments = paths.assignments().unwrap().unwrap();
    assert_eq!(assignments.node_ids().collect::<Vec<_>>(), summary.nodes);
    assert_eq!(assignments.of("stranger_0").unwrap(), None);
    for (node_id, indices) in [("lamella_0", vec![0, 2]), ("lamella_1", vec![1])] {
        let assigned = assignments.of(node_id).unwrap().unwrap();
        let keys = ValidatorKeys::load(&config.validators, &assigned, &paths.keys_dir, &PRODUCTION)
            .unwrap();
        assert_eq!(keys.indices().collect::<Vec<_>>(), indices);
        assert_eq!(keys.last_slot_end(), Some(4));
        for validator in &keys.validators {
            let entry = config.validators.get(validator.index).unwrap();
            for (secret, public) in [
                (&validator.attester, entry.attestation_public_key),
                (&validator.proposer, entry.proposal_public_key),
            ] {
                let message = [7; 32];
                for slot in [0, summary.last_signable_slot] {
                    let signature = secret.sign(slot, &message).unwrap().encode();
                    verify(&PRODUCTION, &public.0, slot, &message, &signature).unwrap();
                }
                assert!(secret.sign(summary.last_signable_slot + 1, &message).is_err());
            }
        }
    }
}

#[test]
fn the_nodes_know_themselves_and_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let summary = small_network(dir.path());
    let paths = NetworkDir::new(dir.path());
    let entries = ValidatorConfig::load(&paths.validator_config).unwrap();
    let bootnodes = Bootnode::load_all(&paths.nodes).unwrap();
    assert_eq!((entries.nodes.len(), bootnodes.len()), (2, 2));
    assert_eq!(entries.attestation_committee_count, Some(1));
    for (number, (node_id, bootnode)) in (0u16..).zip(summary.nodes.iter().zip(&bootnodes)) {
        let key = NodeKey::load(&paths.node_key(node_id)).unwrap();
        let entry = entries.node(node_id).unwrap();
        assert_eq!(entry.private_key.as_ref(), Some(&key));
        assert_eq!(entry.is_aggregator, number == 0);
        assert_eq!(entry.count, Some(if number == 0 { 2 } else { 1 }));
        assert_eq!(entry.enr_fields.quic, Some(9001 + number));
        assert_eq!(bootnode.quic_port, Some(9001 + number));
        assert_eq!(bootnode.ip, Some([127, 0, 0, 1].into()));
        let point = key.signing_key().verifying_key().to_sec1_point(true);
        assert_eq!(point.as_bytes(), bootnode.public_key);
    }
    assert_eq!(entries.node("stranger_0"), None);
}

#[test]
fn the_plain_assignment_is_the_annotated_one() {
    let dir = tempfile::tempdir().unwrap();
    small_network(dir.path());
    let paths = NetworkDir::new(dir.path());
    let annotated = paths.assignments().unwrap().unwrap();
    fs::remove_file(&paths.annotated_validators).unwrap();
    let plain = paths.assignments().unwrap().unwrap();
    for node_id in annotated.node_ids() {
        assert_eq!(annotated.of(node_id).unwrap(), plain.of(node_id).unwrap());
    }
    fs::remove_file(&paths.validators).unwrap();
    assert!(paths.assignments().unwrap().is_none());
}

#[test]
#[cfg(unix)]
fn only_the_owner_reads_secrets() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    small_network(dir.path());
    let mut secrets = 0;
    for folder in [dir.path().to_owned(), NetworkDir::new(dir.path()).keys_dir] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let secret = name.ends_with("_sk.ssz")
                || name.ends_with(".key")
                || name == "validator-config.yaml";
            if secret {
                secrets += 1;
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    0o600,
                    "{name}"
                );
            }
        }
    }
    assert_eq!(secrets, 3 * 2 + 2 + 1);
}

#[test]
fn a_network_is_never_overwritten_and_strangers_files_are_not_either() {
    let dir = tempfile::tempdir().unwrap();
    small_network(dir.path());
    let before = contents(dir.path());
    let error = create(&options(dir.path()), &|_| {}).unwrap_err();
    assert!(matches!(error, GenesisError::NetworkExists { .. }), "{error}");

    // Without config.yaml it is no network, but its keys may have signed: they are somebody's.
    fs::remove_file(dir.path().join("config.yaml")).unwrap();
    let error = create(&options(dir.path()), &|_| {}).unwrap_err();
    assert!(matches!(error, GenesisError::WouldOverwrite { .. }), "{error}");
    let after = contents(dir.path());
    assert_eq!(after.len() + 1, before.len());
    assert!(after.iter().all(|file| before.contains(file)));
}

#[test]
fn two_runs_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let second = std::sync::OnceLock::new();
    create(&options(dir.path()), &|_| {
        second.get_or_init(|| create(&options(dir.path()), &|_| {}));
    })
    .unwrap();
    let error = second.into_inner().unwrap().unwrap_err();
    assert!(matches!(error, GenesisError::Busy { .. }), "{error}");
}

#[test]
fn numbers_out_of_bounds_are_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("net");
    let good = options(&out);
    for bad in [
        GenesisOptions { nodes: 0, ..good.clone() },
        GenesisOptions { nodes: 65, ..good.clone() },
        GenesisOptions { validators: 0, ..good.clone() },
        GenesisOptions { validators: 4097, ..good.clone() },
        GenesisOptions { key_slots: 0, ..good.clone() },
        GenesisOptions { ports: Some(vec![NodePorts::of(0)]), ..good.clone() },
        GenesisOptions { key_slots: u64::MAX, ..good.clone() },
        GenesisOptions { genesis_time: Some(1), ..good },
    ] {
        let error = create(&bad, &|_| {}).unwrap_err();
        assert!(error.is_usage(), "{error}");
        assert!(!out.exists());
    }
}

/// Every file below a folder with its bytes.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(contents(&path));
        } else {
            files.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    files
}
