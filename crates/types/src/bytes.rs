//! Opaque byte values: XMSS public keys, proofs and signatures. Nothing here looks inside them.

use std::fmt;

use crate::{
    decode::{Decode, DecodeError, exact},
    glue::ssz_leaf,
    limits::PROOF_BYTES_MAX,
    merkle::{merkleize, mix_in_length},
    root::{ROOT_BYTES, Root},
};

/// Bytes of an XMSS public key.
pub const PUBLIC_KEY_BYTES: usize = 52;

/// An encoded XMSS public key (`Bytes52`).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKeyBytes(pub [u8; PUBLIC_KEY_BYTES]);

impl PublicKeyBytes {
    fn write_ssz(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.0);
    }

    /// `hash_tree_root` of the 52 bytes.
    #[must_use]
    pub fn root(&self) -> Root {
        merkleize(&self.0, 1)
    }
}

impl Default for PublicKeyBytes {
    fn default() -> Self {
        Self([0; PUBLIC_KEY_BYTES])
    }
}

impl fmt::Debug for PublicKeyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}{:02x}{:02x}{:02x}..", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl Decode for PublicKeyBytes {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut key = [0; PUBLIC_KEY_BYTES];
        key.copy_from_slice(exact("PublicKey", bytes, PUBLIC_KEY_BYTES)?);
        Ok(Self(key))
    }
}

ssz_leaf!([] PublicKeyBytes, fixed_bytes = Some(PUBLIC_KEY_BYTES));

/// The bytes of a block proof or aggregate proof (`ByteList512KiB`), opaque to everything but the proof scheme.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProofBytes(Vec<u8>);

impl ProofBytes {
    /// These bytes, if they are within [`PROOF_BYTES_MAX`].
    ///
    /// # Errors
    /// [`DecodeError::Limit`] beyond it.
    pub fn new(bytes: Vec<u8>) -> Result<Self, DecodeError> {
        if bytes.len() > PROOF_BYTES_MAX {
            let (got, limit) = (bytes.len(), PROOF_BYTES_MAX);
            return Err(DecodeError::Limit { what: "proof", got, limit });
        }
        Ok(Self(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn write_ssz(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.0);
    }

    /// `hash_tree_root` of the byte list.
    #[must_use]
    pub fn root(&self) -> Root {
        let depth = (PROOF_BYTES_MAX / ROOT_BYTES).trailing_zeros() as usize;
        mix_in_length(&merkleize(&self.0, depth), self.0.len())
    }
}

impl fmt::Debug for ProofBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProofBytes({} bytes)", self.0.len())
    }
}

impl Decode for ProofBytes {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > PROOF_BYTES_MAX {
            let (got, limit) = (bytes.len(), PROOF_BYTES_MAX);
            return Err(DecodeError::Limit { what: "proof", got, limit });
        }
        Ok(Self(bytes.to_vec()))
    }
}

ssz_leaf!([] ProofBytes, fixed_bytes = None);

impl Root {
    fn write_ssz(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.as_bytes());
    }

    fn root(&self) -> Self {
        *self
    }
}

impl Decode for Root {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let length = DecodeError::Length { what: "root", got: bytes.len(), expected: ROOT_BYTES };
        Self::from_slice(bytes).ok_or(length)
    }
}

ssz_leaf!([] Root, fixed_bytes = Some(ROOT_BYTES));
