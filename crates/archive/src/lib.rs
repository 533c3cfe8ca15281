//! History as files that one root proves.
//!
//! The post-state of a block at slot `s` holds the canonical block root of each slot before. So one trusted block root
//! proves every block root before it, each root proves its header, and that its body and its post-state: pieces in any order,
//! no signature, no transition. An archive is a folder of immutable objects named by what they mean:
//!
//! | object | what it is | file |
//! |---|---|---|
//! | segment | 1,024 slots: headers, bodies, and what blocks change in states | `segment_file`, `content` |
//! | frontier | the proof of everything before one block | `frontier` |
//! | tail | blocks since the last segment in the order of import, forks included | `tail` |
//! | sidecar | block proofs of a segment, by range; digested, not proven | `sidecar` |
//! | registry | the validators | `network` |
//!
//! What can be derived is not stored: parents, body roots, proposers, canonical roots. What is stored has one form, which a
//! reader checks by writing it again. `FORMAT.md` is the whole description; it is an object of each archive itself.
//!
//! Pure: bytes in and bytes out. Absent on purpose: files, object stores, what to ship and when, and the state transition,
//! which is a third witness that callers may bring ([`Replay::state`]).

mod archived_block;
mod block_proof;
mod body_root;
mod checkpoints;
mod column;
mod container;
mod content;
mod error;
mod frontier;
mod hex;
pub mod limits;
mod network;
mod network_id;
mod object_name;
mod replay;
mod segment_builder;
mod segment_file;
mod sidecar;
mod state_change;
mod tail;
mod tail_link;
mod version;
mod voters;

pub use archived_block::ArchivedBlock;
pub use block_proof::{BRANCH_HASHES, BlockProof, ProofError};
pub use error::{ArchiveError, BuildError, Fault};
pub use frontier::Frontier;
pub use network::{Network, decode_registry};
pub use network_id::{NetworkId, NetworkIdError};
pub use object_name::{NameError, ObjectName, WriterId};
pub use replay::Replay;
pub use segment_builder::{PostState, SealedSegment, SegmentBuilder};
pub use segment_file::SegmentFile;
pub use sidecar::{SIDECAR_INDEX_BYTES_MAX, SidecarIndex, SidecarWriter};
pub use state_change::StateChange;
pub use tail::{SealedTail, Tail, TailFile};
pub use tail_link::TailLink;

/// The description of the format, complete enough to write a reader from; the object `FORMAT.md` of each archive.
pub const FORMAT: &str = include_str!("../FORMAT.md");
