//! Making a network for development: keys, identities and the files of lean-quickstart's layout.
//!
//! The validators' keys are real keys of the production scheme for the first slots only (see
//! [`lamella_xmss::generate_development`]): a devnet of a few hours instead of an hour of key generation. The chain
//! goes on after their last slot, but nobody can sign for it.
//!
//! A run that is killed at any point leaves either no network or a whole one (`directory.rs`). The next run starts
//! over with new keys: keys of a run whose end is unknown may have signed, and a slot must not be signed twice.

mod directory;
mod error;
mod keys;
mod node;
mod render;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use lamella_types::{VALIDATOR_REGISTRY_LIMIT, Validators, genesis_state};
use serde::Serialize;

pub use error::GenesisError;
pub use node::NodePorts;
pub use render::aggregators;

use crate::{NetworkDir, config::SLOT_MS_RANGE, whole_file::Access};
use directory::{Directory, write};
use node::Node;
use render::Network;

/// Nodes of a made network at most: ports stay in their ranges.
pub const NODES_MAX: u64 = 64;

/// Slots of a development key at most: one bottom tree of the scheme.
pub const KEY_SLOTS_MAX: u64 = 65_536;

/// Seconds between the end of a run and the default genesis: time to start the nodes.
pub const GENESIS_LEAD_S: u64 = 15;

/// Names of made nodes: this and a number from 0.
const NODE_PREFIX: &str = "lamella_";

/// The list of validator keys.
const MANIFEST: &str = "validator-keys-manifest.yaml";

/// The network to make.
#[derive(Debug, Clone)]
pub struct GenesisOptions {
    /// Nodes, 1 to [`NODES_MAX`].
    pub nodes: u64,
    /// Validators, 1 to 4,096, dealt to the nodes in turn.
    pub validators: u64,
    /// The folder to write.
    pub out: PathBuf,
    /// Unix time of slot 0 in seconds. `None`: `lead_s` after the keys are made.
    pub genesis_time: Option<u64>,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Seconds between the end of the run and slot 0, if `genesis_time` does not say otherwise.
    pub lead_s: u64,
    /// Where each node listens, one entry a node. `None`: ranges of their own, see [`NodePorts::of`].
    pub ports: Option<Vec<NodePorts>>,
    /// Slots each key can sign, from slot 0: 1 to [`KEY_SLOTS_MAX`].
    pub key_slots: u64,
}

/// What was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GenesisSummary {
    /// The folder.
    pub network_dir: PathBuf,
    /// Unix time of slot 0 in seconds.
    pub genesis_time: u64,
    /// Root of the genesis state, the identity of the chain: `0x` and 64 hex digits.
    pub genesis_state_root: String,
    /// Node ids.
    pub nodes: Vec<String>,
    /// Number of validators.
    pub validators: u64,
    /// Last slot for which the keys can sign.
    pub last_signable_slot: u64,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
}

impl GenesisOptions {
    /// Keys to make: two a validator.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.validators.saturating_mul(2)
    }

    /// Leaves to compute: what the time goes into.
    #[must_use]
    pub fn leaves(&self) -> u64 {
        self.keys().saturating_mul(self.key_slots)
    }

    /// Seconds from genesis for which the keys can sign.
    #[must_use]
    pub fn signable_seconds(&self) -> u64 {
        self.key_slots.saturating_mul(self.slot_ms) / 1000
    }

    /// Threads that make keys.
    #[must_use]
    pub fn threads(&self) -> u64 {
        keys::cores().min(self.keys())
    }

    /// Where the nodes listen. [`GenesisOptions::check`] has bounded their number.
    fn node_ports(&self) -> Vec<NodePorts> {
        match &self.ports {
            Some(ports) => ports.clone(),
            None => (0..).map(NodePorts::of).zip(0..self.nodes).map(|(ports, _)| ports).collect(),
        }
    }

    /// Whether a network can be made of these numbers. [`create`] asks too.
    ///
    /// # Errors
    /// One for which [`GenesisError::is_usage`] holds, or [`GenesisError::Clock`].
    pub fn check(&self) -> Result<(), GenesisError> {
        if !SLOT_MS_RANGE.contains(&self.slot_ms) {
            return Err(GenesisError::OutOfRange {
                flag: "--slot-ms",
                value: self.slot_ms,
                minimum: *SLOT_MS_RANGE.start(),
                maximum: *SLOT_MS_RANGE.end(),
                advice: "an interval is a fifth of it",
            });
        }
        let bounds = [
            (
                "--nodes",
                self.nodes,
                NODES_MAX,
                "further nodes can follow the chain under ids of their own",
            ),
            (
                "--validators",
                self.validators,
                VALIDATOR_REGISTRY_LIMIT as u64,
                "a chain's registry has no more room",
            ),
            (
                "--key-slots",
                self.key_slots,
                KEY_SLOTS_MAX,
                "a development key covers one subtree of the scheme, 3 days of slots",
            ),
        ];
        for (flag, value, maximum, advice) in bounds {
            if !(1..=maximum).contains(&value) {
                return Err(GenesisError::OutOfRange { flag, value, minimum: 1, maximum, advice });
            }
        }
        if let Some(ports) = &self.ports
            && ports.len() as u64 != self.nodes
        {
            return Err(GenesisError::Ports { nodes: self.nodes, ports: ports.len() });
        }
        let Some(genesis_time) = self.genesis_time else { return Ok(()) };
        let age = now()?.as_secs().saturating_sub(genesis_time);
        let (key_slots, lifetime) = (self.key_slots, self.signable_seconds());
        if age >= lifetime {
            return Err(GenesisError::Expired { genesis_time, age, key_slots, lifetime });
        }
        Ok(())
    }
}

