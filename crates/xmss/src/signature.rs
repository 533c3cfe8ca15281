//! A signature and its one encoding.
//!
//! The hard idea: leanSpec declares two variable-length lists and a fixed size at once. The lists'
//! lengths are pinned to the scheme's constants, so the offsets inside are constants too, and any
//! other offset is refused rather than followed.

use crate::constants::{DIGEST_BYTES, RANDOMNESS_ELEMENTS};

use crate::field::{Digest, Randomness, read_elements, write_elements};
use crate::merkleize::{Root, chunk, container, digest_list};
use crate::params::Parameters;
use crate::ssz::{DecodeError, Reader, expect_length, write_offset};
use crate::tree::{HashTreeOpening, read_digests};

const HEAD_BYTES: usize = 4 + 4 * RANDOMNESS_ELEMENTS + 4;

/// One signature: by one key, at one slot, over one message.
///
/// SSZ, production offsets: `[36: u32 | ρ: 28 | 1064: u32 | 4: u32 | 32 siblings × 32 | 46 chain
/// values × 32]`, 2,536 bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// From the slot's leaf to the public root.
    pub path: HashTreeOpening,
    /// The randomness that made the message encode.
    pub rho: Randomness,
    /// One released value per chain.
    pub hashes: Vec<Digest>,
}

impl Signature {
    /// Strict inverse of [`Self::encode`]: exact length, exact offsets, canonical elements.
    ///
    /// # Errors
    ///
    /// [`DecodeError::Length`], [`DecodeError::Offset`] or [`DecodeError::NonCanonical`].
    pub fn decode(parameters: &Parameters, bytes: &[u8]) -> Result<Self, DecodeError> {
        expect_length("signature", parameters.signature_bytes(), bytes)?;
        let hashes_offset = parameters.signature_bytes() - DIGEST_BYTES * parameters.dimension();
        let mut reader = Reader::new(bytes);
        reader.offset_at("path", HEAD_BYTES)?;
        let rho = read_elements(&mut reader)?;
        reader.offset_at("hashes", hashes_offset)?;
        // With the length and both offsets fixed, both lists have exactly their required number of
        // items.
        Ok(Self {
            path: HashTreeOpening::decode(parameters, &bytes[HEAD_BYTES..hashes_offset])?,
            rho,
            hashes: read_digests("hashes", parameters, &bytes[hashes_offset..])?,
        })
    }

    /// The SSZ bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let path = self.path.encode();
        let mut out =
            Vec::with_capacity(HEAD_BYTES + path.len() + DIGEST_BYTES * self.hashes.len());
        write_offset(&mut out, HEAD_BYTES);
        write_elements(&mut out, &self.rho);
        write_offset(&mut out, HEAD_BYTES + path.len());
        out.extend_from_slice(&path);
        write_elements(&mut out, self.hashes.as_flattened());
        out
    }

    /// SSZ `hash_tree_root` over the structure, not over the bytes: the list limits, hence the
    /// root, depend on the parameters.
    #[must_use]
    pub fn hash_tree_root(&self, parameters: &Parameters) -> Root {
        let hashes = digest_list(&self.hashes, parameters.node_list_limit());
        container(&[self.path.hash_tree_root(parameters), chunk(&self.rho), hashes])
    }
}
