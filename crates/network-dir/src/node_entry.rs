//! `validator-config.yaml`: ports, identity and role of each node.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    NetworkFileError, NodeKey,
    read::{parse_yaml, read_yaml_text},
};

/// The nodes of a network as its operator described them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatorConfig {
    /// Attestation subnets, if the file says.
    pub attestation_committee_count: Option<u64>,
    /// The nodes, in order.
    pub nodes: Vec<NodeEntry>,
}

/// One node. What the file leaves out is `None`; unknown keys are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeEntry {
    /// `{client}_{n}`: the node id.
    pub name: String,
    /// Its libp2p identity.
    #[serde(
        default,
        rename = "privkey",
        deserialize_with = "node_key",
        serialize_with = "node_key_hex",
        skip_serializing_if = "Option::is_none"
    )]
    pub private_key: Option<NodeKey>,
    /// What its ENR says.
    #[serde(default)]
    pub enr_fields: EnrFields,
    /// TCP port of the metrics; may equal the API's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics_port: Option<u16>,
    /// TCP port of the HTTP API.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_port: Option<u16>,
    /// Whether it aggregates signatures.
    #[serde(default)]
    pub is_aggregator: bool,
    /// Validators it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// Addresses of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrFields {
    /// Where it listens, as written: an address of this or another family, or a host name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ip: Option<String>,
    /// UDP port of QUIC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quic: Option<u16>,
}

impl ValidatorConfig {
    /// Reads `validator-config.yaml`.
    ///
    /// # Errors
    /// A [`NetworkFileError`].
    pub fn load(path: &Path) -> Result<Self, NetworkFileError> {
        let text = read_yaml_text(path, "pass the ports and the role as flags instead")?;
        let file: ValidatorConfigFile = parse_yaml(path, &text)?;
        let attestation_committee_count =
            file.config.and_then(|config| config.attestation_committee_count);
        if attestation_committee_count == Some(0) {
            let field = "config.attestation_committee_count";
            return Err(NetworkFileError::NoCommittee { path: path.into(), field });
        }
        Ok(Self { attestation_committee_count, nodes: file.validators.unwrap_or_default() })
    }

    /// The entry of a node, if the file has one.
    #[must_use]
    pub fn node(&self, node_id: &str) -> Option<&NodeEntry> {
        self.nodes.iter().find(|node| node.name == node_id)
    }
}

/// The file as it stands, read and written.
#[derive(Serialize, Deserialize)]
pub(crate) struct ValidatorConfigFile {
    /// How validators are dealt to the nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    shuffle: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment_mode: Option<String>,
    config: Option<NetworkSettings>,
    validators: Option<Vec<NodeEntry>>,
}

impl ValidatorConfigFile {
    /// The file of a new network on this machine.
    pub(crate) fn new(nodes: Vec<NodeEntry>, log_slots: u32) -> Self {
        let config = NetworkSettings {
            active_epoch: Some(log_slots.into()),
            key_type: Some("hash-sig".to_owned()),
            attestation_committee_count: Some(1),
        };
        Self {
            shuffle: Some("roundrobin".to_owned()),
            deployment_mode: Some("local".to_owned()),
            config: Some(config),
            validators: Some(nodes),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct NetworkSettings {
    #[serde(rename = "activeEpoch", skip_serializing_if = "Option::is_none")]
    active_epoch: Option<u64>,
    #[serde(rename = "keyType", skip_serializing_if = "Option::is_none")]
    key_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_committee_count: Option<u64>,
}

fn node_key_hex<S: Serializer>(key: &Option<NodeKey>, serializer: S) -> Result<S::Ok, S::Error> {
    key.as_ref().map(|key| hex::encode(key.as_bytes())).serialize(serializer)
}

fn node_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodeKey>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}
