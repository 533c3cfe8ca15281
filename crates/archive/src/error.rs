//! Why an object of an archive is refused, and why blocks do not make one.

use lamella_state_diff::{FormatError, TallyError};
use lamella_types::{DecodeError, Root, Slot};

use crate::{network_id::NetworkId, object_name::ObjectName, tail_link::TailLink};

/// An object that is not what it has to be: which one, where in it, and why. It is used for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {section} at byte {offset}: {fault}")]
pub struct ArchiveError {
    /// The object, as the caller calls it.
    pub file: String,
    /// Which part of it.
    pub section: &'static str,
    /// First byte of that part in the file.
    pub offset: u64,
    /// What is wrong.
    pub fault: Box<Fault>,
}

impl ArchiveError {
    pub(crate) fn new(file: &str, section: &'static str, offset: u64, fault: Fault) -> Self {
        Self { file: file.to_owned(), section, offset, fault: Box::new(fault) }
    }
}

/// What is wrong with a part of an object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end within it.
    #[error("{needed} bytes wanted, {left} left: the file was cut")]
    Truncated {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes there are.
        left: u64,
    },
    /// Bytes or records behind the end.
    #[error("{0} bytes too many")]
    Trailing(u64),
    /// A length beyond what this object can have; nothing was allocated for it.
    #[error("{length} bytes or entries, {limit} allowed")]
    TooLong {
        /// The length stated.
        length: u64,
        /// The bound.
        limit: u64,
    },
    /// The first record is not e2store's.
    #[error("not an e2store file: its first record is not the version record")]
    NotE2store,
    /// Another record than the one due here.
    #[error("record type {got:#06x}, {expected:#06x} is due")]
    Record {
        /// Type found.
        got: u16,
        /// Type wanted.
        expected: u16,
    },
    /// The reserved field of a record is not zero.
    #[error("reserved field {0:#06x} of a record is not zero")]
    Reserved(u16),
    /// The digest at the end is not that of the bytes before.
    #[error("the digest does not match the bytes before it: the file is damaged")]
    Digest,
    /// Written by a later program.
    #[error("format version {0} is unknown: use a newer lamella")]
    Version(u8),
    /// A flag that this version does not know.
    #[error("flags {0:#04x} are unknown: use a newer lamella")]
    Flags(u8),
    /// A way to store a column that this version does not know.
    #[error("codec {0} is unknown: use a newer lamella")]
    Codec(u8),
    /// A compressed column that does not unpack to the length stated, or wants too large a window.
    #[error("the compressed column does not unpack: {0}")]
    Compression(&'static str),
    /// A field that its format does not have.
    #[error("in the unpacked column, {0}")]
    Format(#[from] FormatError),
    /// SSZ bytes that are not.
    #[error(transparent)]
    Ssz(#[from] DecodeError),
    /// The same content has another spelling here than the only one allowed.
    #[error("not in its one canonical form")]
    NotCanonical,
    /// It belongs to another network.
    #[error("of network {got}, not {expected}")]
    OtherNetwork {
        /// The network asked for.
        expected: NetworkId,
        /// The object's.
        got: NetworkId,
    },
    /// The content is another object's: a file renamed, or put in another's place.
    #[error("the content is that of {content}, not of {name}")]
    NotTheName {
        /// The object asked for.
        name: ObjectName,
        /// The object that it is.
        content: ObjectName,
    },
    /// The content does not hash to what it has to.
    #[error("the content has root {computed}, {expected} is proven")]
    Root {
        /// Root of the content.
        computed: Root,
        /// Root that it must have.
        expected: Root,
    },
    /// A rebuilt state is not the one that its block commits to.
    #[error("the state of slot {slot} hashes to {computed}, its block says {expected}")]
    State {
        /// Slot of the block.
        slot: Slot,
        /// Root of what was rebuilt.
        computed: Root,
        /// The header's `state_root`.
        expected: Root,
    },
    /// The change of a tally does not fit the tally before.
    #[error("at slot {slot}: {source}")]
    Tally {
        /// Slot of the block.
        slot: Slot,
        /// What does not fit.
        source: TallyError,
    },
    /// A number outside of what there can be.
    #[error("{what} {got} is outside {low}..={high}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: u64,
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// Fewer roots of earlier segments than the segment's states rest on.
    #[error("{got} segment roots before it were given, its states rest on {expected}")]
    SegmentsBefore {
        /// Roots given.
        got: usize,
        /// Roots needed.
        expected: usize,
    },
    /// A tail object that does not continue the one before.
    #[error("number {sequence} continues digest {names}, but before it is {}", link_text(.before))]
    NotTheNext {
        /// Its sequence number.
        sequence: u64,
        /// The digest that it names.
        names: Root,
        /// What is before it.
        before: Option<TailLink>,
    },
}

fn link_text(link: &Option<TailLink>) -> String {
    link.map_or_else(
        || "nothing".to_owned(),
        |TailLink { sequence, digest }| format!("number {sequence} of digest {digest}"),
    )
}

/// What a writer handed in is not what the object holds. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A number outside of what there can be.
    #[error("{what} {got} is outside {low}..={high}")]
    Range {
        /// Which number.
        what: &'static str,
        /// Its value.
        got: u64,
        /// Least value.
        low: u64,
        /// Greatest value.
        high: u64,
    },
    /// Blocks without the block and state that they rest on, or segment 0 without genesis.
    #[error("segment {index} has blocks, but no entry state was given")]
    NoEntry {
        /// Index of the segment.
        index: u32,
    },
    /// The entry state is not its block's, or of another network.
    #[error("the state given for slot {slot} is not the post-state of its block")]
    OtherState {
        /// Slot of the block.
        slot: Slot,
    },
    /// A block that is not the child of the one before.
    #[error("block {slot} has parent {parent}, before it is {before}")]
    NotTheChild {
        /// Slot of the block.
        slot: Slot,
        /// Its parent.
        parent: Root,
        /// The block handed in before it.
        before: Root,
    },
    /// A body of another block.
    #[error("body of slot {slot} has root {computed}, its header says {expected}")]
    OtherBody {
        /// Slot of the block.
        slot: Slot,
        /// Root of the body.
        computed: Root,
        /// The header's `body_root`.
        expected: Root,
    },
    /// A diff that rests on another state than the one before.
    #[error("diff of slot {slot} does not fit the state before it: {what}")]
    OtherDiff {
        /// Slot of the block.
        slot: Slot,
        /// What does not fit.
        what: String,
    },
    /// The first tail object of a writer that names one before it.
    #[error("number 0 names {previous} before it")]
    NotTheFirst {
        /// The digest named.
        previous: Root,
    },
    /// Proofs that a sidecar's index was not built of.
    #[error("not the proofs of the sidecar's index")]
    OtherProofs,
}
