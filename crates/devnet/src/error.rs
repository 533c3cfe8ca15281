//! Why a local network did not run, or ran badly.

use std::{io, path::PathBuf};

use lamella_network_dir::{NetworkFileError, genesis::GenesisError};

use super::churn;

/// Why `lamella devnet` failed.
#[derive(Debug, thiserror::Error)]
pub enum DevnetError {
    /// No network could be made.
    #[error(transparent)]
    Genesis(#[from] GenesisError),
    /// A file of the network found.
    #[error(transparent)]
    Network(#[from] NetworkFileError),
    /// A file or folder of the run.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The record of what was asked for is damaged.
    #[error("{path}: {reason}; delete {folder} to begin anew")]
    Record {
        /// The record.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// The network's folder.
        folder: PathBuf,
    },
    /// A network, but not one of ours.
    #[error(
        "{folder} holds a network that `lamella devnet` did not make; choose another --dir, or run its nodes with \
         `lamella node`"
    )]
    NotOurs {
        /// The network's folder.
        folder: PathBuf,
    },
    /// A network that was made differently.
    #[error(
        "the network in {folder} has {flag} {found}, not {asked}; leave {flag} out to go on with it, choose another \
         --dir, or delete {folder} to begin anew"
    )]
    Mismatch {
        /// The network's folder.
        folder: PathBuf,
        /// The flag.
        flag: &'static str,
        /// What was asked for.
        asked: u64,
        /// What the network has.
        found: u64,
    },
    /// Nobody can sign any more.
    #[error(
        "the keys of the network in {folder} sign up to slot {last}, and it is slot {now}; delete {folder} to begin \
         anew (`make clean-devnet` deletes that of `make devnet`)"
    )]
    KeysUsedUp {
        /// The network's folder.
        folder: PathBuf,
        /// Last slot of the keys.
        last: u64,
        /// Slot of the wall clock.
        now: u64,
    },
    /// Its keys cannot sign for so long.
    #[error(
        "the keys of the network in {folder} sign up to slot {last}, and this run ends at slot {end}; ask for fewer \
         --slots, or delete {folder} to begin anew (`make clean-devnet` deletes that of `make devnet`)"
    )]
    KeysTooFew {
        /// The network's folder.
        folder: PathBuf,
        /// Last slot of the keys.
        last: u64,
        /// Last slot of the run.
        end: u64,
    },
    /// Nobody can go without finality going, too.
    #[error(
        "--churn sends a third of the nodes away, and the network has {nodes}; ask for --nodes {}, 6 or 9",
        churn::NODES_MIN
    )]
    TooFewToGo {
        /// Nodes.
        nodes: u64,
    },
    /// The peer that keeps no rule cannot begin.
    #[error("no attack: {0}")]
    Attack(#[from] lamella_hostile::AttackError),
    /// Another run has the folder.
    #[error(
        "another `lamella devnet` runs the network in {folder}; stop it, or choose another --dir"
    )]
    Busy {
        /// The network's folder.
        folder: PathBuf,
    },
    /// The network says where a node listens, and somebody else does.
    #[error(
        "{protocol} port {port} of {node_id} is in use ({source}); stop whoever uses it (a node of an earlier run \
         ends within seconds), or choose another --dir"
    )]
    PortTaken {
        /// The node.
        node_id: String,
        /// `TCP` or `UDP`.
        protocol: &'static str,
        /// The port.
        port: u16,
        /// The system's error.
        source: io::Error,
    },
    /// The network's files do not say where a node listens.
    #[error("{path} names no QUIC and API port for {node_id}; delete the folder to begin anew")]
    NoPorts {
        /// `validator-config.yaml`.
        path: PathBuf,
        /// The node.
        node_id: String,
    },
    /// A process could not be started or watched.
    #[error("{node_id}: {source}")]
    Process {
        /// The node.
        node_id: String,
        /// The system's error.
        source: io::Error,
    },
    /// A node ended without being told to, or did not begin to answer.
    #[error("{node_id} {what}; its log is {log}")]
    NodeFailed {
        /// The node.
        node_id: String,
        /// How.
        what: String,
        /// Its log.
        log: PathBuf,
    },
    /// The run is over and was not good.
    #[error("{failed} of {checks} checks failed")]
    Failed {
        /// Checks that failed.
        failed: usize,
        /// All checks.
        checks: usize,
    },
    /// Told to stop before the slots asked for were over.
    #[error("stopped by a signal before the slots asked for were over")]
    Stopped,
    /// The picture cannot be written.
    #[error("cannot write to the terminal: {0}")]
    Output(#[from] io::Error),
    /// The signal handler cannot be installed.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
}

impl DevnetError {
    /// 2 for wrong usage, 130 if a signal ended the run early, 1 for the rest.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Genesis(error) => 1 + u8::from(error.is_usage()),
            Self::Mismatch { .. }
            | Self::KeysUsedUp { .. }
            | Self::KeysTooFew { .. }
            | Self::TooFewToGo { .. }
            | Self::NotOurs { .. } => 2,
            Self::Stopped => 130,
            _ => 1,
        }
    }
}
