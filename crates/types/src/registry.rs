//! The validator registry: fixed at genesis, shared by every state, hashed once.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use ssz_rs::prelude::*;

use crate::{
    bytes::{PUBLIC_KEY_BYTES, PublicKeyBytes},
    decode::{Decode, DecodeError, fixed_list_count},
    glue::fixed_container,
    hash_tree_root,
    limits::VALIDATOR_REGISTRY_LIMIT,
    merkle::{hash_pair, merkleize, merkleize_roots, mix_in_length},
    root::Root,
    slot::ValidatorIndex,
};

/// A registry entry. `[attestation_public_key: 52 | proposal_public_key: 52 | index: u64 LE]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, SimpleSerialize)]
pub struct Validator {
    /// Key that signs attestation data.
    pub attestation_public_key: PublicKeyBytes,
    /// Key that signs block roots.
    pub proposal_public_key: PublicKeyBytes,
    /// The entry's position in the registry.
    pub index: ValidatorIndex,
}
fixed_container!(Validator, 112);

impl Validator {
    /// `hash_tree_root` of the entry, without `ssz_rs`' allocations: a registry is hashed at every start.
    #[must_use]
    pub fn root(&self) -> Root {
        let keys = hash_pair(&self.attestation_public_key.root(), &self.proposal_public_key.root());
        let index = hash_pair(&merkleize(&self.index.to_le_bytes(), 0), &Root::ZERO);
        let root = hash_pair(&keys, &index);
        debug_assert_eq!(root, hash_tree_root(self), "the container's own root");
        root
    }
}

/// `List[Validator, 4096]` whose entries stand at their own index. Cloning copies a pointer.
#[derive(Clone)]
pub struct Validators(Arc<Registry>);

/// SSZ bytes of the entries, and the root once somebody asked for it.
struct Registry {
    bytes: Vec<u8>,
    root: OnceLock<Root>,
}

impl Validators {
    /// A registry of these entries.
    ///
    /// # Errors
    /// More than 4,096 entries, or an index that is not its position.
    pub fn new(validators: &[Validator]) -> Result<Self, DecodeError> {
        let mut bytes = Vec::with_capacity(validators.len() * Validator::SSZ_BYTES);
        for validator in validators {
            bytes.extend_from_slice(&validator.attestation_public_key.0);
            bytes.extend_from_slice(&validator.proposal_public_key.0);
            bytes.extend_from_slice(&validator.index.to_le_bytes());
        }
        Self::from_ssz(&bytes)
    }

    /// Entries in the registry.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.bytes.len() / Validator::SSZ_BYTES
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.bytes.is_empty()
    }

    /// The entry at `index`.
    #[must_use]
    pub fn get(&self, index: ValidatorIndex) -> Option<Validator> {
        let start = usize::try_from(index).ok()?.checked_mul(Validator::SSZ_BYTES)?;
        let entry = self.0.bytes.get(start..start.checked_add(Validator::SSZ_BYTES)?)?;
        let (attestation, rest) = entry.split_first_chunk::<PUBLIC_KEY_BYTES>()?;
        let proposal = rest.first_chunk::<PUBLIC_KEY_BYTES>()?;
        Some(Validator {
            attestation_public_key: PublicKeyBytes(*attestation),
            proposal_public_key: PublicKeyBytes(*proposal),
            index,
        })
    }

    /// The attestation key of the entry at `index`, where it lies: a block's proof wants thousands of them.
    #[must_use]
    pub fn attestation_public_key(&self, index: ValidatorIndex) -> Option<&[u8; PUBLIC_KEY_BYTES]> {
        let start = usize::try_from(index).ok()?.checked_mul(Validator::SSZ_BYTES)?;
        self.0.bytes.get(start..)?.first_chunk()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Validator> + '_ {
        (0..self.len() as u64).filter_map(|index| self.get(index))
    }

    /// SSZ bytes of the list.
    #[must_use]
    pub fn as_ssz(&self) -> &[u8] {
        &self.0.bytes
    }

    /// `hash_tree_root` of the list.
    ///
    /// # Cost
    /// Six hashes an entry the first time, nothing afterwards.
    #[must_use]
    pub fn root(&self) -> Root {
        *self.0.root.get_or_init(|| {
            let roots: Vec<Root> = self.iter().map(|validator| validator.root()).collect();
            let depth = VALIDATOR_REGISTRY_LIMIT.trailing_zeros() as usize;
            mix_in_length(&merkleize_roots(&roots, depth), roots.len())
        })
    }

    /// Whether both handles point at one allocation.
    #[must_use]
    pub fn shares_memory_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Decode for Validators {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let entry_bytes = Validator::SSZ_BYTES;
        fixed_list_count("Validators", bytes, entry_bytes, VALIDATOR_REGISTRY_LIMIT)?;
        for (position, entry) in (0..).zip(bytes.chunks_exact(entry_bytes)) {
            let index = entry.last_chunk().map_or(0, |word| u64::from_le_bytes(*word));
            if index != position {
                return Err(DecodeError::ValidatorIndex { position, index });
            }
        }
        Ok(Self(Arc::new(Registry { bytes: bytes.to_vec(), root: OnceLock::new() })))
    }
}

impl Default for Validators {
    fn default() -> Self {
        Self(Arc::new(Registry { bytes: Vec::new(), root: OnceLock::new() }))
    }
}

impl PartialEq for Validators {
    fn eq(&self, other: &Self) -> bool {
        self.shares_memory_with(other) || self.0.bytes == other.0.bytes
    }
}

impl Eq for Validators {}

impl fmt::Debug for Validators {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validators({})", self.len())
    }
}
