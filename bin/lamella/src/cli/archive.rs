//! `lamella archive`: the jobs are `lamella_shipping`'s; here are their flags, progress and words.

mod error;
mod export;
mod look;
mod restore;

use std::{ops::ControlFlow, path::PathBuf};

use clap::{Args, Subcommand};
use lamella_archive::{NetworkId, WriterId};
use lamella_chain::{Progress, Settings};
use lamella_interrupt::Interrupt;
use lamella_shipping::{
    ShippingError,
    remote::Remote,
    store::{Access, Store},
    verifier::{Depth, Verify},
};
use lamella_types::{Root, limits::SLOT_MS};
use lamella_xmss::scheme::SchemeName;

use super::{
    CommandError,
    db::{Told, print_line},
    node::Proofs,
};
use crate::follow::ReplicaConfig;

pub use error::ArchiveCommandError;

/// What `lamella archive --help` says last.
pub(super) const EXIT_CODES: &str = "\
An archive lies in a folder (/mnt/archive, file:///mnt/archive) or in a bucket
(s3://bucket/prefix, with AWS_ENDPOINT, AWS_REGION, AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY as other tools know them). Every node is one too, to be read
(http://host:port, its API). Every command here can be killed at any
instant and run again: export, restore and clean go on, ls and verify begin
anew. Objects are put once and never replaced.

Exit codes:
  0  done; the last line says what was verified and what was not
  1  failed: the store does not answer, the disk is full
  2  wrong usage
  3  not there: no archive, nothing sealed, a gap, an empty slot
  5  damaged: an object, or the directory
  6  objects of two chains, or a directory of another chain than the archive
  130  stopped by a signal

Examples:
  lamella archive export --to /mnt/archive --data-dir data/lamella_0
  lamella archive verify /mnt/archive --deep
  lamella archive restore --from /mnt/archive --finalized --data-dir data/restored";

/// The flags.
#[derive(Debug, Args)]
pub struct ArchiveArgs {
    #[command(subcommand)]
    command: ArchiveCommand,

    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum ArchiveCommand {
    /// Write what is finalized of a directory's chain into an archive.
    ///
    /// Every 1,024 slots are a segment, sealed once a block of the next one's slots is finalized. Each is verified before it
    /// is put, read back after, and counts only then; one that is there already is verified instead. It only reads the
    /// directory, and works beside a running node.
    Export {
        /// The archive.
        #[arg(long, value_name = "URL")]
        to: String,
        /// Folder of the node's data; the database is its `db`.
        #[arg(long, value_name = "DIR", alias = "datadir", default_value = "./data")]
        data_dir: PathBuf,
        /// Ship block proofs beside the segments: those that are here and were checked. No root covers them.
        #[arg(long)]
        proofs: bool,
        /// End at this block instead of the finalized one: an older one, or the last that the chain can have, which nothing
        /// finalizes. With that the last segment is sealed.
        #[arg(long, value_name = "ROOT")]
        root: Option<Root>,
    },
    /// List what an archive holds, without reading it.
    Ls {
        #[command(flatten)]
        archive: ArchiveFlags,
    },
    /// Verify an archive under one root: every header, body and empty slot; with --deep every state too.
    Verify {
        #[command(flatten)]
        archive: ArchiveFlags,
        /// Rebuild and hash every state.
        #[arg(long)]
        deep: bool,
        /// And make every state once more by the state transition, from genesis on: a third witness.
        #[arg(long)]
        transition: bool,
        /// Compare the digests of the block proofs, which reads all of them. What they prove is not looked at.
        #[arg(long)]
        proofs: bool,
        /// A block root that you trust, of a node that did not write the archive. It proves everything up to its slot.
        #[arg(long, value_name = "ROOT")]
        root: Option<Root>,
    },
    /// Make a directory from an archive, exactly up to a block, or up to an object of a node's tail.
    ///
    /// The database grows in `db.restoring` beside its place, one segment to a commit, and gets its name when every invariant
    /// holds and its head is the target. Until then nodes and tools refuse the directory. It can be killed at any instant:
    /// the same command goes on. There must be no database yet.
    ///
    /// Forks, votes and the sign guard are not in an archive, proofs of blocks only where they were shipped along. Keep the keys' folder: the copy of the guard
    /// beside the keys is what keeps them from signing twice.
    Restore {
        /// The archive.
        #[arg(long, value_name = "URL")]
        from: String,
        #[command(flatten)]
        network: NetworkFlag,
        #[command(flatten)]
        target: TargetFlags,
        /// Whose tail --seq means, if the archive has several: 16 hex digits.
        #[arg(long, value_name = "ID", requires = "seq")]
        writer: Option<WriterId>,
        /// The root of a frontier that you trust: everything is proven under it.
        #[arg(long, value_name = "ROOT", conflicts_with = "root")]
        trusted: Option<Root>,
        /// Folder of the node's data; the database is its `db`.
        #[arg(long, value_name = "DIR", alias = "datadir", default_value = "./data")]
        data_dir: PathBuf,
        /// Milliseconds of a slot of this network, which no archive holds.
        #[arg(long, value_name = "MS", default_value_t = SLOT_MS, value_parser = clap::value_parser!(u64).range(5..=3_600_000))]
        slot_ms: u64,
        /// How blocks of this network are proven, which no archive holds.
        #[arg(long, value_enum, default_value_t = Proofs::Raw)]
        proof_scheme: Proofs,
        /// Restore the block proofs that the archive has, without a gap back from the last block. The node checks them before
        /// it serves them.
        #[arg(long, conflicts_with = "seq")]
        proofs: bool,
    },
    /// Find objects that are not what their names say, such as a put that was torn. Dry run unless --delete.
    Clean {
        #[command(flatten)]
        archive: ArchiveFlags,
        /// Delete them.
        #[arg(long)]
        delete: bool,
    },
}

#[derive(Debug, Args)]
struct ArchiveFlags {
    /// The archive.
    #[arg(value_name = "URL")]
    url: String,
    #[command(flatten)]
    network: NetworkFlag,
}

#[derive(Debug, Args)]
struct NetworkFlag {
    /// The network, where the archive holds several: the name of its folder.
    #[arg(long, value_name = "ID", value_parser = network_id)]
    network: Option<NetworkId>,
}

/// Where a restored chain is to end.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetFlags {
    /// End at the block of this slot.
    #[arg(long, value_name = "SLOT")]
    slot: Option<u64>,
    /// End at the block of this root, under which everything is proven then.
    #[arg(long, value_name = "ROOT")]
    root: Option<Root>,
    /// End at the newest block of the sealed segments.
    #[arg(long)]
    finalized: bool,
    /// End with what a node had told when it shipped this object of its tail: the sealed segments that it had finalized by then,
    /// and the blocks since with their signatures, forks included, imported as by a node.
    #[arg(long, value_name = "NUMBER")]
    seq: Option<u64>,
}

fn network_id(text: &str) -> Result<NetworkId, String> {
    text.parse().map_err(|_| "16 lower-case hex digits".to_owned())
}

impl ArchiveArgs {
    /// Runs the tool and prints what it did.
    pub(super) fn run(self) -> Result<(), CommandError> {
        let json = self.json;
        match self.command {
            ArchiveCommand::Export { to, data_dir, proofs, root } => {
                export::run(to, data_dir, export::Asked { proofs, root }, json)
            }
            ArchiveCommand::Ls { archive } => look::list(archive, json),
            ArchiveCommand::Verify { archive, deep, transition, proofs, root } => {
                let depth = match (transition, deep) {
                    (true, _) => Depth::Transition,
                    (false, true) => Depth::States,
                    (false, false) => Depth::Content,
                };
                look::verify(archive, Verify { trusted: root, depth, proofs }, json)
            }
            ArchiveCommand::Restore {
                from,
                network,
                target,
                writer,
                trusted,
                data_dir,
                slot_ms,
                proof_scheme,
                proofs,
            } => {
                let replica = ReplicaConfig {
                    source: from,
                    network: network.network,
                    trusted: trusted.or(target.root),
                    data_dir,
                    slot_ms,
                    proof_scheme: SchemeName::from(proof_scheme),
                    settings: Settings { slot_ms, ..Settings::default() },
                };
                match target.seq {
                    Some(sequence) => restore::run_to_object(replica, writer, sequence, json),
                    None => restore::run(replica, target, proofs, json),
                }
            }
            ArchiveCommand::Clean { archive, delete } => look::clean(archive, delete, json),
        }
    }
}

/// The archive that the flags name.
fn open(url: &str, network: Option<NetworkId>) -> Result<Remote, ShippingError> {
    Remote::find(Store::open(url, Access::Read)?, network)
}

/// Whose root everything was proven under.
pub(super) const fn trust(is_trusted: bool) -> &'static str {
    match is_trusted {
        true => "the root you gave",
        false => "no root was given: compare this one with a node that you trust",
    }
}

/// What is told of how far a job is.
type Tell<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// Does a job with a progress bar, until a signal ends it: what it leaves is what a kill would.
fn job<T: Send + 'static>(
    work: impl FnOnce(Tell<'_>) -> Result<T, ShippingError> + Send + 'static,
) -> Result<T, ArchiveCommandError> {
    let stop = Interrupt::default();
    let ordered = stop.clone();
    ctrlc::set_handler(move || ordered.trigger())?;
    let told = Told::new();
    let mut shown = told.clone();
    let done = stop.race(move || {
        work(&mut |progress| {
            shown.tell(progress);
            ControlFlow::Continue(())
        })
    });
    told.end();
    Ok(done.unwrap_or(Err(ShippingError::Stopped))?)
}
