//! The texts of a network's files, made of the types that read them.

use lamella_types::Validator;
use serde::{Serialize, Serializer, ser::SerializeMap as _};

use super::{GenesisError, keys::ROLES, node::Node};
use crate::{
    EnrFields, NodeEntry, Role,
    assignment::{ByNode, KeyRow, Row},
    config::ConfigFile,
    node_entry::ValidatorConfigFile,
};

/// How many of so many nodes aggregate. lean-quickstart chooses one, and finality ends with it; of two any one may die. In
/// a network of two nodes finality ends with either anyway, so there the second one would only cost.
#[must_use]
pub const fn aggregators(nodes: usize) -> usize {
    if nodes < 3 { 1 } else { 2 }
}

/// What the texts are made from.
pub(super) struct Network<'a> {
    pub(super) nodes: &'a [Node],
    pub(super) validators: &'a [Validator],
    pub(super) key_slots: u64,
}

impl Network<'_> {
    pub(super) fn config(&self, genesis_time: u64, slot_ms: u64) -> Result<String, GenesisError> {
        yaml(&ConfigFile::new(genesis_time, slot_ms, self.validators, self.log_slots()))
    }

    pub(super) fn validators(&self) -> Result<String, GenesisError> {
        self.by_node(|validator| vec![Row { index: validator.index, key: None }])
    }

    pub(super) fn annotated_validators(&self) -> Result<String, GenesisError> {
        self.by_node(|validator| {
            let index = validator.index;
            let row = |role: Role| {
                let (public_key, file) =
                    (Some(public_key(validator, role)), role.default_key_file(index));
                Row { index, key: Some(KeyRow { public_key, file }) }
            };
            ROLES.map(row).into()
        })
    }

    pub(super) fn validator_config(&self) -> Result<String, GenesisError> {
        let nodes = self.nodes.iter().enumerate().map(|(number, node)| NodeEntry {
            name: node.node_id.clone(),
            private_key: Some(node.private_key.clone()),
            enr_fields: EnrFields { ip: Some(Node::IP.to_string()), quic: Some(node.ports.quic) },
            metrics_port: Some(node.ports.metrics),
            api_port: Some(node.ports.api),
            is_aggregator: number < aggregators(self.nodes.len()),
            count: Some(self.validators_of(number).count() as u64),
        });
        yaml(&ValidatorConfigFile::new(nodes.collect(), self.log_slots()))
    }

    pub(super) fn nodes(&self) -> Result<String, GenesisError> {
        yaml(&self.nodes.iter().map(|node| &node.enr).collect::<Vec<_>>())
    }

    /// `validator-keys-manifest.yaml`. It names the scheme in use; generators still write the one before it.
    pub(super) fn manifest(&self) -> Result<String, GenesisError> {
        yaml(&Manifest {
            key_scheme: "SIGAbortingTargetSumLifetime32Dim46Base8",
            hash_function: "Poseidon1",
            encoding: "TargetSum",
            lifetime: lamella_xmss::PRODUCTION.lifetime_slots(),
            log_num_active_epochs: self.log_slots(),
            num_active_epochs: self.key_slots,
            num_validators: self.validators.len(),
            validators: self.validators.iter().map(ManifestEntry).collect(),
        })
    }

    /// The generator's `roundrobin`: validator i belongs to node i mod N.
    fn validators_of(&self, number: usize) -> impl Iterator<Item = &Validator> {
        self.validators.iter().skip(number).step_by(self.nodes.len())
    }

    fn by_node(&self, rows: impl Fn(&Validator) -> Vec<Row>) -> Result<String, GenesisError> {
        let nodes = self.nodes.iter().enumerate();
        let by_node: ByNode = nodes
            .map(|(number, node)| {
                let rows = self.validators_of(number).flat_map(&rows).collect();
                (node.node_id.clone(), Some(rows))
            })
            .collect();
        yaml(&by_node)
    }

    /// The generator counts active slots in powers of two: the next one up.
    const fn log_slots(&self) -> u32 {
        self.key_slots.next_power_of_two().trailing_zeros()
    }
}

/// The list of keys, which no node reads.
#[derive(Serialize)]
struct Manifest<'a> {
    key_scheme: &'a str,
    hash_function: &'a str,
    encoding: &'a str,
    lifetime: u64,
    log_num_active_epochs: u32,
    num_active_epochs: u64,
    num_validators: usize,
    validators: Vec<ManifestEntry<'a>>,
}

/// `index`, and for each role `{role}_key_pubkey_hex` and `{role}_key_privkey_file`.
struct ManifestEntry<'a>(&'a Validator);

impl Serialize for ManifestEntry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (validator, mut map) = (self.0, serializer.serialize_map(None)?);
        map.serialize_entry("index", &validator.index)?;
        for role in ROLES {
            let key = format!("0x{}", public_key(validator, role));
            map.serialize_entry(&format!("{role}_key_pubkey_hex"), &key)?;
            let file = role.default_key_file(validator.index);
            map.serialize_entry(&format!("{role}_key_privkey_file"), &file)?;
        }
        map.end()
    }
}

fn public_key(validator: &Validator, role: Role) -> String {
    hex::encode(match role {
        Role::Attester => validator.attestation_public_key.0,
        Role::Proposer => validator.proposal_public_key.0,
    })
}

fn yaml(value: &impl Serialize) -> Result<String, GenesisError> {
    Ok(serde_yaml_ng::to_string(value)?)
}
