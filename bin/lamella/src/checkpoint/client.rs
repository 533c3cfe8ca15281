//! `GET` of the two documents, within limits: a source may stall, redirect, or send without end.

use std::time::Duration;

use lamella_http_api::version;
use lamella_types::{Decode, Root, SignedBlock, Slot, State};
use ureq::Agent;

use super::SourceError;

/// Blocks by slot and root: not leanSpec's.
const BLOCKS_PATH: &str = "/lean/v0/blocks/";

/// leanSpec's routes.
const BLOCK_PATH: &str = "/lean/v0/blocks/finalized";
const STATE_PATH: &str = "/lean/v0/states/finalized";

/// Time for name, connection and TLS. ethlambda's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Longest silence, before and in an answer. ethlambda's.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// Time for a whole answer: [`STATE_BYTES_MAX`] at 2 Mbit/s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);

/// Redirects followed for one request.
const REDIRECTS_MAX: u32 = 5;

/// Bytes of a signed block: the network's own limit of a message, 10 MiB.
const BLOCK_BYTES_MAX: u64 = 10 << 20;

/// Bytes of a state: 8 MiB of history and 0.5 MiB of registry, the rest for the tally. A block without finality adds
/// 544 bytes to it at 4,096 validators, so this is four days of them.
const STATE_BYTES_MAX: u64 = 64 << 20;

/// Why a document could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer with a document in it.
    #[error("GET {path}: {source}")]
    Http {
        /// What was asked for.
        path: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// More than any such document.
    #[error("GET {path}: more than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        path: String,
        /// The limit.
        bytes_max: u64,
    },
}

/// What a source has at a slot.
pub(super) enum At {
    /// A block.
    Block(Box<SignedBlock>),
    /// None that it gives.
    None,
}

/// Fetches blocks and states.
pub(crate) struct Client(Agent);

impl Client {
    pub(crate) fn new() -> Self {
        let config = Agent::config_builder()
            .user_agent(version())
            .timeout_resolve(Some(CONNECT_TIMEOUT))
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_per_read(Some(SILENCE_MAX))
            .timeout_per_write(Some(SILENCE_MAX))
            .timeout_recv_response(Some(SILENCE_MAX))
            .timeout_recv_body(Some(ANSWER_TIMEOUT))
            .max_redirects(REDIRECTS_MAX)
            // One from the environment would be asked for loopback addresses too, and who reaches peers needs none.
            .proxy(None)
            .build();
        Self(config.new_agent())
    }

    /// The source's finalized block.
    pub(super) fn block(&self, base_url: &str) -> Result<SignedBlock, SourceError> {
        let bytes = self.get(base_url, BLOCK_PATH, BLOCK_BYTES_MAX)?;
        SignedBlock::from_ssz(&bytes).map_err(SourceError::Block)
    }

    /// The block at a slot of the source's chain.
    pub(super) fn block_at(&self, base_url: &str, slot: Slot) -> Result<At, SourceError> {
        match self.get(base_url, &format!("{BLOCKS_PATH}{slot}"), BLOCK_BYTES_MAX) {
            Ok(bytes) => {
                let block = SignedBlock::from_ssz(&bytes).map_err(SourceError::Block)?;
                Ok(At::Block(Box::new(block)))
            }
            // Skipped, pruned, or a source that serves none but its finalized block.
            Err(FetchError::Http { source, .. }) if is_status(&source) => Ok(At::None),
            Err(error) => Err(error.into()),
        }
    }

    /// The block of this root, or the source's finalized one if it serves none by root.
    pub(crate) fn block_of(&self, base_url: &str, root: &Root) -> Result<SignedBlock, SourceError> {
        let path = format!("/lean/v0/blocks/{root}");
        let bytes = self.get_or(base_url, &path, BLOCK_PATH, BLOCK_BYTES_MAX)?;
        SignedBlock::from_ssz(&bytes).map_err(SourceError::Block)
    }

    /// The post-state of the block of this root, or of the source's finalized one if it serves none by root.
    pub(crate) fn state_of(&self, base_url: &str, root: &Root) -> Result<State, SourceError> {
        let path = format!("/lean/v0/states/{root}");
        let bytes = self.get_or(base_url, &path, STATE_PATH, STATE_BYTES_MAX)?;
        State::from_ssz(&bytes).map_err(SourceError::State)
    }

    fn get_or(
        &self,
        base_url: &str,
        path: &str,
        other_path: &str,
        bytes_max: u64,
    ) -> Result<Vec<u8>, FetchError> {
        match self.get(base_url, path, bytes_max) {
            Err(FetchError::Http { source, .. }) if is_status(&source) => {
                self.get(base_url, other_path, bytes_max)
            }
            answer => answer,
        }
    }

    /// The post-state of the source's finalized block.
    pub(super) fn state(&self, base_url: &str) -> Result<State, SourceError> {
        let bytes = self.get(base_url, STATE_PATH, STATE_BYTES_MAX)?;
        State::from_ssz(&bytes).map_err(SourceError::State)
    }

    fn get(&self, base_url: &str, path: &str, bytes_max: u64) -> Result<Vec<u8>, FetchError> {
        let failed = |error| match error {
            ureq::Error::BodyExceedsLimit(_) => {
                FetchError::TooLarge { path: path.to_owned(), bytes_max }
            }
            source => FetchError::Http { path: path.to_owned(), source: Box::new(source) },
        };
        let request = self.0.get(format!("{base_url}{path}"));
        let request = request.header("accept", "application/octet-stream");
        let mut response = request.call().map_err(failed)?;
        response.body_mut().with_config().limit(bytes_max).read_to_vec().map_err(failed)
    }
}

/// Whether a source answered that it has no such thing, or does not give it.
fn is_status(error: &ureq::Error) -> bool {
    matches!(error, ureq::Error::StatusCode(_))
}
