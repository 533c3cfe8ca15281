//! Checkpoint sync: beginning an empty data directory at another node's finalized block.
//!
//! Disk beats checkpoint beats genesis. A directory that has a chain is never looked at further here, whatever the
//! flags say; and a node that was told to begin at a checkpoint never begins at genesis instead. Whatever a source
//! sends is checked whole, in memory, against itself and against the local `config.yaml`, before anything is written.
//!
//! | question | file |
//! |---|---|
//! | what a source's answer must be | `verify` |
//! | who signed for it | `votes` |
//! | HTTP, its limits | `client` |
//!
//! A source needs no trust: two thirds of `config.yaml`'s keys must have signed votes for the block, or its root must be
//! the one that was given. Under the scheme `trust`, which checks no signature, whoever names a URL trusts it for one
//! block root; everything else is proved against that. `docs/sync.md` says what this proves. Absent on purpose: a
//! comparison of several sources.

mod client;
mod verify;
mod votes;

use std::time::Duration;

use lamella_chain::{Bootstrap, Chain, ChainOpenError, Found};
use lamella_interrupt::Interrupt;
use lamella_network_dir::GenesisConfig;
use lamella_types::{DecodeError, Root};
use lamella_xmss::scheme::ProofScheme;
use tracing::{info, warn};

pub use client::FetchError;
pub use verify::{Checkpoint, Refusal, verify};

use crate::config::NodeConfig;
pub(crate) use client::Client;

/// How often to ask, and how long to wait in between. ethlambda's.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    /// Times that block and state are fetched from one source until they belong together.
    pub pairs: u32,
    /// Wait between these: the source finalized another block in between.
    pub pair_pause: Duration,
    /// Times that the whole list is tried.
    pub rounds: u32,
    /// Wait between these.
    pub round_pause: Duration,
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            pairs: 3,
            pair_pause: Duration::from_secs(1),
            rounds: 5,
            round_pause: Duration::from_secs(5),
        }
    }
}

/// Why there is no checkpoint to begin at. Nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// What is in the data directory cannot be told.
    #[error(transparent)]
    Open(#[from] ChainOpenError),
    /// No source had a checkpoint of this network.
    #[error(
        "no checkpoint to begin at; last, {url}: {error}; give another --checkpoint-sync-url, or none to begin at genesis"
    )]
    NoSource {
        /// The last source.
        url: String,
        /// Its failure.
        error: SourceError,
    },
    /// Told to stop while fetching.
    #[error("stopped before a checkpoint was found")]
    Interrupted,
}

/// Why one source is not begun at.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// It does not answer, or not with a block and a state.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// Its block is not SSZ.
    #[error("its block cannot be decoded: {0}")]
    Block(DecodeError),
    /// Its state is not SSZ.
    #[error("its state cannot be decoded: {0}")]
    State(DecodeError),
    /// It is not a checkpoint of this network.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl SourceError {
    /// Whether asking again cannot help.
    const fn is_final(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_other_network())
    }
}

/// Where an empty data directory begins if it was told to begin at a checkpoint. `None`: it has a chain, or no source
/// was named.
///
/// # Errors
/// [`CheckpointError`]; nothing was written.
pub fn bootstrap(
    config: &NodeConfig,
    interrupt: &Interrupt,
) -> Result<Option<Bootstrap>, CheckpointError> {
    if config.checkpoint_urls.is_empty() {
        return Ok(None);
    }
    let path = config.database();
    if Chain::find(&path)? != Found::Nothing {
        let database = path.display();
        info!(%database, "There is a chain on disk: --checkpoint-sync-url is not needed and not used");
        return Ok(None);
    }
    let (urls, genesis) = (config.checkpoint_urls.clone(), config.genesis.clone());
    let (scheme, waiting) = (config.proof_scheme.scheme(), interrupt.clone());
    let root = config.checkpoint_root;
    let fetching = move || fetch(&urls, root, &genesis, &*scheme, Schedule::default(), &waiting);
    interrupt.race(fetching).unwrap_or(Err(CheckpointError::Interrupted)).map(Some)
}

/// Asks the sources in turn, round after round, until one has a checkpoint of this network: the block of the root that is
/// expected, or the source's finalized one if two thirds of the validators voted for it. A source of another network is
/// not asked again.
///
/// # Errors
/// [`CheckpointError`].
pub fn fetch(
    urls: &[String],
    expected: Option<Root>,
    genesis: &GenesisConfig,
    scheme: &dyn ProofScheme,
    schedule: Schedule,
    interrupt: &Interrupt,
) -> Result<Bootstrap, CheckpointError> {
    let client = Client::new();
    let mut urls = urls.to_vec();
    let mut last = None;
    for round in 1..=schedule.rounds {
        if round > 1 && interrupt.pause(schedule.round_pause) {
            return Err(CheckpointError::Interrupted);
        }
        let mut index = 0;
        while let Some(url) = urls.get(index) {
            info!(url, round, rounds = schedule.rounds, "Fetching a checkpoint");
            match from_source(&client, url, expected, genesis, scheme, schedule, interrupt) {
                Ok(None) => return Err(CheckpointError::Interrupted),
                Ok(Some(checkpoint)) => {
                    let Checkpoint { root, ref bootstrap } = checkpoint;
                    let slot = bootstrap.block.block.slot;
                    info!(url, slot, block_root = %root, "Verified a checkpoint");
                    return Ok(checkpoint.bootstrap);
                }
                Err(error) => {
                    warn!(url, round, rounds = schedule.rounds, %error, "No checkpoint from here");
                    let url = url.clone();
                    if error.is_final() {
                        urls.remove(index);
                    } else {
                        index += 1;
                    }
                    last = Some((url, error));
                }
            }
        }
        if urls.is_empty() {
            break;
        }
    }
    let Some((url, error)) = last else { return Err(CheckpointError::Interrupted) };
    Err(CheckpointError::NoSource { url, error })
}

/// One source's checkpoint; `None` if told to stop.
fn from_source(
    client: &Client,
    url: &str,
    expected: Option<Root>,
    genesis: &GenesisConfig,
    scheme: &dyn ProofScheme,
    schedule: Schedule,
    interrupt: &Interrupt,
) -> Result<Option<Checkpoint>, SourceError> {
    let mut attempt = 1;
    let checkpoint = loop {
        // The block first, as leanSpec does.
        let (block, state) = match expected {
            Some(root) => (client.block_of(url, &root)?, client.state_of(url, &root)?),
            None => (client.block(url)?, client.state(url)?),
        };
        match verify(block, state, genesis, scheme) {
            Err(refusal) if refusal.is_unpaired() && attempt < schedule.pairs => {
                info!(url, attempt, "The source finalized in between: fetching again");
                attempt += 1;
                if interrupt.pause(schedule.pair_pause) {
                    return Ok(None);
                }
            }
            verified => break verified?,
        }
    };
    let (slot, root) = (checkpoint.bootstrap.block.block.slot, checkpoint.root);
    match expected {
        Some(expected) if expected != root => {
            return Err(Refusal::OtherRoot { found: root, expected }.into());
        }
        Some(_) => {}
        None if scheme.is_proof() => {
            let named = lamella_types::Checkpoint { slot, root };
            votes::look_for(client, url, named, &genesis.validators, scheme)?;
        }
        None => warn!(
            url,
            "This proof scheme checks no signature: the source is trusted for the block's root"
        ),
    }
    Ok(Some(checkpoint))
}
