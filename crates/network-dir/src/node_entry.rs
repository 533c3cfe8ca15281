//! `validator-config.yaml`: ports, identity and role of each node.

use std::path::Path;

use serde::{Deserialize, Deserializer, de};

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
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeEntry {
    /// `{client}_{n}`: the node id.
    pub name: String,
    /// Its libp2p identity.
    #[serde(default, rename = "privkey", deserialize_with = "node_key")]
    pub private_key: Option<NodeKey>,
    /// What its ENR says.
    #[serde(default)]
    pub enr_fields: EnrFields,
    /// TCP port of the metrics; may equal the API's.
    pub metrics_port: Option<u16>,
    /// TCP port of the HTTP API.
    pub api_port: Option<u16>,
    /// Whether it aggregates signatures.
    #[serde(default)]
    pub is_aggregator: bool,
    /// Validators it runs.
    pub count: Option<u64>,
}

/// Addresses of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct EnrFields {
    /// Where it listens, as written: an address of this or another family, or a host name.
    pub ip: Option<String>,
    /// UDP port of QUIC.
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

#[derive(Deserialize)]
struct ValidatorConfigFile {
    config: Option<NetworkSettings>,
    validators: Option<Vec<NodeEntry>>,
}

#[derive(Deserialize)]
struct NetworkSettings {
    attestation_committee_count: Option<u64>,
}

fn node_key<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<NodeKey>, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map(Some).map_err(de::Error::custom)
}
