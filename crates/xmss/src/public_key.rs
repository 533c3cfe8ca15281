//! The 52-byte public key.

use crate::constants::{DIGEST_BYTES, PARAMETER_ELEMENTS};

use crate::field::{Digest, Parameter, read_elements, write_elements};
use crate::merkleize::{Root, chunk, container};
use crate::ssz::{DecodeError, Reader, expect_length};

/// A public key as a validator registry holds it: `[root: 8 × Fp | parameter: 5 × Fp]`, elements
/// four bytes little-endian.
pub type PublicKeyBytes = [u8; PublicKey::BYTES];

/// The root of a key's tree and the parameter its hashes are made with. The same 52 bytes under
/// both instantiations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey {
    /// Root over the one-time keys of all slots.
    pub root: Digest,
    /// Mixed into every hash of this key.
    pub parameter: Parameter,
}

impl PublicKey {
    /// Bytes of an encoded public key.
    pub const BYTES: usize = DIGEST_BYTES + 4 * PARAMETER_ELEMENTS;

    /// Strict inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`] or [`DecodeError::NonCanonical`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        expect_length("public key", Self::BYTES, bytes)?;
        let mut reader = Reader::new(bytes);
        Ok(Self { root: read_elements(&mut reader)?, parameter: read_elements(&mut reader)? })
    }

    /// The SSZ bytes.
    #[must_use]
    pub fn encode(&self) -> PublicKeyBytes {
        let mut out = Vec::with_capacity(Self::BYTES);
        write_elements(&mut out, &self.root);
        write_elements(&mut out, &self.parameter);
        let mut bytes = [0; Self::BYTES];
        bytes.copy_from_slice(&out);
        bytes
    }

    /// SSZ `hash_tree_root` of the two vectors.
    #[must_use]
    pub fn hash_tree_root(&self) -> Root {
        container(&[chunk(&self.root), chunk(&self.parameter)])
    }
}
