//! The proof of one block or state under a block that somebody trusts: 23 hashes, of which a node makes any on demand.

use lamella_archive::{BlockProof, Frontier};
use lamella_block_store as block_store;
use lamella_state_store::StateStore;
use lamella_tables::{Headers, ReadTxn, SlotRoot};
use lamella_types::{BlockHeader, Root, SEGMENT_ROOTS, Slot};
use serde::{Serialize, Serializer, ser::SerializeStruct as _};

use super::{
    error::{LookupError, contradiction},
    json::Json,
    stored,
    which::Located,
};

/// What a slot of the chain before a trusted block holds, with the proof of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryProof {
    /// That this root, or none, is canonical at the slot.
    pub proof: BlockProof,
    /// The header of that root, which proves body and post-state; `None` for an empty slot, or if the block is not stored.
    pub header: Option<BlockHeader>,
}

/// Proves what the chain before `trusted` has at `slot`; `None` for a slot after it.
///
/// # Errors
/// Damage.
///
/// # Cost
/// The trusted block's state, as any; then about 1,300 hashes.
pub fn prove(
    states: &StateStore,
    txn: &ReadTxn<'_>,
    trusted: &Located,
    slot: Slot,
) -> Result<Option<HistoryProof>, LookupError> {
    let state = stored::state(states, txn, trusted)?;
    let frontier = Frontier::of(&trusted.header, &state)
        .map_err(|error| contradiction::<Headers>(&trusted.key, error.to_string()))?;
    let segment = usize::try_from(slot).unwrap_or(usize::MAX) / SEGMENT_ROOTS;
    let segments = state.historical_block_hashes.segments();
    let leaves = segments.get(segment).map_or(&[][..], |segment| segment.as_bytes());
    let Some(proof) = frontier.prove(slot, leaves) else { return Ok(None) };
    let header = match proof.root == Root::ZERO {
        true => None,
        false => block_store::header_at(txn, &SlotRoot::new(slot, proof.root))?,
    };
    Ok(Some(HistoryProof { proof, header }))
}

impl Serialize for HistoryProof {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { proof, header } = self;
        let branch: Vec<_> = proof.branch.iter().map(Json).collect();
        let mut object = serializer.serialize_struct("HistoryProof", 6)?;
        object.serialize_field("slot", &proof.slot)?;
        object.serialize_field("root", &Json(&proof.root))?;
        object.serialize_field("header", &header.as_ref().map(Json))?;
        object.serialize_field("trusted_header", &Json(&proof.trusted))?;
        object.serialize_field("generalized_index", &proof.generalized_index())?;
        object.serialize_field("branch", &branch)?;
        object.end()
    }
}
