//! Verifying many signatures on all cores.

use rayon::prelude::*;

use super::ProofError;
use crate::params::Parameters;
use crate::public_key::PublicKeyBytes;
use crate::verify::verify;

/// Signatures up to which waking other threads is not worth it.
const INLINE_SIGNATURES_MAX: usize = 4;

/// One signature to verify.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) public_key: &'a PublicKeyBytes,
    pub(super) slot: u64,
    pub(super) message: &'a [u8; 32],
    pub(super) signature: &'a [u8],
}

/// Verifies every job. The failure reported is always the first in the proof.
pub(super) fn verify_all(parameters: &Parameters, jobs: &[Job<'_>]) -> Result<(), ProofError> {
    let failure = |(position, job): (usize, &Job<'_>)| {
        let checked = verify(parameters, job.public_key, job.slot, job.message, job.signature);
        checked.err().map(|reason| ProofError::Signature { position, reason })
    };
    let first = if jobs.len() <= INLINE_SIGNATURES_MAX {
        jobs.iter().enumerate().find_map(failure)
    } else {
        jobs.par_iter().enumerate().find_map_first(failure)
    };
    first.map_or(Ok(()), Err)
}
