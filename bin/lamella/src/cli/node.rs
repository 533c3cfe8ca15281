//! `lamella node`.

use std::{
    io::{self, IsTerminal},
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::mpsc::channel,
};

use clap::Args;
use lamella_chain::Settings;
use lamella_tables::Durability;
use lamella_types::limits::SLOT_MS;
use tracing::info;
use tracing_subscriber::EnvFilter;

use super::{CommandError, parent::stop_when_stdin_closes};
use crate::{
    api::ServerConfig,
    network_dir::NetworkDir,
    node::{Event, Node, NodeConfig, NodeError, ProofSchemeName},
};

/// What `lamella node --help` says first.
pub(super) const LONG_ABOUT: &str = "\
Run a node of a network, with the validators that the network's files give it.

Every block's state is kept. The node can be killed at any moment; started again, it goes on from the last thing it \
logged. A data directory of another network is refused and left untouched.

Stop it with Ctrl-C or SIGTERM. The log goes to stderr; RUST_LOG sets its level (info by default), NO_COLOR its colour.";

/// What it says last.
pub(super) const EXAMPLES: &str = "\
Example:
  lamella genesis --nodes 1 --validators 4 --out net
  lamella node --network-dir net --node-id lamella_0 --data-dir data/lamella_0";

/// The flags.
#[derive(Debug, Args)]
pub struct NodeArgs {
    /// Folder with the network's config.yaml and the files beside it.
    #[arg(long, value_name = "DIR", alias = "custom-network-config-dir")]
    network_dir: PathBuf,

    /// Which node of the network this is; one that is not listed follows without validators.
    #[arg(long, value_name = "NAME")]
    node_id: String,

    /// Folder of the node's data, made if absent; others may write into it too.
    #[arg(long, value_name = "DIR", alias = "datadir", default_value = "./data")]
    data_dir: PathBuf,

    /// Milliseconds of a slot; every node of a network must use the same. 5 at least.
    #[arg(long, value_name = "MS", default_value_t = SLOT_MS, value_parser = clap::value_parser!(u64).range(5..=3_600_000))]
    slot_ms: u64,

    /// Aggregate the signatures of all validators, even if validator-config.yaml does not say so.
    #[arg(long)]
    is_aggregator: bool,

    /// How block proofs are made. The data directory remembers it.
    #[arg(long, value_enum, default_value_t = ProofSchemeName::Raw)]
    proof_scheme: ProofSchemeName,

    /// Slots of signatures kept below the tip; older ones are pruned where they are finalized.
    #[arg(long, value_name = "SLOTS", default_value_t = Settings::default().signature_window_slots)]
    signature_window: u64,

    /// Serve the HTTP API and the metrics on this TCP port; 0 picks a free one. Not served unless given.
    #[arg(long, value_name = "PORT", alias = "http-port")]
    api_port: Option<u16>,

    /// Serve the metrics on a port of their own too.
    #[arg(long, value_name = "PORT", requires = "api_port")]
    metrics_port: Option<u16>,

    /// Address of these ports. Whoever reaches it may switch the aggregator role.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    http_address: IpAddr,

    /// Do not wait for the disk at each commit. A power cut then takes the newest blocks; for throw-away networks.
    #[arg(long)]
    lazy_commits: bool,

    /// Stop when standard input closes, so that no node outlives the program that started it.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

impl NodeArgs {
    /// Runs the node until it is told to stop.
    pub(super) fn run(self) -> Result<(), CommandError> {
        start_logging();
        let (sender, events) = channel();
        if self.exit_with_parent {
            let sender = sender.clone();
            let stop = move || {
                // A node that is gone needs no telling.
                let _ = sender.send(Event::Stop);
            };
            stop_when_stdin_closes(stop).map_err(NodeError::Parent)?;
        }
        ctrlc::set_handler(move || {
            // A node that is gone needs no telling.
            let _ = sender.send(Event::Stop);
        })
        .map_err(NodeError::from)?;
        let node = Node::open(&self.config())?;
        node.run(&events)?;
        info!("Stopped");
        Ok(())
    }

    fn config(self) -> NodeConfig {
        let durability = if self.lazy_commits { Durability::Lazy } else { Durability::Durable };
        let settings = Settings {
            durability,
            signature_window_slots: self.signature_window,
            ..Settings::default()
        };
        let api = self.api_port.map(|api_port| ServerConfig {
            address: self.http_address,
            api_port,
            metrics_port: self.metrics_port,
        });
        NodeConfig {
            api,
            network: NetworkDir::find(&self.network_dir),
            node_id: self.node_id,
            data_dir: self.data_dir,
            slot_ms: self.slot_ms,
            is_aggregator: self.is_aggregator,
            proof_scheme: self.proof_scheme,
            settings,
        }
    }
}

fn start_logging() {
    // The engine tells of every file it opens at the level at which we tell of blocks.
    let default = || EnvFilter::new(format!("info,{}=warn", lamella_tables::LOG_TARGET));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // A second subscriber can only mean that this process logs already.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .try_init();
}
