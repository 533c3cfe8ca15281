//! Requests for blocks: what can be asked, why nothing came, and how much at once. What [`crate::sync`] decides and
//! what [`crate::service`] does speak of the same things here; neither knows the other.

use std::fmt;

use lamella_types::{Root, Slot};

/// Blocks that we ask for at once. A peer may ask us for `MAX_REQUEST_BLOCKS`.
pub const REQUEST_BLOCKS_MAX: usize = 64;

/// Requests of ours under way.
pub const REQUESTS_MAX: usize = 16;

/// What a request for blocks costs beside the bytes of its answer, in bytes: a stream, and for each slot or root that it
/// names a look into an index. Ranges of empty slots are bounded by it.
const REQUEST_BYTES: u64 = 4 << 10;
/// See [`REQUEST_BYTES`].
const LOOK_BYTES: u64 = 512;

/// A request for blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BlocksRequest {
    /// Canonical blocks of `count` slots.
    Range {
        /// First slot.
        start_slot: Slot,
        /// Slots.
        count: u64,
    },
    /// These blocks.
    Roots(Vec<Root>),
}

impl BlocksRequest {
    /// Most blocks that an honest answer has.
    #[must_use]
    pub fn blocks_max(&self) -> usize {
        match self {
            Self::Range { count, .. } => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Roots(roots) => roots.len(),
        }
    }

    /// What asking costs, in bytes, whatever the answer.
    #[must_use]
    pub fn asking_bytes(&self) -> u64 {
        let looks = self.blocks_max() as u64;
        REQUEST_BYTES.saturating_add(LOOK_BYTES.saturating_mul(looks))
    }
}

/// Names a request of ours; the node chooses it.
pub type RequestId = u64;

/// Why a request brought no blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFailure {
    /// RESOURCE_UNAVAILABLE: the peer does not have them (any more), as it says.
    Unavailable(String),
    /// No whole answer in time.
    Timeout,
    /// The connection is gone.
    Disconnected,
    /// The answer breaks the protocol.
    Misbehaved(String),
    /// The peer failed, or does not like the request, as it says.
    Refused(String),
}

impl fmt::Display for RequestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) => write!(f, "not available: {text}"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Disconnected => f.write_str("disconnected"),
            Self::Misbehaved(what) => write!(f, "breaks the protocol: {what}"),
            Self::Refused(text) => write!(f, "refused: {text}"),
        }
    }
}
