//! `lamella genesis`.

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use lamella_network_dir::genesis::{self, GENESIS_LEAD_S, GenesisOptions, GenesisSummary};
use lamella_types::limits::SLOT_MS;

use super::CommandError;

/// Steps in which progress is told where there is no terminal to draw a bar on.
const PROGRESS_LINES: u64 = 10;

/// What `lamella genesis --help` says first.
pub(super) const LONG_ABOUT: &str = "\
Make a network for development: validator keys, node identities and their configuration.

Writes config.yaml, validators.yaml, annotated_validators.yaml, validator-config.yaml, nodes.yaml, one key file per \
node and hash-sig-keys/, as lean-quickstart lays them out. All nodes listen on 127.0.0.1; the first one aggregates, of three or more the first two.

The validator keys are development keys: real one-time keys for the first --key-slots slots, none after them. At \
4 s a slot the default of 4096 slots lasts 4 h 33 min from genesis; then make a new network.

An interrupted run leaves no network: run the command again. An existing network is never overwritten.";

/// What it says last.
pub(super) const EXAMPLES: &str = "\
Example:
  lamella genesis --nodes 2 --validators 4 --out ./devnet";

/// The flags.
#[derive(Debug, Args)]
pub struct GenesisArgs {
    /// Nodes, 1 to 64: lamella_0, lamella_1, ... on UDP ports 9001, 9002, ...
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    nodes: u64,

    /// Validators, 1 to 4096, dealt to the nodes in turn. A node may have none.
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    validators: u64,

    /// Folder to write, made if absent.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Unix time of slot 0 in seconds [default: 15 s after the keys are made, time to start the nodes].
    #[arg(long, value_name = "SECONDS")]
    genesis_time: Option<u64>,

    /// Slots that each validator key can sign from genesis on, 1 to 65536.
    ///
    /// The time to make the keys grows with it: about half a second per 1000 slots and key, shared by all cores.
    #[arg(long, value_name = "SLOTS", default_value_t = 4096)]
    key_slots: u64,

    /// Milliseconds of a slot, which config.yaml tells the nodes.
    #[arg(long, value_name = "MS", default_value_t = SLOT_MS)]
    slot_ms: u64,

    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl GenesisArgs {
    /// Makes the network and prints what was made.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let options = GenesisOptions {
            nodes: self.nodes,
            validators: self.validators,
            out: self.out,
            genesis_time: self.genesis_time,
            key_slots: self.key_slots,
            slot_ms: self.slot_ms,
            lead_s: GENESIS_LEAD_S,
            ports: None,
        };
        options.check()?;
        let progress = Progress::new(&options);
        let result = genesis::create(&options, &|leaves| progress.show(leaves));
        progress.end();
        let summary = result?;
        let mut out = io::stdout().lock();
        if self.json {
            let json = serde_json::json!({ "network": summary, "commands": commands(&summary) });
            writeln!(out, "{json:#}")?;
        } else {
            print(&mut out, &summary)?;
        }
        Ok(())
    }
}

fn print(out: &mut impl Write, summary: &GenesisSummary) -> io::Result<()> {
    let last = summary.last_signable_slot;
    let minutes = (last + 1).saturating_mul(summary.slot_ms) / 60_000;
    let (hours, minutes) = (minutes / 60, minutes % 60);
    let nodes = summary.nodes.len();
    writeln!(out, "Network written to {}", summary.network_dir.display())?;
    let one = genesis::aggregators(nodes) == 1;
    let who = if one { "the first one aggregates" } else { "the first two aggregate" };
    writeln!(out, "  nodes       {nodes}; {who} signatures")?;
    writeln!(out, "  validators  {}", summary.validators)?;
    writeln!(out, "  genesis     {} (Unix seconds)", summary.genesis_time)?;
    writeln!(out, "  state root  {}", summary.genesis_state_root)?;
    writeln!(
        out,
        "  keys        sign slots 0 to {last}, until {hours} h {minutes} min after genesis at {} ms a slot",
        summary.slot_ms
    )?;
    let each =
        if nodes == 1 { "Start the node:" } else { "Start each node in a terminal of its own:" };
    writeln!(out, "\n{each}")?;
    commands(summary).iter().try_for_each(|command| writeln!(out, "  {command}"))
}

/// The commands that start the nodes.
fn commands(summary: &GenesisSummary) -> Vec<String> {
    let dir = &summary.network_dir;
    let command = |node_id: &String| {
        let data_dir = dir.join("data").join(node_id);
        let (dir, data_dir) = (quote(dir.display()), quote(data_dir.display()));
        format!("lamella node --network-dir {dir} --node-id {node_id} --data-dir {data_dir}")
    };
    summary.nodes.iter().map(command).collect()
}

/// A path as a shell takes it for one word.
fn quote(path: std::path::Display<'_>) -> String {
    let path = path.to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,@%".contains(&byte);
    if path.bytes().all(plain) { path } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

/// Progress on stderr: a bar on a terminal, else a line for each tenth.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    told: AtomicU64,
}

impl Progress {
    pub(super) fn new(options: &GenesisOptions) -> Self {
        let total = options.leaves();
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(total);
            let template = "{msg} [{bar:30}] {percent:>3} % {elapsed}, {eta} left";
            bar.set_style(
                ProgressStyle::with_template(template)
                    .unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar.set_message(format!("{} keys on {} cores", options.keys(), options.threads()));
            bar
        });
        Self { bar, total, told: AtomicU64::new(0) }
    }

    pub(super) fn show(&self, leaves: u64) {
        if let Some(bar) = &self.bar {
            return bar.set_position(leaves);
        }
        let tenth = leaves * PROGRESS_LINES / self.total;
        if self.told.fetch_max(tenth, Ordering::Relaxed) < tenth {
            let _ = writeln!(io::stderr(), "making keys: {} %", tenth * 100 / PROGRESS_LINES);
        }
    }

    pub(super) fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
