//! `lamella node`: its flags. What they and the network's files come to is `resolve`'s.

mod ignored;
mod resolve;
mod size;

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::{ArgAction, ArgGroup, Args, ValueEnum};
use lamella_chain::Settings;
use lamella_interrupt::Interrupt;
use lamella_network_dir::SLOT_MS_RANGE;
use lamella_types::Root;
use lamella_xmss::scheme::SchemeName;
use tracing::info;

use super::{CommandError, log::Log, parent::stop_when_stdin_closes};
use crate::{
    checkpoint::{CheckpointError, bootstrap},
    config::NodeConfig,
    node::{Inbox, Node, NodeError, skew_by},
};

pub use resolve::FlagError;

use ignored::IgnoredArgs;

/// What `lamella node --help` says first.
pub(super) const LONG_ABOUT: &str = "\
Run a node of a network, with the validators that the network's files give it.

Every block's state is kept, unless `lamella db prune` chose otherwise. The node can be killed at any moment; started again, it goes on from the last thing it \
logged. A data directory of another network is refused and left untouched.

Ports and the aggregator's role are taken from the flag, else from the node's entry in validator-config.yaml, else \
from the default. A node that no file names follows the network without validators.

Stop it with Ctrl-C or SIGTERM. The log goes to stderr; RUST_LOG sets its level (info by default), NO_COLOR its colour. \
A log that is not read or has no room holds nothing up: lines are lost, and it says how many.";

/// What it says last.
pub(super) const EXAMPLES: &str = "\
Exit codes:
  0  stopped by a signal
  1  failed
  2  wrong usage
  5  the store cannot be used; `lamella db verify` says more

Examples:
  lamella genesis --nodes 1 --validators 4 --out net
  lamella node --network-dir net --node-id lamella_0 --data-dir data/lamella_0

  # a second node, without validators, on ports of its own
  lamella node --network-dir net --node-id follower --data-dir data/follower \\
      --gossipsub-port 9100 --api-port 5100 --metrics-port 5101";

/// How the proofs of this chain are made.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Proofs {
    /// Concatenated signatures, every one verified. For own networks: at most 206 signatures a block.
    Raw,
    /// `raw` with keys of 256 slots and no security, for drills.
    #[value(hide = true)]
    RawTest,
    /// Proofs are stored and served unverified. For following a foreign network; no duties.
    Trust,
}

impl From<Proofs> for SchemeName {
    fn from(proofs: Proofs) -> Self {
        match proofs {
            Proofs::Raw => Self::Raw,
            Proofs::RawTest => Self::RawTest,
            Proofs::Trust => Self::Trust,
        }
    }
}

/// The flags, under ethlambda's names; other clients' spellings are aliases.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("network").args(["network_dir", "genesis"]).required(true).multiple(true))]
pub struct NodeArgs {
    /// Folder with the network's config.yaml and the files beside it, in lean-quickstart's layout.
    #[arg(long, value_name = "DIR", visible_alias = "custom-network-config-dir", aliases = ["custom-genesis", "genesis-dir"], help_heading = "Network")]
    network_dir: Option<PathBuf>,

    /// config.yaml: genesis time and validators. The other files are expected beside it.
    #[arg(long, value_name = "FILE", aliases = ["genesis-config", "config", "network"], help_heading = "Network")]
    genesis: Option<PathBuf>,

