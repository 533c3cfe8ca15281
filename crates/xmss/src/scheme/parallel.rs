//! Verifying many signatures on all cores.

use rayon::prelude::*;

use super::ProofError;
use crate::params::Parameters;
use crate::verify::{GROUP_SIGNATURES, verify_each};

/// One signature to verify.
pub(super) use crate::verify::Claim as Job;

/// Signatures up to which waking other threads is not worth it.
const INLINE_SIGNATURES_MAX: usize = 4;

/// Verifies every claim. The failure reported is always the first in the proof.
pub(super) fn verify_all(parameters: &Parameters, claims: &[Job<'_>]) -> Result<(), ProofError> {
    let group_signatures = GROUP_SIGNATURES.max(INLINE_SIGNATURES_MAX);
    let failure = |(group, claims): (usize, &[Job<'_>])| {
        let mut verdicts = verify_each(parameters, claims).into_iter().enumerate();
        let (position, reason) = verdicts.find_map(|(at, verdict)| Some((at, verdict.err()?)))?;
        Some(ProofError::Signature { position: group * group_signatures + position, reason })
    };
    let first = if claims.len() <= group_signatures {
        failure((0, claims))
    } else {
        claims.par_chunks(group_signatures).enumerate().find_map_first(failure)
    };
    first.map_or(Ok(()), Err)
}
