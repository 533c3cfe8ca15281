//! The nodes of a network being made: names, ports, identities.

use std::net::Ipv4Addr;

use enr::Enr;

use super::{GenesisError, NODE_PREFIX};
use crate::network_dir::NodeKey;

/// First ports of a network; node `n` has each plus `n`. With at most 64 nodes the ranges do not meet.
const QUIC_PORT: u16 = 9001;
const METRICS_PORT: u16 = 8081;
const API_PORT: u16 = 5052;

/// A node, on the loopback address.
pub(super) struct Node {
    pub(super) node_id: String,
    pub(super) private_key: NodeKey,
    pub(super) quic_port: u16,
    pub(super) metrics_port: u16,
    pub(super) api_port: u16,
    pub(super) enr: String,
}

impl Node {
    /// Where all nodes listen.
    pub(super) const IP: Ipv4Addr = Ipv4Addr::LOCALHOST;

    /// A node with a new identity.
    pub(super) fn new(number: u16) -> Result<Self, GenesisError> {
        let node_id = format!("{NODE_PREFIX}{number}");
        let private_key = NodeKey::random()?;
        let quic_port = QUIC_PORT + number;
        let enr = Enr::builder()
            .ip4(Self::IP)
            .add_value("quic", &quic_port)
            .build(&private_key.signing_key())
            .map_err(|error| GenesisError::NodeRecord {
                node_id: node_id.clone(),
                reason: error.to_string(),
            })?;
        Ok(Self {
            node_id,
            private_key,
            quic_port,
            metrics_port: METRICS_PORT + number,
            api_port: API_PORT + number,
            enr: enr.to_base64(),
        })
    }
}
