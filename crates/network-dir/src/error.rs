//! Why a file of a network directory could not be used. Every message names the file, where in it, and what to do.

use std::{io, path::PathBuf};

use lamella_types::ValidatorIndex;

use super::Role;

/// Why a YAML or key file of the network could not be used. The files are input: nothing in them panics.
#[derive(Debug, thiserror::Error)]
pub enum NetworkFileError {
    /// The file is absent and was needed.
    #[error("{path}: no such file; {advice}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// Where it usually comes from.
        advice: &'static str,
    },
    /// The operating system refused.
    #[error("{path}: cannot read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Its reason.
        source: io::Error,
    },
    /// Larger than any such file.
    #[error("{path}: more than {bytes_max} bytes; no such file is that large, check the path")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        bytes_max: u64,
    },
    /// Bytes that are no text.
    #[error("{path}: not UTF-8 text; check the path, or write the file again")]
    NotText {
        /// The file.
        path: PathBuf,
    },
    /// No YAML, or a value of the wrong shape. The source names field, line and column.
    #[error("{path}: {source}")]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_yaml_ng::Error,
    },
    /// A registry without validators, or with more than a chain can have.
    #[error("{path}: GENESIS_VALIDATORS has {count} entries; a chain has 1 to {count_max}")]
    ValidatorCount {
        /// The file.
        path: PathBuf,
        /// Entries listed.
        count: usize,
        /// Entries allowed.
        count_max: usize,
    },
    /// The announced count is not the number of entries: the file is cut off or was edited in one place only.
    #[error(
        "{path}: {field} is {declared}, but GENESIS_VALIDATORS has {listed} entries; \
         the file is incomplete or was edited by hand: get it again"
    )]
    CountMismatch {
        /// The file.
        path: PathBuf,
        /// `VALIDATOR_COUNT` or `NUM_VALIDATORS`.
        field: &'static str,
        /// The announced count.
        declared: u64,
        /// Entries listed.
        listed: usize,
    },
    /// `ATTESTATION_COMMITTEE_COUNT: 0`.
    #[error("{path}: {field} is 0; it must be at least 1")]
    NoCommittee {
        /// The file.
        path: PathBuf,
        /// The field's name in that file.
        field: &'static str,
    },
    /// Slots that nobody can keep up with, or that no clock should wait for.
    #[error("{path}: MILLISECONDS_PER_SLOT is {slot_ms}; it must be 5 to 3600000")]
    SlotLength {
        /// The file.
        path: PathBuf,
        /// The milliseconds.
        slot_ms: u64,
    },
    /// Two nodes would sign with one key.
    #[error(
        "{path}: validator {index} is given to both {first} and {second}; its keys sign once per slot, \
         so only one node may have them: remove it from one"
    )]
    SharedValidator {
        /// The file.
        path: PathBuf,
        /// The validator.
        index: ValidatorIndex,
        /// A node that lists it.
        first: String,
        /// Another one.
        second: String,
    },
    /// A validator without exactly one key file per role.
    #[error(
        "{path}: {node_id}: validator {index} needs one attester and one proposer `privkey_file`, \
         found {found}; write one row for each"
    )]
    KeyFiles {
        /// The file.
        path: PathBuf,
        /// The node.
        node_id: String,
        /// The validator.
        index: ValidatorIndex,
        /// The file names listed.
        found: String,
    },
    /// A line of `nodes.yaml` that is no node record.
    #[error(
        "{path}: entry {position} (counted from 1) is not an ENR: {reason}; copy the whole `enr:...` text"
    )]
    Enr {
        /// The file.
        path: PathBuf,
        /// Position in the list, from 1.
        position: usize,
        /// What the decoder said.
        reason: String,
    },
    /// A node key file that holds no secp256k1 key. What it holds is not shown.
    #[error("{path}: {reason}; it must hold one secp256k1 private key as 64 hex digits")]
    NodeKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: NodeKeyError,
    },
}

/// Why the secret keys of a node's validators could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ValidatorKeyError {
    /// The key file is absent, unreadable or too large.
    #[error("validator {index}: {source}")]
    File {
        /// The validator.
        index: ValidatorIndex,
        /// What happened to the file.
        source: NetworkFileError,
    },
    /// The bytes are no secret key of the production scheme.
    #[error("validator {index}: {path}: not an XMSS secret key: {source}; restore the file")]
    Decode {
        /// The validator.
        index: ValidatorIndex,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: lamella_xmss::DecodeError,
    },
    /// The assignment names a validator that the chain does not have.
    #[error(
        "validator {index} is assigned to this node, but config.yaml has {count} validators (0 to {last}); \
         the files are of two networks",
        last = count.saturating_sub(1)
    )]
    UnknownValidator {
        /// The validator.
        index: ValidatorIndex,
        /// Validators in the registry.
        count: usize,
    },
    /// The key belongs to another validator, role or network. Its signatures would all be refused.
    #[error(
        "validator {index}: {path} is not the {role} key of config.yaml \
         (its public key is 0x{}.., the registry has 0x{}..); the files are of two networks or swapped",
        hex::encode(&actual[..8]), hex::encode(&expected[..8])
    )]
    WrongKey {
        /// The validator.
        index: ValidatorIndex,
        /// The role the file was listed for.
        role: Role,
        /// The file.
        path: PathBuf,
        /// Public key of the file.
        actual: Box<lamella_xmss::PublicKeyBytes>,
        /// Public key of the registry.
        expected: Box<lamella_xmss::PublicKeyBytes>,
    },
    /// One key in two places would sign two messages at one slot, which breaks it.
    #[error(
        "validator {index}: the {role} key {path} is used a second time by this node; \
         a key signs once per slot, so every validator and role needs its own"
    )]
    ReusedKey {
        /// The validator met second.
        index: ValidatorIndex,
        /// Its role.
        role: Role,
        /// The file met second.
        path: PathBuf,
    },
}

/// Why text is no node key. The text itself is not repeated: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NodeKeyError {
    /// Too many or too few digits.
    #[error("{digits} characters instead of 64 hex digits")]
    Length {
        /// Characters found, without `0x`.
        digits: usize,
    },
    /// A character outside 0-9, a-f, A-F.
    #[error("a character that is not a hex digit")]
    NotHex,
    /// Zero, or not below the order of the curve.
    #[error("a number that is no secp256k1 private key")]
    OutOfRange,
}
