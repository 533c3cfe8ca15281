//! How to take part in the network, and why there is none.

use std::{io, net::SocketAddr, time::Duration};

use lamella_types::limits::VALIDATOR_REGISTRY_LIMIT;

/// Attestation subnets: one for each validator that there can be. Each is a topic in memory.
pub const SUBNETS_MAX: u64 = VALIDATOR_REGISTRY_LIMIT as u64;

/// A node to dial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dial {
    /// Where.
    pub address: SocketAddr,
    /// Compressed secp256k1 public key, 33 bytes.
    pub public_key: [u8; 33],
}

/// How to take part in the network.
#[derive(Debug, Clone)]
pub struct NetworkConfig {
    /// UDP address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// secp256k1 private key: our identity.
    pub secret_key: [u8; 32],
    /// Whom to dial, again and again. Ourselves among them is ignored.
    pub dial: Vec<Dial>,
    /// Time between two attempts to dial whoever is not connected: 12 s on the lean network.
    pub redial: Duration,
    /// Attestation subnets that exist, at most [`SUBNETS_MAX`].
    pub committee_count: u64,
    /// Attestation subnets that we listen to.
    pub subnets: Vec<u64>,
    /// Bytes of a validator's signature.
    pub signature_bytes: usize,
    /// What we call ourselves, as `name/version`.
    pub agent: String,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The key is no secp256k1 key.
    #[error("the node key is no secp256k1 private key")]
    Key,
    /// A node to dial has an impossible identity.
    #[error("the public key of {0} is no secp256k1 key; check nodes.yaml")]
    DialKey(SocketAddr),
    /// More attestation subnets than could have a validator each.
    #[error(
        "{0} attestation subnets, and at most {SUBNETS_MAX} make sense; check \
         --attestation-committee-count, config.yaml and validator-config.yaml"
    )]
    Subnets(u64),
    /// Gossipsub does not take its parameters.
    #[error("gossip cannot be set up: {0}")]
    Gossip(String),
    /// The port cannot be had.
    #[error("cannot listen on UDP {address}: {reason}; choose another --gossipsub-port")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The transport's reason.
        reason: String,
    },
    /// The network's threads cannot be started.
    #[error("cannot start the network: {0}")]
    Start(#[from] io::Error),
}