    /// annotated_validators.yaml or validators.yaml: which node runs which validators.
    #[arg(
        long,
        value_name = "FILE",
        visible_alias = "validator-registry-path",
        help_heading = "Network"
    )]
    validators: Option<PathBuf>,

    /// Whom to dial: nodes.yaml, or the records themselves (enr:..., comma between), or `none`. Repeatable.
    #[arg(long, value_name = "FILE|ENR", aliases = ["bootnode", "nodes", "nodes-path"], help_heading = "Network")]
    bootnodes: Vec<String>,

    /// validator-config.yaml: ports, identity and role of each node.
    #[arg(long, value_name = "FILE", help_heading = "Network")]
    validator_config: Option<PathBuf>,

    /// Folder of the validators' secret keys.
    #[arg(long, value_name = "DIR", aliases = ["hash-sig-key-dir", "sig-keys-dir"], help_heading = "Network")]
    hash_sig_keys_dir: Option<PathBuf>,

    /// Milliseconds of a slot, if config.yaml does not say so; if it does, this must agree. Default: 4000.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(SLOT_MS_RANGE), help_heading = "Network")]
    slot_ms: Option<u64>,

    /// How block proofs are made. The data directory remembers it.
    #[arg(long, value_enum, default_value_t = Proofs::Raw, help_heading = "Network")]
    proof_scheme: Proofs,

    /// Attestation subnets of the network; default: as the network's files say, else 1.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..), help_heading = "Network")]
    attestation_committee_count: Option<u64>,

    /// Which node of the network this is; one that is not listed follows without validators.
    #[arg(long, value_name = "NAME", alias = "node")]
    node_id: String,

    /// File with the node's secp256k1 key in hex; default: privkey in validator-config.yaml, else a key that is
    /// made once and kept in the data directory.
    #[arg(long, value_name = "FILE", aliases = ["private-key-path", "node-key-path", "private-key"])]
    node_key: Option<PathBuf>,

    /// Folder of the node's data, made if absent; others may write into it too.
    #[arg(long, value_name = "DIR", visible_alias = "datadir", default_value = "./data")]
    data_dir: PathBuf,

    /// Begin an empty data directory at the finalized block of this node's HTTP API, if two thirds of the network's keys
    /// voted for it; tried in order. A chain on disk is always preferred. Repeatable, or a comma list.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    checkpoint_sync_url: Vec<String>,

    /// Root of the block to begin at, if you know it: no other is begun at, and nobody's votes are asked for.
    #[arg(long, value_name = "ROOT", requires = "checkpoint_sync_url")]
    checkpoint_root: Option<Root>,

    /// Slots of signatures kept below the tip; older ones are pruned where they are finalized.
    #[arg(long, value_name = "SLOTS", default_value_t = Settings::default().signature_window_slots)]
    signature_window: u64,

    /// Largest size of the database, such as 64GiB; all of it is asked of the address space. Default: 256GiB, and less
    /// where the system refuses that.
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    db_size_max: Option<usize>,

    /// Do not wait for the disk at each commit. A power cut then takes the newest blocks; for throw-away networks.
    #[arg(long)]
    lazy_commits: bool,

    /// Read the whole store every so many hours, slowly and in the background, and repair what rotted and can be proven,
    /// from other rows, the archive and peers. 0: never.
    #[arg(long, value_name = "HOURS", default_value_t = 24.0, value_parser = hours)]
    scrub_hours: f64,

    /// Only tell what the reading of the whole store finds.
    #[arg(long)]
    no_scrub_repair: bool,

    /// Ship finalized history and the blocks since into this archive, in the background: a folder, or s3://bucket/prefix.
    /// See docs/archive.md.
    #[cfg(feature = "archive")]
    #[arg(long, value_name = "URL")]
    archive: Option<String>,

    /// Ship block proofs beside it: 2.5 KB a signature, 512 KB a block at most.
    #[cfg(feature = "archive")]
    #[arg(long, requires = "archive")]
    archive_proofs: bool,

    /// Keep proofs beyond --signature-window while the archive lacks them, 21,600 slots at most, and say in readiness, log
    /// and metrics that it does.
    #[cfg(feature = "archive")]
    #[arg(long, requires = "archive_proofs")]
    archive_required: bool,

    /// Begin the archive's tail under another writer's id, once: this directory is a copy, or an older copy of itself.
    #[cfg(feature = "archive")]
    #[arg(long, requires = "archive")]
    archive_new_writer: bool,

    /// Fetch the history before the block that this directory began with, in the background, until all of it is here: from
    /// an archive (a folder, s3://bucket/prefix) or from another node (http://host:port). This node's own finalized state
    /// proves it. Tried in order. Repeatable, or a comma list. See docs/archive.md.
    #[cfg(feature = "archive")]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    history: Vec<String>,

    /// Stop when standard input closes, so that no node outlives the program that started it.
    #[arg(long, hide = true)]
    exit_with_parent: bool,

    /// A file with the milliseconds by which this node's clock is to be wrong, for drills.
    #[arg(long, value_name = "FILE", hide = true)]
    clock_skew_file: Option<PathBuf>,

    /// Aggregate the signatures of all validators, even if validator-config.yaml does not say so.
    #[arg(long, visible_alias = "aggregator", num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, help_heading = "Duties")]
    is_aggregator: Option<bool>,

    /// Attestation subnets that the aggregator listens to, besides its validators'; comma between.
    #[arg(long, value_name = "SUBNETS", value_delimiter = ',', help_heading = "Duties")]
    aggregate_subnet_ids: Vec<u64>,

    /// Let validators propose and attest even while the node is behind its peers.
    #[arg(long, help_heading = "Duties")]
    disable_duty_sync_gate: bool,

    /// UDP port of QUIC; 0 picks a free one. Default: validator-config.yaml, else 9000.
    #[arg(
        long,
        value_name = "PORT",
        visible_alias = "socket-port",
        alias = "port",
        help_heading = "Ports"
    )]
    gossipsub_port: Option<u16>,

    /// Address of the UDP port.
    #[arg(long, value_name = "IP", visible_alias = "socket-address", default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), help_heading = "Ports")]
    gossipsub_address: IpAddr,

    /// TCP port of the HTTP API, which has the metrics too; 0 picks a free one. Default: validator-config.yaml, else
    /// 5052.
    #[arg(long, value_name = "PORT", visible_alias = "http-port", help_heading = "Ports")]
    api_port: Option<u16>,

    /// TCP port of the metrics alone, unless it is the API's; 0 picks a free one. Default: validator-config.yaml, else
    /// 5054.
    #[arg(long, value_name = "PORT", help_heading = "Ports")]
    metrics_port: Option<u16>,

    /// Address of the TCP ports.
    #[arg(long, value_name = "IP", alias = "api-host", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = "Ports")]
    http_address: IpAddr,

    /// Address of the metrics' port, if it is not --http-address.
    #[arg(long, value_name = "IP", alias = "metrics-host", help_heading = "Ports")]
    metrics_address: Option<IpAddr>,

    /// Serve the admin routes: whoever reaches the API's port may then switch the aggregator role. Default: only where
    /// --http-address is of this machine alone.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = ArgAction::Set, value_name = "BOOL", help_heading = "Ports")]
    http_admin: Option<bool>,

    /// A name by which this machine's API may be asked for, besides localhost and addresses. Repeatable.
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "Ports")]
    http_allow_host: Vec<String>,

    /// An origin such as http://localhost:3000 whose pages may use the API from a browser, or `*`: all may read. Repeatable.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',', help_heading = "Ports")]
    http_allow_origin: Vec<String>,

    /// Serve pages for people at /explorer/ of the API's port: chain, forks, validators, database, proofs.
    #[arg(long, help_heading = "Ports")]
    explorer: bool,

    /// A node that those pages show together with the others so named, and whose pages may use this API.
    #[arg(long, value_name = "NAME=ORIGIN", requires = "explorer", hide = true)]
    explorer_node: Vec<lamella_explorer::Node>,

    /// Serve neither API nor metrics.
    #[arg(long, conflicts_with_all = ["api_port", "metrics_port", "metrics_address", "explorer"], help_heading = "Ports")]
    no_api: bool,

    #[command(flatten)]
    ignored: IgnoredArgs,
}

