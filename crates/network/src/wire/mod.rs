//! Bytes as leanSpec `node/networking` writes them, and what of a peer's bytes is accepted.
//!
//! Everything here is pure. A length that a peer declares is compared with a limit before anything is allocated or decompressed by it.
//!
//! | bytes | file |
//! |---|---|
//! | lengths | [`varint`] |
//! | compression, block and framed | [`snappy`] |
//! | requests and response chunks, whole | [`chunk`] |
//! | gossip topics, message ids | [`topic`], [`message_id`] |
//!
//! Not here: gossipsub's protobuf, which libp2p writes, and SSZ, which `lamella-types` writes.

pub mod chunk;
pub mod message_id;
pub mod snappy;
pub mod topic;
pub mod varint;

/// Bytes of one uncompressed payload, 10 MiB: leanSpec `MAX_PAYLOAD_SIZE`.
pub const MAX_PAYLOAD_BYTES: usize = 10 * 1024 * 1024;

/// Bytes of the text in an error response: leanSpec `MAX_ERROR_MESSAGE_SIZE`.
pub const ERROR_MESSAGE_BYTES_MAX: usize = 256;

/// Why a peer's bytes are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A varint ends before its last byte.
    #[error("varint: the input ends inside it")]
    VarintTruncated,
    /// A varint is longer than 10 bytes or does not fit 64 bits.
    #[error("varint: more than 64 bits")]
    VarintTooLong,
    /// A varint ends in a byte that adds nothing.
    #[error("varint: longer than its value needs")]
    VarintNotShortest,
    /// There is nothing to decode.
    #[error("no bytes where a message was expected")]
    Empty,
    /// A payload is, or claims to be, larger than what is read here.
    #[error("payload of {declared} bytes, the limit is {limit}")]
    TooLarge {
        /// Bytes that it has or claims.
        declared: u64,
        /// Bytes allowed.
        limit: usize,
    },
    /// A payload does not have the length announced before it.
    #[error("payload of {got} bytes was announced with {declared}")]
    LengthMismatch {
        /// Bytes announced.
        declared: usize,
        /// Bytes found.
        got: usize,
    },
    /// The bytes are not valid snappy.
    #[error("snappy: {0}")]
    Snappy(#[from] snap::Error),
    /// A framed stream is cut off, or has a chunk that the format does not allow.
    #[error("snappy frames: {0}")]
    Frame(&'static str),
}
