//! Why a job on an archive did not end. Each says where, what, and what to do next.

use std::path::PathBuf;

use lamella_archive::{ArchiveError, BuildError, ObjectName};
use lamella_chain::restore::RestoreError;
use lamella_inspect::{InspectError, LookupError, seal::SealError};
use lamella_state_store::StateReadError;
use lamella_tables::{EngineError, ReadError, SlotRoot};
use lamella_types::{RejectionReason, Root, Slot};

use crate::store::StoreError;

/// Why an archive was not written, verified or restored. What was confirmed before holds.
#[derive(Debug, thiserror::Error)]
pub enum ShippingError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An object is not what it should be.
    #[error("{url}: {source}; {DAMAGED}")]
    Damaged {
        /// The store.
        url: String,
        /// What and where.
        source: Box<ArchiveError>,
    },
    /// There is no archive.
    #[error("{url}: no archive is there; give the address that `lamella archive export --to` had")]
    Nothing {
        /// The store.
        url: String,
    },
    /// No segment is there, though a restoration from some has begun.
    #[error(
        "{url}: no segment is there, though a restoration from some has begun at {}; where the archive is another one, delete {}.restoring", path.display(), path.display()
    )]
    NoneLeft {
        /// The store.
        url: String,
        /// The database that is to be.
        path: PathBuf,
    },
    /// There are archives of several networks.
    #[error("{url}: archives of several networks are there: {found}; say which with --network")]
    WhichNetwork {
        /// The store.
        url: String,
        /// Their ids.
        found: String,
    },
    /// An object that must be there is not.
    #[error("{url}: {name} is not there; {hint}")]
    Missing {
        /// The store.
        url: String,
        /// The object.
        name: ObjectName,
        /// What to do.
        hint: &'static str,
    },
    /// Objects that cannot both be of one chain. Nothing is believed.
    #[error(
        "{url}: {one} and {other} are of two chains; keep what `lamella archive verify --root` proves under a root that you trust, and move the other elsewhere"
    )]
    TwoChains {
        /// The store.
        url: String,
        /// What one says.
        one: String,
        /// What the other says.
        other: String,
    },
    /// The same, told apart by a root that was given.
    #[error(
        "{url}: objects of two chains are there: {what}. Nothing is believed until one chain's are moved elsewhere"
    )]
    TwoChainsUnder {
        /// The store.
        url: String,
        /// Which chain the root proves, and what is of the other.
        what: String,
    },
    /// A root that was given is nowhere in the archive.
    #[error(
        "{url}: no block of the archive has root {root}: it proves {segments} segments, slots below {below}; if it is newer, name an older block of the node that you trust"
    )]
    UnknownRoot {
        /// The store.
        url: String,
        /// The root.
        root: Root,
        /// Segments that are proven.
        segments: u64,
        /// First slot that is not.
        below: Slot,
    },
    /// The slot that was asked for has no block, or is not sealed yet.
    #[error("{url}: {what}")]
    NoTarget {
        /// The store.
        url: String,
        /// Why not.
        what: String,
    },
    /// Nothing was there to be verified, shipped or restored.
    #[error("{url}: {what}")]
    Zero {
        /// The store.
        url: String,
        /// What there was none of.
        what: String,
    },
    /// The cursor of a directory is ahead of its archive.
    #[error(
        "{url}: this directory has confirmed {confirmed} segments there, and {name} is gone: somebody deleted it, or this is another archive. Nothing is shipped again by itself: look first, then run `lamella archive export` by hand"
    )]
    CursorAhead {
        /// The store.
        url: String,
        /// Segments confirmed.
        confirmed: u64,
        /// The first that is gone.
        name: ObjectName,
    },
    /// Somebody else ships a tail under this directory's writer id.
    #[error(
        "{url}: {name} is there with other contents (digest {digest}): another directory ships under this one's writer id. One of the two is a copy; let it be shipped by one alone, or start this node once with --archive-new-writer"
    )]
    Fenced {
        /// The store.
        url: String,
        /// The object that was to be put.
        name: ObjectName,
        /// What is there in its place.
        digest: Root,
    },
    /// The directory that is to be shipped.
    #[error(transparent)]
    Inspect(Box<InspectError>),
    /// A state of the directory that is to be shipped.
    #[error(transparent)]
    State(Box<StateReadError>),
    /// A segment of the directory does not make one.
    #[error("segment {index} cannot be sealed: {source}; run `lamella db verify`")]
    Seal {
        /// Its index.
        index: u64,
        /// What is wrong.
        source: Box<BuildError>,
    },
    /// A diff of the directory cannot be read.
    #[error("the diff of block {block} cannot be read: {what}; run `lamella db verify`")]
    Diff {
        /// The block.
        block: SlotRoot,
        /// What is wrong.
        what: String,
    },
    /// The directory that is made.
    #[error(transparent)]
    Restore(Box<RestoreError>),
    /// The directory ships another chain than the archive holds, or a chain that is not finalized so far.
    #[error("{what}")]
    NotShippable {
        /// What is wrong.
        what: String,
    },
    /// A block that the state transition does not take: the archive agrees with itself, and not with the protocol.
    #[error(
        "{url}: block {block} is of the proven chain, and the state transition says {reason}; one of both programs is wrong: keep the archive, and tell us"
    )]
    Transition {
        /// The store.
        url: String,
        /// The block.
        block: SlotRoot,
        /// Why not.
        reason: RejectionReason,
    },
    /// Whoever asked for it stopped it.
    #[error("stopped; nothing is lost: the same command goes on from here")]
    Stopped,
}

/// What to do about an object that is not what it should be.
const DAMAGED: &str = "nothing was believed of it. Objects are never replaced: delete it and export again, from a directory that has this history";

impl From<InspectError> for ShippingError {
    fn from(error: InspectError) -> Self {
        Self::Inspect(Box::new(error))
    }
}

impl From<StateReadError> for ShippingError {
    fn from(error: StateReadError) -> Self {
        Self::State(Box::new(error))
    }
}

impl From<RestoreError> for ShippingError {
    fn from(error: RestoreError) -> Self {
        Self::Restore(Box::new(error))
    }
}

impl From<SealError> for ShippingError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::Inspect(error) => error.into(),
            SealError::State(error) => error.into(),
            SealError::Build { index, source } => Self::Seal { index, source: Box::new(source) },
            SealError::Diff { block, what } => Self::Diff { block, what },
            SealError::NotSealable(what) => Self::NotShippable { what },
            SealError::Stopped => Self::Stopped,
        }
    }
}

impl From<EngineError> for ShippingError {
    fn from(error: EngineError) -> Self {
        InspectError::from(error).into()
    }
}

impl From<ReadError> for ShippingError {
    fn from(error: ReadError) -> Self {
        InspectError::from(error).into()
    }
}

impl From<LookupError> for ShippingError {
    fn from(error: LookupError) -> Self {
        InspectError::from(error).into()
    }
}
