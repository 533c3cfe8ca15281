//! `lamella follow`: its flags.

use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

use clap::Args;
use lamella_archive::NetworkId;
use lamella_chain::Settings;
use lamella_http_api::ServerConfig;
use lamella_interrupt::{Bell, Interrupt};
use lamella_tables::SlotRoot;
use lamella_types::{Root, SlotClock, limits::SLOT_MS};
use lamella_xmss::scheme::SchemeName;
use serde_json::{Value, json};
use tracing::info;

use super::{
    CommandError, archive::trust, db::print_line, log::Log, node::Proofs,
    parent::stop_when_stdin_closes,
};
use crate::{
    follow::{Ended, FollowConfig, FollowError, ReplicaConfig, run},
    node::NodeError,
};

/// What `lamella follow --help` says first.
pub(super) const LONG_ABOUT: &str = "\
Follow a chain by an archive that a node ships to, or by a node itself, and serve it: every route of a node's API that reads, on a machine \
without keys and without peers.

It begins with the sealed segments, proven under the root that --trusted names; without it, under one that the source names, which \
the last line tells: compare it with a node that you trust. It goes on with the blocks that the node ships as it imports them, each \
through the ordinary import, its transition checked, and its signatures or, catching up, those of two thirds in later blocks. It can be late; \
/lean/v0/health says 503 while it is later than --max-lag-slots. Killed at any moment, it goes on.";

/// What it says last.
pub(super) const EXAMPLES: &str = "\
Exit codes:
  0  stopped by a signal; the last line says how far it is, what was verified and what was not
  1  failed
  2  wrong usage
  3  stopped, and the chain here has parted from the source's; --rebuild begins again
  5  the store cannot be used; `lamella db verify` says more

Examples:
  lamella node --network-dir net --node-id lamella_0 --archive /mnt/archive
  lamella follow --from /mnt/archive --data-dir data/follower --api-port 5100
  lamella follow --from http://node:5052 --data-dir data/follower --api-port 5100
  curl 'localhost:5100/lean/v0/blocks/head?min_slot=1000'";

/// The flags.
#[derive(Debug, Args)]
pub struct FollowArgs {
    /// The archive: a folder, s3://bucket/prefix, or http://host:port of a node, which needs no archive of its own.
    #[arg(long, value_name = "URL")]
    from: String,

    /// Which network, if the archive has several: 16 hex digits.
    #[arg(long, value_name = "ID")]
    network: Option<NetworkId>,

    /// The root of a frontier that you trust: the sealed segments are proven under it.
    #[arg(long, value_name = "ROOT")]
    trusted: Option<Root>,

    /// Folder of the follower's own data.
    #[arg(long, value_name = "DIR", visible_alias = "datadir", default_value = "./data")]
    data_dir: PathBuf,

    /// Milliseconds of a slot of this network, which no archive holds.
    #[arg(long, value_name = "MS", default_value_t = SLOT_MS, value_parser = clap::value_parser!(u64).range(5..=3_600_000))]
    slot_ms: u64,

    /// How blocks of this network are proven, which no archive holds.
    #[arg(long, value_enum, default_value_t = Proofs::Raw)]
    proof_scheme: Proofs,

    /// Slots that the head may be behind the clock before health says 503.
    #[arg(long, value_name = "SLOTS", default_value_t = 8)]
    max_lag_slots: u64,

    /// Where the chain here has parted from the source's, begin again from the source, beside, and take its place.
    #[arg(long)]
    rebuild: bool,

    /// TCP port of the HTTP API, which has the metrics too; 0 picks a free one.
    #[arg(long, value_name = "PORT", visible_alias = "http-port", default_value_t = 5052)]
    api_port: u16,

    /// Address of the TCP port.
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    http_address: IpAddr,

    /// A name by which this machine's API may be asked for, besides localhost and addresses. Repeatable.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    http_allow_host: Vec<String>,

    /// An origin whose pages may read the API from a browser, or `*`. Repeatable.
    #[arg(long, value_name = "ORIGIN", value_delimiter = ',')]
    http_allow_origin: Vec<String>,

    /// Print the end as JSON.
    #[arg(long)]
    json: bool,

    /// Stop when standard input closes, so that no follower outlives the program that started it.
    #[arg(long, hide = true)]
    exit_with_parent: bool,
}

