//! The nodes of a network being made: names, ports, identities.

use std::net::Ipv4Addr;

use enr::Enr;

use super::{GenesisError, NODE_PREFIX};
use crate::NodeKey;

/// First ports of a network; node `n` has each plus `n`. With at most 64 nodes the ranges do not meet.
const QUIC_PORT: u16 = 9001;
const METRICS_PORT: u16 = 8081;
const API_PORT: u16 = 5052;

/// Where a node listens, on the loopback address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodePorts {
    /// UDP port of QUIC.
    pub quic: u16,
    /// TCP port of the HTTP API.
    pub api: u16,
    /// TCP port of the metrics; may be the API's.
    pub metrics: u16,
}

impl NodePorts {
    /// The ports of node number `number`, below [`super::NODES_MAX`], unless somebody chooses others.
    #[must_use]
    pub const fn of(number: u16) -> Self {
        Self { quic: QUIC_PORT + number, api: API_PORT + number, metrics: METRICS_PORT + number }
    }
}

/// A node, on the loopback address.
pub(super) struct Node {
    pub(super) node_id: String,
    pub(super) private_key: NodeKey,
    pub(super) ports: NodePorts,
    pub(super) enr: String,
}

impl Node {
    /// Where all nodes listen.
    pub(super) const IP: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// A node with a new identity.
    pub(super) fn new(number: u16, ports: NodePorts) -> Result<Self, GenesisError> {
        let node_id = format!("{NODE_PREFIX}{number}");
        let private_key = NodeKey::random()?;
        let enr = Enr::builder()
            .ip4(Self::IP)
            .add_value("quic", &ports.quic)
            .build(&private_key.signing_key())
            .map_err(|error| GenesisError::NodeRecord {
                node_id: node_id.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self { node_id, private_key, ports, enr: enr.to_base64() })
    }
}