/// Hours, or a part of one.
fn hours(text: &str) -> Result<f64, String> {
    let hours: f64 = text.parse().map_err(|_| "a number of hours")?;
    if (0.0..=10_000.0).contains(&hours) { Ok(hours) } else { Err("0 to 10000".to_owned()) }
}

impl NodeArgs {
    /// Runs the node until it is told to stop.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let log = Log::start().map_err(NodeError::Log)?;
        let inbox = Inbox::default();
        let interrupt = Interrupt::default();
        let (sender, interrupted) = (inbox.sender(), interrupt.clone());
        let stop = move || {
            interrupted.trigger();
            sender.stop();
        };
        if self.exit_with_parent {
            stop_when_stdin_closes(stop.clone()).map_err(NodeError::Parent)?;
        }
        ctrlc::set_handler(stop).map_err(NodeError::from)?;
        self.ignored.warn();
        if let Some(file) = &self.clock_skew_file {
            skew_by(file.clone());
        }
        let config = NodeConfig { lost_log_lines: log.lost_lines(), ..self.resolve()? };
        let bootstrap = match bootstrap(&config, &interrupt) {
            Err(CheckpointError::Interrupted) => {
                info!("Stopped");
                return Ok(());
            }
            found => found?,
        };
        let mut node = Node::open(&config, bootstrap, &inbox)?;
        node.run(&inbox)?;
        info!("Stopped");
        Ok(())
    }
}
