//! What a running node says of itself over HTTP.
//!
//! Every answer is bounded in time and bytes, and judged as input: a node that dies in the middle of one, or says
//! something else than docs/api.md, is an error that names the request.

use std::{fmt, time::Duration};

use lamella_types::{BlockHeader, Decode, Root, Slot};
use serde::{Deserialize, de::DeserializeOwned};

/// Longest wait for an answer on the loopback address: a node under load refuses a read after 500 ms.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Bytes of an answer at most: a state at the last slot has 9 MB (docs/api.md).
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// What every route of the API begins with.
const PREFIX: &str = "/lean/v0";

/// Why a node gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection, or it broke off.
    #[error("http://127.0.0.1:{port}{path}: {source}")]
    Request {
        /// The API's port.
        port: u16,
        /// What was asked for.
        path: String,
        /// What went wrong.
        source: Box<ureq::Error>,
    },
    /// An answer that docs/api.md does not describe.
    #[error("http://127.0.0.1:{port}{path}: unexpected answer: {what}")]
    Answer {
        /// The API's port.
        port: u16,
        /// What was asked for.
        path: String,
        /// What is wrong with it.
        what: String,
    },
}

/// A client of one node's API.
#[derive(Debug, Clone)]
pub struct Client {
    port: u16,
    agent: ureq::Agent,
}

/// A block's header or state as served, with the block's root; `None` where the chain has no block at the slot.
pub type Served<T> = Option<(Root, T)>;

/// Where a node is.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeView {
    /// Slot of the head.
    pub head_slot: Slot,
    /// Root of the head.
    pub head: Root,
    /// The justified slot.
    pub justified_slot: Slot,
    /// The finalized slot.
    pub finalized_slot: Slot,
    /// Root of the finalized block.
    pub finalized: Root,
    /// Connected peers.
    pub peers: u64,
    /// Changes of the head that left a branch.
    pub reorgs: u64,
    /// Blocks imported since the start.
    pub imports: u64,
    /// Mean time of the commits of these, in milliseconds; 0 without any.
    pub commit_ms: f64,
    /// Bytes of the database's pages in use.
    pub database_bytes: u64,
    /// Whether it is catching up, as it says: `idle`, `syncing` or `synced`.
    pub sync_status: String,
}

#[derive(Deserialize)]
struct ForkChoiceBody {
    nodes: Vec<ForkChoiceNode>,
    head: HexRoot,
    justified: CheckpointBody,
    finalized: CheckpointBody,
}

#[derive(Deserialize)]
struct ForkChoiceNode {
    root: HexRoot,
    slot: Slot,
}

#[derive(Deserialize)]
struct CheckpointBody {
    slot: Slot,
    root: HexRoot,
}

#[derive(Deserialize)]
struct SyncingBody {
    status: String,
}

#[derive(Deserialize)]
struct PeersBody {
    count: u64,
}

/// The part of `/node/database` that is looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct DatabaseView {
    /// Blocks and states are served from this slot on.
    pub first_slot: Slot,
    /// Signed blocks are served from this slot on.
    pub proofs_from_slot: Slot,
    /// Bytes of the pages in use.
    pub used_bytes: u64,
}

/// A root as JSON has it: `0x` and 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq)]
struct HexRoot(Root);

impl<'de> Deserialize<'de> for HexRoot {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Client {
    /// A client of the API on this port of the loopback address. Does not connect yet.
    #[must_use]
    pub fn new(port: u16) -> Self {
        let config = ureq::Agent::config_builder()
            .timeout_global(Some(ANSWER_TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .max_idle_connections(0)
            .build();
        Self { port, agent: config.into() }
    }

    /// The API's port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Where it serves, for people and other programs.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the node is.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn view(&self) -> Result<NodeView, ClientError> {
        let tree: ForkChoiceBody = self.json("/fork_choice")?;
        let head = tree.nodes.iter().find(|node| node.root == tree.head);
        let head_slot = head.map(|node| node.slot).ok_or_else(|| {
            self.unexpected("/fork_choice", "the head is not among the blocks".into())
        })?;
        let syncing: SyncingBody = self.json("/node/syncing")?;
        let peers: PeersBody = self.json("/node/peers")?;
        let metrics = self.metrics()?;
        let (imports, commit_s) = (metrics.commits(), metrics.commit_seconds());
        let commit_ms = if imports > 0.0 { 1000.0 * commit_s / imports } else { 0.0 };
        Ok(NodeView {
            head_slot,
            head: tree.head.0,
            justified_slot: tree.justified.slot,
            finalized_slot: tree.finalized.slot,
            finalized: tree.finalized.root.0,
            peers: peers.count,
            reorgs: whole(metrics.value("lean_fork_choice_reorgs_total")),
            imports: whole(Some(imports)),
            commit_ms,
            database_bytes: self.database()?.used_bytes,
            sync_status: syncing.status,
        })
    }

    /// What the node says of its database.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn database(&self) -> Result<DatabaseView, ClientError> {
        self.json("/node/database")
    }

    /// Every metric.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn metrics(&self) -> Result<Metrics, ClientError> {
        let (_, _, body) = self.get("/metrics", "text/plain")?;
        Ok(Metrics(String::from_utf8_lossy(&body).into_owned()))
    }

