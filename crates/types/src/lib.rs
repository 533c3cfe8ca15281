//! The containers of leanSpec's fork `lstar`: SSZ bytes, hash tree roots, limits, genesis.
//!
//! `ssz_rs` derives encoding and roots of the small containers. Three things are our own: decoding (strict and
//! free of panics, see [`decode`]), packed bit lists, and the large fields of [`State`], which states of one
//! branch share ([`history`], [`registry`], [`justification`]).
//!
//! No I/O, clock, lock or log.

pub mod attestation;
pub mod bits;
pub mod block;
pub mod bytes;
pub mod clock;
pub mod coverage;
pub mod decode;
pub mod genesis;
mod glue;
pub mod history;
pub mod history_root;
pub mod justification;
pub mod limits;
pub mod merkle;
pub mod packed;
pub mod registry;
pub mod rejection;
pub mod request;
pub mod root;
pub mod slot;
pub mod state;

pub use attestation::{
    AggregatedAttestation, AggregationBits, Attestation, AttestationData, Checkpoint,
    MultiMessageAggregate, SignedAggregatedAttestation, SignedAttestation, SingleMessageAggregate,
};
pub use bits::BitList;
pub use block::{Block, BlockBody, BlockHeader, SignedBlock};
pub use bytes::{ProofBytes, PublicKeyBytes};
pub use clock::SlotClock;
pub use decode::{Decode, DecodeError};
pub use genesis::{genesis_block, genesis_state, latest_block_root};
pub use history::{BlockHashes, Segment};
pub use history_root::{HistoryFull, HistoryRoot};
pub use justification::{JustificationValidators, Justifications, JustifiedSlots};
pub use limits::{SEGMENT_ROOTS, VALIDATOR_REGISTRY_LIMIT};
pub use registry::{Validator, Validators};
pub use rejection::RejectionReason;
pub use request::{BlocksByRangeRequest, BlocksByRootRequest, Status};
pub use root::Root;
pub use slot::{Slot, ValidatorIndex};
pub use state::{Config, State};

/// The SSZ encoding of a container.
///
/// # Panics
/// Never for values of this crate: their limits hold by construction.
#[must_use]
pub fn to_ssz<T: ssz_rs::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    let written = value.serialize(&mut bytes);
    debug_assert!(written.is_ok(), "limits hold by construction");
    bytes
}

/// `hash_tree_root` of a container, a leaf type or an integer.
///
/// # Cost
/// A clone (`ssz_rs` wants `&mut`), then two hashes for each 32-byte chunk.
#[must_use]
pub fn hash_tree_root<T: ssz_rs::Merkleized + Clone>(value: &T) -> Root {
    let node = value.clone().hash_tree_root();
    debug_assert!(node.is_ok(), "limits hold by construction");
    node.ok().and_then(|node| Root::from_slice(node.as_ref())).unwrap_or_default()
}
