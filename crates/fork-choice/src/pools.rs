//! The pools alone: what arrives between two commits goes into them, and nothing that a commit decides.

use std::sync::Arc;

use lamella_types::{AttestationData, SingleMessageAggregate, ValidatorIndex};

use crate::{fork_choice::ForkChoice, pool::Recorded};

/// The pools of a view. Tree, head and checkpoints are out of its reach.
#[derive(Debug)]
pub struct Pools<'a>(&'a mut ForkChoice);

impl ForkChoice {
    /// Its pools, to be changed.
    pub const fn pools(&mut self) -> Pools<'_> {
        Pools(self)
    }
}

impl Pools<'_> {
    /// [`ForkChoice::record_signature`].
    pub fn record_signature(
        &mut self,
        data: &AttestationData,
        validator_index: ValidatorIndex,
        signature: Arc<[u8]>,
    ) -> Recorded {
        self.0.record_signature(data, validator_index, signature)
    }

    /// [`ForkChoice::record_aggregate`].
    pub fn record_aggregate(
        &mut self,
        data: &AttestationData,
        proof: Arc<SingleMessageAggregate>,
    ) -> Recorded {
        self.0.record_aggregate(data, proof)
    }
}
