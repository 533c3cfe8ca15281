//! Which chain an archive holds: what all its states share.

use lamella_types::{
    BlockHeader, Decode as _, Root, State, Validators, genesis_block, genesis_state,
};

use crate::{
    error::{ArchiveError, Fault},
    network_id::NetworkId,
    object_name::ObjectName,
};

/// What is the same in every state of a chain. Cloning copies pointers.
#[derive(Debug, Clone)]
pub struct Network {
    genesis_time: u64,
    validators: Validators,
    id: NetworkId,
}

impl Network {
    /// The network of this genesis time and registry.
    ///
    /// # Cost
    /// The registry's root: six hashes a validator the first time.
    #[must_use]
    pub fn new(genesis_time: u64, validators: Validators) -> Self {
        let id = NetworkId::of(genesis_time, &validators.root());
        Self { genesis_time, validators, id }
    }

    /// Unix seconds of slot 0.
    #[must_use]
    pub const fn genesis_time(&self) -> u64 {
        self.genesis_time
    }

    /// The registry.
    #[must_use]
    pub const fn validators(&self) -> &Validators {
        &self.validators
    }

    /// `hash_tree_root` of the registry.
    #[must_use]
    pub fn registry_root(&self) -> Root {
        self.validators.root()
    }

    /// The network's name.
    #[must_use]
    pub const fn id(&self) -> NetworkId {
        self.id
    }

    /// Header and state of slot 0.
    #[must_use]
    pub fn genesis(&self) -> (BlockHeader, State) {
        let state = genesis_state(self.genesis_time, self.validators.clone());
        (genesis_block(&state).header(), state)
    }
}

/// The registry in these bytes of the object `registry/<root>.ssz`. It is written as [`Validators::as_ssz`].
///
/// # Errors
/// Bytes that are no registry, or another one.
pub fn decode_registry(file: &str, bytes: &[u8], root: &Root) -> Result<Validators, ArchiveError> {
    let refused = |fault| ArchiveError::new(file, "registry", 0, fault);
    let (length, limit) = (bytes.len() as u64, ObjectName::Registry { root: *root }.bytes_max());
    if length > limit {
        return Err(refused(Fault::TooLong { length, limit }));
    }
    let validators = Validators::from_ssz(bytes).map_err(|error| refused(error.into()))?;
    let (computed, expected) = (validators.root(), *root);
    if computed == expected {
        Ok(validators)
    } else {
        Err(refused(Fault::Root { computed, expected }))
    }
}