/// Makes a network. `progress` is given the leaves computed so far, of [`GenesisOptions::leaves`].
///
/// # Errors
/// A [`GenesisError`].
///
/// # Cost
/// Half a millisecond a leaf and core; about 64 bytes of file a slot and key.
///
/// # Atomicity
/// `config.yaml` appears last and whole: without it the folder is no network, and the next run clears it.
pub fn create(
    options: &GenesisOptions,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<GenesisSummary, GenesisError> {
    options.check()?;
    let directory = Directory::claim(&options.out)?;
    let ports = options.node_ports();
    let nodes: Vec<Node> = (0..)
        .zip(ports)
        .map(|(number, ports)| Node::new(number, ports))
        .collect::<Result<_, _>>()?;
    let keys_dir = &directory.paths.keys_dir;
    let validators = keys::make(keys_dir, options.validators, options.key_slots, progress)?;
    let network = Network { nodes: &nodes, validators: &validators, key_slots: options.key_slots };
    write_files(&directory.paths, &network)?;
    #[expect(clippy::expect_used, reason = "their number was checked, their order is made")]
    let registry = Validators::new(&validators).expect("a registry of checked size");
    let genesis_time = match options.genesis_time {
        Some(time) => time,
        None => genesis_time_after(now()?, options.lead_s),
    };
    directory.finish(&network.config(genesis_time, options.slot_ms)?)?;
    Ok(GenesisSummary {
        network_dir: options.out.clone(),
        genesis_time,
        genesis_state_root: genesis_state(genesis_time, registry).root().to_string(),
        nodes: nodes.into_iter().map(|node| node.node_id).collect(),
        validators: options.validators,
        last_signable_slot: options.key_slots - 1,
        slot_ms: options.slot_ms,
    })
}

/// Everything but `config.yaml` and the XMSS keys.
fn write_files(paths: &NetworkDir, network: &Network<'_>) -> Result<(), GenesisError> {
    for node in network.nodes {
        let key = format!("{}\n", hex::encode(node.private_key.as_bytes()));
        write(&paths.node_key(&node.node_id), key.as_bytes(), Access::Owner)?;
    }
    let public: [(&Path, String); 4] = [
        (&paths.keys_dir.join(MANIFEST), network.manifest()?),
        (&paths.validators, network.validators()?),
        (&paths.annotated_validators, network.annotated_validators()?),
        (&paths.nodes, network.nodes()?),
    ];
    for (path, text) in public {
        write(path, text.as_bytes(), Access::Public)?;
    }
    // It repeats the nodes' private keys.
    write(&paths.validator_config, network.validator_config()?.as_bytes(), Access::Owner)
}

/// The next whole second and the lead.
fn genesis_time_after(now: Duration, lead_s: u64) -> u64 {
    (now.as_secs() + u64::from(now.subsec_nanos() > 0)).saturating_add(lead_s)
}

fn now() -> Result<Duration, GenesisError> {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_err(|_| GenesisError::Clock)
}
