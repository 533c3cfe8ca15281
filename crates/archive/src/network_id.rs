//! The name of a network, and of the folder that holds its archive.

use std::{fmt, str::FromStr};

use lamella_types::Root;
use sha2::{Digest as _, Sha256};

use crate::hex::hex_digits;

/// What the digest of a network's name begins with.
const DOMAIN: &[u8] = b"lamella-archive/1\0";

/// Bytes of a network's name.
const ID_BYTES: usize = 8;

/// The name of a network: the first bytes of `SHA-256("lamella-archive/1\0" | genesis time: u64 LE | registry root)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NetworkId(pub [u8; ID_BYTES]);

impl NetworkId {
    /// The name of the chain with this genesis time and registry.
    #[must_use]
    pub fn of(genesis_time: u64, registry_root: &Root) -> Self {
        let digest = Sha256::new()
            .chain_update(DOMAIN)
            .chain_update(genesis_time.to_le_bytes())
            .chain_update(registry_root.as_bytes())
            .finalize();
        let mut id = [0; ID_BYTES];
        id.copy_from_slice(&digest[..ID_BYTES]);
        Self(id)
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl FromStr for NetworkId {
    type Err = NetworkIdError;

    /// Parses 16 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_digits(text).map(Self).ok_or(NetworkIdError)
    }
}

/// The text is not the name of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is named by 16 lower-case hex digits")]
pub struct NetworkIdError;