impl FollowArgs {
    /// Follows until it is told to stop.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let _log = Log::start().map_err(NodeError::Log)?;
        let (interrupt, bell) = (Interrupt::default(), Bell::default());
        let stop = {
            let (interrupt, bell) = (interrupt.clone(), bell.clone());
            move || {
                interrupt.trigger();
                bell.ring();
            }
        };
        if self.exit_with_parent {
            stop_when_stdin_closes(stop.clone()).map_err(NodeError::Parent)?;
        }
        ctrlc::set_handler(stop).map_err(NodeError::from)?;
        let (json, config) = (self.json, self.config());
        let ended = run(&config, &interrupt, &bell)?;
        info!("Stopped");
        if json {
            print_line(&as_json(&config.replica, &ended))?;
        } else {
            print_line(&said(&config.replica, &ended))?;
        }
        match ended.diverged {
            Some(divergence) => Err(FollowError::Diverged(divergence).into()),
            None => Ok(()),
        }
    }

    fn config(self) -> FollowConfig {
        let slot_ms = SlotClock::new(0, self.slot_ms).slot_ms();
        FollowConfig {
            replica: ReplicaConfig {
                source: self.from,
                network: self.network,
                trusted: self.trusted,
                data_dir: self.data_dir,
                slot_ms,
                proof_scheme: SchemeName::from(self.proof_scheme),
                settings: Settings { slot_ms, ..Settings::default() },
            },
            api: ServerConfig {
                admin: Some(false),
                allowed_hosts: self.http_allow_host,
                allowed_origins: self.http_allow_origin,
                ..ServerConfig::new(self.http_address, self.api_port, None)
            },
            lag_slots_max: self.max_lag_slots,
            rebuild: self.rebuild,
        }
    }
}

/// How far it is, what was verified in this run, and what was not.
fn said(replica: &ReplicaConfig, ended: &Ended) -> String {
    let Some(at) = &ended.at else {
        return "stopped: there is no chain here yet, and nothing was verified".to_owned();
    };
    let next = at.next.map_or_else(
        || "no object of a tail was taken yet".to_owned(),
        |(writer, sequence)| format!("object {sequence} of writer {writer} comes next"),
    );
    let (head, finalized) = (at.head, at.finalized);
    let why = if at.reason.is_empty() { String::new() } else { format!(" ({})", at.reason) };
    let begun = ended.segments.map_or_else(String::new, |segments| {
        let (blocks, SlotRoot { root, slot }) = (segments.blocks, segments.frontier);
        let trust = trust(replica.trusted.is_some());
        format!(
            "{blocks} blocks and states of segments under root {root} at slot {slot} ({trust}), "
        )
    });
    let past_holes = match ended.filled {
        0 => String::new(),
        blocks => format!("{blocks} blocks of segments past a hole, "),
    };
    let (by, not) = match checks_signatures(replica) {
        true => (
            "transition and signatures",
            "signatures of blocks of segments, each one of longer runs",
        ),
        false => ("transition", "signatures (proof scheme trust)"),
    };
    format!(
        "stopped: {}{why}, {next}; head {} at slot {}, finalized slot {}; verified in this run: {begun}{past_holes}{} blocks of {} objects by {by}; not verified: {not}",
        at.state, head.root, head.slot, finalized.slot, ended.blocks, ended.objects,
    )
}

fn as_json(replica: &ReplicaConfig, ended: &Ended) -> Value {
    let at = ended.at.as_ref();
    let next = at.and_then(|at| at.next);
    let frontier = ended.segments.map(|segments| segments.frontier);
    json!({
        "state": at.map(|at| at.state),
        "reason": at.map(|at| at.reason.as_str()).filter(|reason| !reason.is_empty()),
        "writer": next.map(|(writer, _)| writer.to_string()),
        "next_object": next.map(|(_, sequence)| sequence),
        "head_slot": at.map(|at| at.head.slot),
        "head_root": at.map(|at| at.head.root.to_string()),
        "finalized_slot": at.map(|at| at.finalized.slot),
        "finalized_root": at.map(|at| at.finalized.root.to_string()),
        "blocks_of_segments": ended.segments.map(|segments| segments.blocks),
        "frontier_slot": frontier.map(|frontier| frontier.slot),
        "frontier_root": frontier.map(|frontier| frontier.root.to_string()),
        "root_is_trusted": replica.trusted.is_some(),
        "blocks_past_holes": ended.filled,
        "objects": ended.objects,
        "blocks_of_objects": ended.blocks,
        "signatures_checked": checks_signatures(replica),
    })
}

/// Whether the import looks at the proofs of the blocks that a tail brings.
fn checks_signatures(replica: &ReplicaConfig) -> bool {
    replica.proof_scheme != SchemeName::Trust
}

impl FollowError {
    /// The exit code that tells this from other outcomes.
    pub(super) const fn exit_code(&self) -> u8 {
        match self {
            Self::Diverged(_) => 3,
            Self::Store(_) | Self::Reading(_) => 5,
            Self::OfANode { .. } => 2,
            Self::Open(_)
            | Self::Source(_)
            | Self::Api(_)
            | Self::ServerEnded
            | Self::Kept { .. }
            | Self::Io { .. } => 1,
        }
    }
}
