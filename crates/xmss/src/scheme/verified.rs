//! Signatures that were verified, so that none is verified twice: a vote comes by itself, in aggregates, and in blocks.
//!
//! Remembered is the hash of key, slot, message and signature together, so nothing else can pass for it. Two
//! generations: when the younger is full it becomes the older, and the older is forgotten.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};

use super::parallel::Job;

/// Signatures of a generation: all that a raw block proof holds, for 80 slots. Both take 2.5 MB at most.
const GENERATION_MAX: usize = 16_384;

type Name = [u8; 32];

/// What was verified lately.
#[derive(Debug, Default)]
pub struct Verified(Mutex<Generations>);

#[derive(Debug, Default)]
struct Generations {
    younger: HashSet<Name>,
    older: HashSet<Name>,
}

impl Verified {
    /// What is not known to be good, and the places of it.
    ///
    /// # Cost
    ///
    /// A hash of 2.7 KB for each signature, a hundredth of verifying it.
    pub(super) fn unknown<'a>(&self, jobs: &[Job<'a>]) -> (Vec<usize>, Vec<Job<'a>>) {
        let names: Vec<Name> = jobs.iter().map(name).collect();
        let known = self.generations();
        let is_unknown = |name: &Name| !known.younger.contains(name) && !known.older.contains(name);
        let all = jobs.iter().zip(&names).enumerate();
        all.filter(|(_, (_, name))| is_unknown(name)).map(|(at, (job, _))| (at, *job)).unzip()
    }

    /// Remembers what was found good.
    pub(super) fn remember(&self, jobs: &[Job<'_>]) {
        let names: Vec<Name> = jobs.iter().map(name).collect();
        let mut known = self.generations();
        for name in names {
            if known.younger.len() >= GENERATION_MAX {
                known.older = std::mem::take(&mut known.younger);
            }
            known.younger.insert(name);
        }
    }

    fn generations(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn name(job: &Job<'_>) -> Name {
    Sha256::new()
        .chain_update(job.public_key)
        .chain_update(job.slot.to_le_bytes())
        .chain_update(job.message)
        .chain_update(job.signature)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_known_for_exactly_what_it_signs_and_forgotten_in_time() {
        let verified = Verified::default();
        let (message, other) = ([3; 32], [4; 32]);
        let job = |slot, message, signature| Job { public_key: &[1; 52], slot, message, signature };
        verified.remember(&[job(7, &message, &[5, 6])]);
        let jobs = [
            job(7, &message, &[5, 6]),
            job(8, &message, &[5, 6]),
            job(7, &other, &[5, 6]),
            job(7, &message, &[5, 7]),
        ];
        assert_eq!(verified.unknown(&jobs).0, [1, 2, 3]);
        for slot in 0..2 * GENERATION_MAX as u64 {
            verified.remember(&[job(slot, &other, &[])]);
        }
        assert_eq!(verified.unknown(&jobs).0.len(), 4);
        let known = verified.generations();
        assert!(known.younger.len() <= GENERATION_MAX && known.older.len() <= GENERATION_MAX);
    }
}
