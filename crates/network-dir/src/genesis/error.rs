//! Why no network was made.

use std::{io, path::PathBuf};

/// Why `lamella genesis` made no network. Whatever was written before is not a network: `config.yaml` comes last.
#[derive(Debug, thiserror::Error)]
pub enum GenesisError {
    /// A number outside its bounds.
    #[error("{flag} is {value}; it must be {minimum} to {maximum} ({advice})")]
    OutOfRange {
        /// The flag.
        flag: &'static str,
        /// What was asked for.
        value: u64,
        /// Smallest value.
        minimum: u64,
        /// Largest value.
        maximum: u64,
        /// Why, and what to do.
        advice: &'static str,
    },
    /// The ports of more or fewer nodes than there are.
    #[error("ports are given for {ports} nodes, and the network has {nodes}")]
    Ports {
        /// Nodes of the network.
        nodes: u64,
        /// Entries given.
        ports: usize,
    },
    /// At the chosen genesis time every slot that the keys can sign is over.
    #[error(
        "--genesis-time {genesis_time} is {age} s ago, and keys of {key_slots} slots sign for {lifetime} s only; \
         choose a later time, or leave the flag out"
    )]
    Expired {
        /// Unix time in seconds.
        genesis_time: u64,
        /// Seconds since then.
        age: u64,
        /// Slots asked for.
        key_slots: u64,
        /// Seconds they last.
        lifetime: u64,
    },
    /// There is a network already.
    #[error(
        "{path} exists: this folder already holds a network; choose another --out, \
         or delete the folder (and the data of its nodes) to begin anew"
    )]
    NetworkExists {
        /// The `config.yaml` found.
        path: PathBuf,
    },
    /// Files with our names that no unfinished run of ours left.
    #[error(
        "{path} exists but is no leftover of `lamella genesis`, and would be overwritten; \
         choose another --out, or move it away"
    )]
    WouldOverwrite {
        /// The first one found.
        path: PathBuf,
    },
    /// Another run is writing here.
    #[error("another `lamella genesis` is writing to {path}; wait for it, or choose another --out")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// The operating system refused to create or write.
    #[error("{path}: cannot write: {source}")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// A text could not be written as YAML.
    #[error("cannot write YAML: {0}")]
    Yaml(#[from] serde_yaml_ng::Error),
    /// No random numbers, hence no keys.
    #[error("the operating system gives no random numbers: {0}")]
    Randomness(#[from] getrandom::Error),
    /// The XMSS keys could not be made.
    #[error(transparent)]
    Key(#[from] lamella_xmss::KeyGenerationError),
    /// A node record could not be signed.
    #[error("cannot make the ENR of {node_id}: {reason}")]
    NodeRecord {
        /// The node.
        node_id: String,
        /// What the signer said.
        reason: String,
    },
    /// The system clock is before 1970.
    #[error("the system clock is before 1970; set it, or pass --genesis-time")]
    Clock,
}

impl GenesisError {
    /// Whether the flags were wrong, not the machine.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::OutOfRange { .. } | Self::Expired { .. } | Self::Ports { .. })
    }
}
