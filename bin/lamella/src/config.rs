//! What a node is to be: flags and network files, resolved into one plain value.
//!
//! Nothing here decides: which flag beats which file is the command line's, and what comes of it the
//! node's.

mod identity_key;

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use lamella_chain::Settings;
use lamella_http_api::ServerConfig;
use lamella_inspect::database_path;
use lamella_network::service::Dial;
use lamella_network_dir::{AssignedValidator, GenesisConfig};
use lamella_types::Root;
use lamella_xmss::scheme::SchemeName;

pub use identity_key::{IdentityKey, IdentityKeyError, KeySource};

/// How the store is read whole, time and again.
#[derive(Debug, Clone)]
pub struct ScrubConfig {
    /// From the end of one reading to the beginning of the next.
    pub every: Duration,
    /// Whether rows are repaired.
    pub repairs: bool,
}

/// What a node is to be. Every file but the validators' keys and the database has been read.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Which node of the network this is.
    pub node_id: String,
    /// Folder of the node's data; the database is its `db`.
    pub data_dir: PathBuf,
    /// The chain's genesis.
    pub genesis: GenesisConfig,
    /// The validators that the network's files give this node. `None`: they do not name it, so it follows.
    pub assigned: Option<Vec<AssignedValidator>>,
    /// Folder of the validators' secret keys.
    pub keys_dir: PathBuf,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Whether it aggregates signatures.
    pub is_aggregator: bool,
    /// Whether validators stay silent while the node knows that it is behind.
    pub duty_sync_gate: bool,
    /// How proofs are made.
    pub proof_scheme: SchemeName,
    /// How the chain is kept.
    pub settings: Settings,
    /// How to take part in the network.
    pub gossip: GossipConfig,
    /// Where to serve the HTTP API and the metrics; nowhere if `None`.
    pub api: Option<ServerConfig>,
    /// Where an empty directory may begin, tried in order; at genesis if there is none. Without trailing slash.
    pub checkpoint_urls: Vec<String>,
    /// Root of the only block that it may begin at there; any that two thirds of the validators voted for if `None`.
    pub checkpoint_root: Option<Root>,
    /// Address of the archive that it ships its history into.
    #[cfg(feature = "archive")]
    pub archive: Option<String>,
    /// Whether block proofs go there too.
    #[cfg(feature = "archive")]
    pub archive_proofs: bool,
    /// Whether proofs are kept beyond their window while the archive lacks them.
    #[cfg(feature = "archive")]
    pub archive_required: bool,
    /// Whether its tail there begins anew under another writer id.
    #[cfg(feature = "archive")]
    pub archive_new_writer: bool,
    /// Where to fetch the history before the block that the directory began with, tried in order.
    #[cfg(feature = "archive")]
    pub history: Vec<String>,
    /// How its store is read whole, time and again; never if `None`.
    pub scrub: Option<ScrubConfig>,
    /// How many lines the log has lost, which it counts.
    pub lost_log_lines: Arc<AtomicU64>,
}

impl NodeConfig {
    /// Where the database is. Beside it the data directory may hold anything.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        database_path(&self.data_dir)
    }

    /// Address of the archive that it ships into, if this build can.
    #[must_use]
    pub fn archive(&self) -> Option<String> {
        #[cfg(feature = "archive")]
        return self.archive.clone();
        #[cfg(not(feature = "archive"))]
        None
    }

    /// Whether proofs are kept beyond their window while that archive lacks them.
    #[must_use]
    pub const fn is_archive_required(&self) -> bool {
        #[cfg(feature = "archive")]
        return self.archive_required;
        #[cfg(not(feature = "archive"))]
        false
    }
}

/// How to take part in the network.
#[derive(Debug, Clone)]
pub struct GossipConfig {
    /// UDP address to listen on; port 0 picks a free one.
    pub listen: SocketAddr,
    /// Our libp2p identity.
    pub identity: IdentityKey,
    /// Whom to dial, ourselves excepted.
    pub dial: Vec<Dial>,
    /// Attestation subnets that exist, at least 1.
    pub committee_count: u64,
    /// Attestation subnets to listen to, ascending: those of our validators, and the aggregator's.
    pub subnets: Vec<u64>,
}
