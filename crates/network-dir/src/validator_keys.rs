//! The secret keys of a node's validators, checked against the registry before anything is signed with them.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use lamella_types::{ValidatorIndex, Validators};
use lamella_xmss::{Parameters, PublicKeyBytes, SecretKey};

use super::{AssignedValidator, Role, ValidatorKeyError, prepared, read::read_bytes};

/// Bytes of a secret key file. A whole production key takes 8.4 MB; the scheme's list limits allow about 25 MB.
const SECRET_KEY_BYTES_MAX: u64 = 32 << 20;

/// The keys of one validator. The key pairs are one-time per slot: whoever signs records the slot first.
#[derive(Debug)]
pub struct ValidatorKey {
    /// Position in the registry.
    pub index: ValidatorIndex,
    /// Signs attestation data.
    pub attester: SecretKey,
    /// Signs blocks.
    pub proposer: SecretKey,
    /// Where they are stored: the attester's file and the proposer's.
    pub files: [PathBuf; 2],
}

impl ValidatorKey {
    /// The key of a role.
    #[must_use]
    pub const fn key(&self, role: Role) -> &SecretKey {
        match role {
            Role::Attester => &self.attester,
            Role::Proposer => &self.proposer,
        }
    }

    /// Keeps what is prepared of a key beside its file, so that the next start need not build it again.
    ///
    /// # Errors
    /// What the system says, such as that the folder is read only.
    ///
    /// # Cost
    /// A file of 8.4 MB of a whole key.
    pub fn keep_prepared(&self, role: Role) -> io::Result<()> {
        let [attester, proposer] = &self.files;
        let file = match role {
            Role::Attester => attester,
            Role::Proposer => proposer,
        };
        prepared::keep(file, self.key(role))
    }
}

/// The keys of a node's validators, ascending by index.
#[derive(Debug, Default)]
pub struct ValidatorKeys {
    /// The validators.
    pub validators: Vec<ValidatorKey>,
}

impl ValidatorKeys {
    /// Reads both keys of every validator assigned, of this instantiation. Each must be the registry's key for its index and role, and no
    /// two may be the same.
    ///
    /// # Errors
    /// A [`ValidatorKeyError`]; nothing is loaded then.
    ///
    /// # Cost
    /// Two files a validator: about 64 bytes a slot for development keys, 8.4 MB for whole ones, kept in memory; and as much
    /// again to read where more was prepared since.
    pub fn load(
        registry: &Validators,
        assigned: &[AssignedValidator],
        keys_dir: &Path,
        parameters: &'static Parameters,
    ) -> Result<Self, ValidatorKeyError> {
        let mut seen = HashSet::new();
        let validators = assigned.iter().map(|validator| {
            let index = validator.index;
            let count = registry.len();
            let entry =
                registry.get(index).ok_or(ValidatorKeyError::UnknownValidator { index, count })?;
            let attester_file = keys_dir.join(&validator.attester_key_file);
            let proposer_file = keys_dir.join(&validator.proposer_key_file);
            let mut load = |role, path: &Path, expected| {
                let key = load_key(index, role, path, expected, parameters)?;
                if seen.insert(expected) {
                    Ok(key)
                } else {
                    Err(ValidatorKeyError::ReusedKey { index, role, path: path.into() })
                }
            };
            Ok(ValidatorKey {
                index,
                attester: load(Role::Attester, &attester_file, entry.attestation_public_key.0)?,
                proposer: load(Role::Proposer, &proposer_file, entry.proposal_public_key.0)?,
                files: [attester_file, proposer_file],
            })
        });
        Ok(Self { validators: validators.collect::<Result<_, _>>()? })
    }

    /// The validators' indices, ascending.
    pub fn indices(&self) -> impl Iterator<Item = ValidatorIndex> + '_ {
        self.validators.iter().map(|validator| validator.index)
    }

    /// The keys of one validator.
    #[must_use]
    pub fn get(&self, index: ValidatorIndex) -> Option<&ValidatorKey> {
        self.validators.iter().find(|validator| validator.index == index)
    }

    /// One past the last slot that all these keys can sign. `None` without keys.
    #[must_use]
    pub fn last_slot_end(&self) -> Option<u64> {
        let keys = self.validators.iter().flat_map(|keys| [&keys.attester, &keys.proposer]);
        keys.map(|key| key.active_slots().end).min()
    }
}

fn load_key(
    index: ValidatorIndex,
    role: Role,
    path: &Path,
    expected: PublicKeyBytes,
    parameters: &'static Parameters,
) -> Result<SecretKey, ValidatorKeyError> {
    let advice = "copy the key there, or name the folder of the keys with --hash-sig-keys-dir";
    let bytes = read_bytes(path, SECRET_KEY_BYTES_MAX, advice)
        .map_err(|source| ValidatorKeyError::File { index, source })?;
    let key = SecretKey::decode(parameters, &bytes)
        .map_err(|source| ValidatorKeyError::Decode { index, path: path.into(), source })?;
    let actual = key.public_key().encode();
    if actual != expected {
        let (actual, expected) = (Box::new(actual), Box::new(expected));
        return Err(ValidatorKeyError::WrongKey {
            index,
            role,
            path: path.into(),
            actual,
            expected,
        });
    }
    Ok(prepared::load(path, &bytes, &key, SECRET_KEY_BYTES_MAX, parameters).unwrap_or(key))
}
