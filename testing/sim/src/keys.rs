//! The validators of all simulated networks: made once a process.

use std::{fs, path::Path, sync::LazyLock};

use lamella_network_dir::{AssignedValidator, Role};
use lamella_types::{PublicKeyBytes, Validator, ValidatorIndex, Validators};
use lamella_xmss::{TEST, generate};

/// Validators of a network at most.
const VALIDATORS_MAX: u8 = 8;

struct Made {
    validator: Validator,
    /// The attester's file and the proposer's.
    files: [Vec<u8>; 2],
}

static MADE: LazyLock<Vec<Made>> = LazyLock::new(|| (0..VALIDATORS_MAX).map(make).collect());

const ROLES: [Role; 2] = [Role::Attester, Role::Proposer];

fn make(index: u8) -> Made {
    let slots = TEST.lifetime_slots();
    let [attester, proposer] =
        [2 * index, 2 * index + 1].map(|seed| generate(&TEST, &[seed; 32], 0, slots, &|_| ()));
    let pairs = [attester.unwrap(), proposer.unwrap()];
    let [attestation_public_key, proposal_public_key] =
        [&pairs[0], &pairs[1]].map(|pair| PublicKeyBytes(pair.public_key.encode()));
    Made {
        validator: Validator {
            attestation_public_key,
            proposal_public_key,
            index: u64::from(index),
        },
        files: pairs.map(|pair| pair.secret_key.encode()),
    }
}

/// The registry of so many validators.
pub(crate) fn registry(validators: u64) -> Validators {
    let all = MADE.iter().take(validators as usize).map(|made| made.validator);
    Validators::new(&all.collect::<Vec<_>>()).unwrap()
}

/// Writes the keys of these validators, and says where they are.
pub(crate) fn write(
    folder: &Path,
    validators: impl Iterator<Item = ValidatorIndex>,
) -> Vec<AssignedValidator> {
    fs::create_dir_all(folder).unwrap();
    let one = |index: ValidatorIndex| {
        let made = &MADE[index as usize];
        let [attester_key_file, proposer_key_file] = [0, 1].map(|role| {
            let name = ROLES[role].default_key_file(index);
            fs::write(folder.join(&name), &made.files[role]).unwrap();
            name.into()
        });
        AssignedValidator { index, attester_key_file, proposer_key_file }
    };
    validators.map(one).collect()
}
