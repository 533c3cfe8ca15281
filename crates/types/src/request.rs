//! Messages between peers: leanSpec `networking/reqresp/message.py`.

use ssz_rs::prelude::*;

use crate::{
    attestation::Checkpoint,
    decode::{Decode, DecodeError, Fields, fixed_list_count},
    glue::fixed_container,
    limits::MAX_REQUEST_BLOCKS,
    root::{ROOT_BYTES, Root},
    slot::Slot,
};

/// What a peer says of its chain. `[finalized: 40 | head: 40]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, SimpleSerialize)]
pub struct Status {
    /// Its finalized checkpoint.
    pub finalized: Checkpoint,
    /// Its head.
    pub head: Checkpoint,
}
fixed_container!(Status, 80);

/// Asks for a range of canonical blocks. `[start_slot: u64 LE | count: u64 LE]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, SimpleSerialize)]
pub struct BlocksByRangeRequest {
    /// First slot.
    pub start_slot: Slot,
    /// Slots asked for, 1 to 1,024.
    pub count: u64,
}
fixed_container!(BlocksByRangeRequest, 16);

/// Asks for blocks by root: a container, so one offset precedes the roots.
#[derive(Debug, Clone, Default, PartialEq, Eq, SimpleSerialize)]
pub struct BlocksByRootRequest {
    /// At most 1,024 block roots.
    pub roots: List<Root, MAX_REQUEST_BLOCKS>,
}

impl Decode for BlocksByRootRequest {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "BlocksByRootRequest";
        let mut fields = Fields::new(what, bytes, 4)?;
        fields.offset()?;
        let [roots] = fields.parts();
        fixed_list_count(what, roots, ROOT_BYTES, MAX_REQUEST_BLOCKS)?;
        let roots: Vec<Root> =
            roots.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice).collect();
        let roots = List::try_from(roots).map_err(|_| DecodeError::Value { what })?;
        Ok(Self { roots })
    }
}