    /// The header of the block with this id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn header(&self, id: impl fmt::Display) -> Result<Served<BlockHeader>, ClientError> {
        let path = format!("{PREFIX}/headers/{id}");
        let Some((root, bytes)) = self.ssz(&path)? else { return Ok(None) };
        match BlockHeader::from_ssz(&bytes) {
            Ok(header) => Ok(Some((root, header))),
            Err(error) => Err(self.unexpected(&path, format!("no header: {error}"))),
        }
    }

    /// The SSZ bytes of the state after the block with this id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn state(&self, id: impl fmt::Display) -> Result<Served<Vec<u8>>, ClientError> {
        self.ssz(&format!("{PREFIX}/states/{id}"))
    }

    /// The SSZ bytes of the signed block with this id.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn block(&self, id: impl fmt::Display) -> Result<Served<Vec<u8>>, ClientError> {
        self.ssz(&format!("{PREFIX}/blocks/{id}"))
    }

    fn ssz(&self, path: &str) -> Result<Served<Vec<u8>>, ClientError> {
        let (status, root, body) = self.get(path, "application/octet-stream")?;
        match (status, root) {
            (200, Some(root)) => Ok(Some((root, body))),
            (404, _) if is_no_block(&body) => Ok(None),
            _ => Err(self.unexpected(path, described(status, &body))),
        }
    }

    fn json<T: DeserializeOwned>(&self, route: &str) -> Result<T, ClientError> {
        let path = format!("{PREFIX}{route}");
        let (status, _, body) = self.get(&path, "application/json")?;
        if status != 200 {
            return Err(self.unexpected(&path, described(status, &body)));
        }
        serde_json::from_slice(&body).map_err(|error| self.unexpected(&path, error.to_string()))
    }

    /// Status, `x-block-root` if there is one, and body.
    fn get(&self, path: &str, accept: &str) -> Result<(u16, Option<Root>, Vec<u8>), ClientError> {
        let failed = |source: ureq::Error| ClientError::Request {
            port: self.port,
            path: path.to_owned(),
            source: Box::new(source),
        };
        let request = self.agent.get(format!("{}{path}", self.url())).header("accept", accept);
        let mut response = request.call().map_err(failed)?;
        let root = response.headers().get("x-block-root").and_then(|root| root.to_str().ok());
        let root = root.and_then(|root| root.parse().ok());
        let body = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
        Ok((response.status().as_u16(), root, body.map_err(failed)?))
    }

    fn unexpected(&self, path: &str, what: String) -> ClientError {
        ClientError::Answer { port: self.port, path: path.to_owned(), what }
    }
}

/// A scrape: Prometheus' text format.
#[derive(Debug, Clone)]
pub struct Metrics(String);

impl Metrics {
    /// The value of a series by its full name, labels included.
    #[must_use]
    pub fn value(&self, series: &str) -> Option<f64> {
        let line = self.0.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.trim().parse().ok()
    }

    /// The counter with this full name; 0 if it is not there.
    #[must_use]
    pub fn count(&self, series: &str) -> u64 {
        whole(self.value(series))
    }

    /// The text itself.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// Imports committed since the node started.
    #[must_use]
    pub fn commits(&self) -> f64 {
        self.value("lean_storage_commit_seconds_count{phase=\"commit\"}").unwrap_or(0.0)
    }

    /// Seconds spent in these commits, writing rows and waiting for the disk.
    #[must_use]
    pub fn commit_seconds(&self) -> f64 {
        let sum =
            |phase| self.value(&format!("lean_storage_commit_seconds_sum{{phase=\"{phase}\"}}"));
        ["write", "commit"].into_iter().filter_map(sum).sum()
    }
}

#[derive(Deserialize)]
struct ErrorBody {
    code: String,
}

/// Whether a 404 says that the head's chain has no block at this slot.
fn is_no_block(body: &[u8]) -> bool {
    let code = serde_json::from_slice(body).map(|ErrorBody { code }| code).unwrap_or_default();
    code == "skipped_slot" || code == "beyond_head"
}

fn described(status: u16, body: &[u8]) -> String {
    /// Characters of an unexpected answer that are repeated: an error of the API is shorter.
    const SHOWN_MAX: usize = 300;
    let text = String::from_utf8_lossy(body);
    format!("status {status}: {}", text.chars().take(SHOWN_MAX).collect::<String>())
}

/// A counter as the number it is.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters are whole")]
fn whole(value: Option<f64>) -> u64 {
    value.unwrap_or(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_series_is_found_by_its_whole_name_and_labels() {
        let metrics = Metrics(
            "# HELP lean_head_slot x\nlean_head_slot_max 9\nlean_head_slot 7\n\
             lean_storage_commit_seconds_sum{phase=\"write\"} 0.5\n\
             lean_storage_commit_seconds_sum{phase=\"commit\"} 1.5\n\
             lean_storage_commit_seconds_count{phase=\"commit\"} 4\n"
                .into(),
        );
        assert_eq!(metrics.value("lean_head_slot"), Some(7.0));
        assert_eq!(metrics.value("lean_head"), None);
        assert_eq!((metrics.commits(), metrics.commit_seconds()), (4.0, 2.0));
    }

    #[test]
    fn only_an_absent_block_is_no_block() {
        assert!(is_no_block(br#"{"error":"x","code":"skipped_slot"}"#));
        assert!(!is_no_block(br#"{"error":"x","code":"no_route"}"#));
        assert!(!is_no_block(b"not found"));
    }
}
