//! Verifying many signatures on all cores.
//!
//! Workers take the next position from a shared counter, so the calling thread can be one of them
//! and a helper that cannot be started costs only speed. Positions are handed out in order and each
//! one taken is finished: the failure reported is always the first in the proof.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::ProofError;
use crate::params::Parameters;
use crate::public_key::PublicKeyBytes;
use crate::verify::{VerifyError, verify};

/// Signatures up to which starting threads is not worth it.
const INLINE_SIGNATURES_MAX: usize = 4;

/// One signature to verify.
pub(super) struct Job<'a> {
    pub(super) public_key: &'a PublicKeyBytes,
    pub(super) slot: u64,
    pub(super) message: &'a [u8; 32],
    pub(super) signature: &'a [u8],
}

/// Verifies every job.
pub(super) fn verify_all(parameters: &Parameters, jobs: &[Job<'_>]) -> Result<(), ProofError> {
    let threads = match jobs.len() {
        ..=INLINE_SIGNATURES_MAX => 1,
        count => thread::available_parallelism().map_or(1, usize::from).min(count),
    };
    let next = AtomicUsize::new(0);
    let first_failure: Mutex<Option<(usize, VerifyError)>> = Mutex::new(None);
    let worker = || {
        while let Some((position, job)) = take(&next, jobs) {
            if let Err(reason) =
                verify(parameters, job.public_key, job.slot, job.message, job.signature)
            {
                next.store(jobs.len(), Ordering::Relaxed);
                let mut first =
                    first_failure.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                if first.is_none_or(|(earlier, _)| position < earlier) {
                    *first = Some((position, reason));
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A refused thread is no failure: this one does the work.
            let _ = thread::Builder::new().name("verify".into()).spawn_scoped(scope, worker);
        }
        worker();
    });
    let failure = first_failure.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    failure.map_or(Ok(()), |(position, reason)| Err(ProofError::Signature { position, reason }))
}

fn take<'a, 'b>(next: &AtomicUsize, jobs: &'a [Job<'b>]) -> Option<(usize, &'a Job<'b>)> {
    let position = next.fetch_add(1, Ordering::Relaxed);
    jobs.get(position).map(|job| (position, job))
}
