//! What schema 1 stored: bodies as SSZ. Everything else is as in schema 2.
//!
//! Frozen, as that is.

use lamella_tables::{Fault, Place, Seal, SlotRoot, Table, Value};
use lamella_types::{
    AggregationBits, AttestationData, BlockBody, Decode as _, limits::MAX_ATTESTATIONS_DATA, to_ssz,
};

/// The version that its schema row says.
pub const VERSION: u32 = 1;

/// `Bodies`, in a tree of its own.
#[derive(Debug, Clone, Copy)]
pub struct SszBodies;

/// A body as SSZ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SszBody(pub BlockBody);

/// Offset, data and the bits of 4,096 voters with their end, of each of at most 8 votes; and the offset of each.
const BODY_BYTES_MAX: usize = 4 + MAX_ATTESTATIONS_DATA
    * (4 + 4 + AttestationData::SSZ_BYTES + AggregationBits::LIMIT / 8 + 1);

impl Table for SszBodies {
    const NAME: &'static str = "Bodies";
    type Key = SlotRoot;
    type Value = SszBody;
    const SEAL: Seal = Seal::Checksum;
    const PLACE: Place = Place { tree: "Bodies", part: None };
    const VALUE_BYTES_MAX: usize = BODY_BYTES_MAX;
}

impl Value for SszBody {
    fn encode(&self) -> Vec<u8> {
        to_ssz(&self.0)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Fault> {
        BlockBody::from_ssz(bytes).map(Self).map_err(Fault::Decode)
    }
}
