//! Making and writing all validator keys, on every core.

use std::{
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use lamella_types::{PublicKeyBytes, Validator, ValidatorIndex};
use lamella_xmss::{PRODUCTION, generate_development};

use super::{GenesisError, directory::write};
use crate::{Role, whole_file::Access};

/// The order of a validator's two keys.
pub(super) const ROLES: [Role; 2] = [Role::Attester, Role::Proposer];

/// Makes both keys of every validator and writes them as soon as they are made, so that memory holds one key a core.
/// `progress` is given the leaves made so far, of `2 * count * key_slots`.
pub(super) fn make(
    keys_dir: &Path,
    count: u64,
    key_slots: u64,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Validator>, GenesisError> {
    let jobs = 2 * count;
    let (next, leaves) = (AtomicU64::new(0), AtomicU64::new(0));
    let made: Mutex<Result<Vec<(u64, PublicKeyBytes)>, GenesisError>> = Mutex::new(Ok(Vec::new()));
    let worker = || {
        loop {
            let job = next.fetch_add(1, Ordering::Relaxed);
            if job >= jobs {
                return;
            }
            let leaf = |_| progress(leaves.fetch_add(1, Ordering::Relaxed) + 1);
            let result = make_one(keys_dir, job, key_slots, &leaf);
            let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
            match (result, made.as_mut()) {
                (Ok(public_key), Ok(keys)) => keys.push((job, public_key)),
                (Err(error), Ok(_)) => {
                    next.store(jobs, Ordering::Relaxed);
                    *made = Err(error);
                }
                (_, Err(_)) => {}
            }
        }
    };
    let threads = cores().min(jobs);
    thread::scope(|scope| {
        for _ in 1..threads {
            // A refused thread is no failure: this one does the work.
            let _ = thread::Builder::new().name("keys".into()).spawn_scoped(scope, worker);
        }
        worker();
    });
    let mut keys = made.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    keys.sort_unstable_by_key(|(job, _)| *job);
    let pairs = (0..).zip(keys.chunks_exact(ROLES.len()));
    Ok(pairs
        .map(|(index, pair)| Validator {
            attestation_public_key: pair[0].1,
            proposal_public_key: pair[1].1,
            index,
        })
        .collect())
}

/// Threads that make keys.
pub(super) fn cores() -> u64 {
    thread::available_parallelism().map_or(1, |count| count.get() as u64)
}

/// The file of a public key.
fn public_key_file(role: Role, index: ValidatorIndex) -> String {
    format!("validator_{index}_{role}_key_pk.ssz")
}

/// Key number `job`: validator `job / 2`, attester then proposer.
fn make_one(
    keys_dir: &Path,
    job: u64,
    key_slots: u64,
    leaf: &(dyn Fn(u64) + Sync),
) -> Result<PublicKeyBytes, GenesisError> {
    let (index, role) = (job / 2, ROLES[usize::from(job % 2 == 1)]);
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    let pair = generate_development(&PRODUCTION, &seed, key_slots, leaf)?;
    let public_key = pair.public_key.encode();
    let secret_file = keys_dir.join(role.default_key_file(index));
    write(&secret_file, &pair.secret_key.encode(), Access::Owner)?;
    write(&keys_dir.join(public_key_file(role, index)), &public_key, Access::Public)?;
    Ok(PublicKeyBytes(public_key))
}
