//! `lamella devnet`.

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use clap::Args;
use lamella_devnet::{
    DevnetError, DevnetOptions, KeyProgress, Show,
    show::{JsonLines, Lines, live::Live},
};
use lamella_interrupt::Interrupt;

use super::{CommandError, genesis::Progress};

/// What `lamella devnet --help` says first.
pub(super) const LONG_ABOUT: &str = "\
Run a network of several nodes on this machine, and watch it.

Makes keys and genesis, starts one process per node on free loopback ports, and shows where each of them is: a live \
picture on a terminal, else at most one line a slot. Ctrl-C stops all nodes; started again, the same network goes on. However \
this command ends, SIGKILL included, its nodes end with it.

With --slots the run ends by itself and is judged: all nodes on one chain, finality close to the head in most slots and at the end, the states of \
all anchors and of random slots byte-identical on every node and hashing to their state_root, every database \
verified, the same checksum of the finalized chain everywhere; with --hostile also no duty lost by the nodes that stay \
and were not robbed, at most 300 MB of memory each, and no node of the network banned.";

/// What it says last.
pub(super) const EXAMPLES: &str = "\
Exit codes:
  0    stopped by a signal without --slots; with --slots, every check passed
  1    a check failed, or a node did
  2    wrong usage; the network in --dir is not the one asked for, or its keys are used up
  130  stopped by a signal before the --slots were over

Examples:
  lamella devnet
  lamella devnet --nodes 4 --slot-ms 500 --slots 1200 --dir /tmp/net
  lamella devnet --nodes 3 --slots 90 --hostile --churn
  lamella devnet --slot-ms 1000 --archive /tmp/archive
  lamella devnet --json | jq .finality_distance

In DIR: the network's files, data/NODE, logs/NODE.log. Look inside while it runs:
  lamella db info --data-dir DIR/data/lamella_0";

/// The flags.
#[derive(Debug, Args)]
pub struct DevnetArgs {
    /// Nodes, 1 to 64 [default: 4, or as the network in --dir has].
    #[arg(long, value_name = "COUNT")]
    nodes: Option<u64>,

    /// Validators, 1 to 4096, dealt to the nodes in turn [default: 4, or as the network in --dir has].
    #[arg(long, value_name = "COUNT")]
    validators: Option<u64>,

    /// Milliseconds of a slot, 100 at least [default: 4000, or as the network in --dir has].
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(100..=3_600_000))]
    slot_ms: Option<u64>,

    /// End after so many slots and judge the run [default: run until stopped, or until the keys are used up].
    ///
    /// The keys of a new network sign as many as this needs, and where validators are few 4096 slots.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=65_000))]
    slots: Option<u64>,

    /// Folder of the network, made if absent; an existing network of this command goes on.
    #[arg(long, value_name = "DIR", default_value = "./devnet")]
    dir: PathBuf,

    /// Print one JSON object a slot, and one with the verdict.
    #[arg(long)]
    json: bool,

    /// Slots that the keys of a new network sign, in place of 4096 or as many as --slots needs: for tests.
    #[arg(long, value_name = "COUNT", hide = true)]
    key_slots: Option<u64>,

    /// Slots of signatures that each node keeps [default: as `lamella node` has it].
    #[arg(long, value_name = "SLOTS")]
    signature_window: Option<u64>,

    /// Let every node ship its history and its blocks into this archive: a folder, or s3://bucket/prefix.
    ///
    /// As `lamella node --archive` does; each node has a tail of its own there, and the segments are all nodes' alike.
    #[cfg(feature = "archive")]
    #[arg(long, value_name = "URL")]
    archive: Option<String>,

    /// Attack every node with a peer that keeps no rule, and judge that it cost no duty, no memory and no peer.
    ///
    /// It sends blocks of a far future, bytes that are no message, forgeries, replays, floods of requests, lies about its
    /// chain, under many names, a page's requests to the API, and two blocks and votes for one slot with the keys of the last node's last validator.
    #[arg(long)]
    hostile: bool,

    /// Let the last third of the nodes come and go: killed and stopped in turn, for 6 of 18 slots.
    ///
    /// Takes 3 nodes at least; with 3, 6 or 9 it is a third of the validators.
    #[arg(long)]
    churn: bool,

    /// Choose the random states of the verdict as an earlier run did [default: at random, and told].
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

impl DevnetArgs {
    /// Runs the network until its slots are over or a signal comes.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let stop = Interrupt::default();
        let told = stop.clone();
        ctrlc::set_handler(move || told.trigger()).map_err(DevnetError::from)?;
        let mut show: Box<dyn Show> = match (self.json, io::stdout().is_terminal()) {
            (true, _) => Box::new(JsonLines),
            (false, true) => Box::new(Live::new()),
            (false, false) => Box::new(Lines),
        };
        let options = self.options()?;
        let bar = Arc::new(OnceLock::<Progress>::new());
        let progress: KeyProgress = {
            let bar = Arc::clone(&bar);
            Arc::new(move |genesis, leaves| {
                let bar = bar.get_or_init(|| Progress::new(genesis));
                bar.show(leaves);
                if leaves == genesis.leaves() {
                    bar.end();
                }
            })
        };
        let result = lamella_devnet::run(&options, &stop, &mut *show, &progress);
        // Keys that are no longer waited for.
        if let Some(bar) = bar.get() {
            bar.end();
        }
        Ok(result?)
    }

    fn options(self) -> Result<DevnetOptions, DevnetError> {
        let program = std::env::current_exe()
            .map_err(|source| DevnetError::File { path: "lamella".into(), source })?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => u64::from(
                getrandom::u32().map_err(lamella_network_dir::genesis::GenesisError::from)?,
            ),
        };
        Ok(DevnetOptions {
            nodes: self.nodes,
            validators: self.validators,
            slot_ms: self.slot_ms,
            slots: self.slots,
            key_slots: self.key_slots,
            dir: self.dir,
            signature_window: self.signature_window,
            #[cfg(feature = "archive")]
            archive: self.archive,
            #[cfg(not(feature = "archive"))]
            archive: None,
            is_hostile: self.hostile,
            has_churn: self.churn,
            seed,
            program,
        })
    }
}
