//! Verification (leanSpec `xmss/interface.py` `verify`): finish every chain, rebuild the leaf,
//! climb to the root, compare.

use crate::constants::{BASE, DIGEST_ELEMENTS, DIMENSION_MAX};
use p3_field::PrimeCharacteristicRing;

use crate::encoding::encode;
use crate::field::{Digest, Fp, message_limbs};
use crate::params::Parameters;
use crate::public_key::{PublicKey, PublicKeyBytes};
use crate::signature::Signature;
use crate::ssz::DecodeError;

/// Why a signature was refused. Everything here is the signer's or the sender's fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The public key's bytes are not one.
    #[error("public key: {0}")]
    PublicKey(DecodeError),
    /// The signature's bytes are not one of these parameters.
    #[error("signature: {0}")]
    Signature(DecodeError),
    /// No key of these parameters has a leaf for the slot.
    #[error("slot {slot} is past the scheme's {lifetime} slots")]
    SlotOutsideLifetime {
        /// The slot claimed.
        slot: u64,
        /// Slots a key has at most.
        lifetime: u64,
    },
    /// The message does not encode under the signature's randomness: another message, slot, key or
    /// randomness.
    #[error("the message does not encode under the signature's randomness")]
    NoCodeword,
    /// The signature leads to another root: a wrong chain value or sibling, or another signer's
    /// signature.
    #[error("the signature does not lead to the public key's root")]
    RootMismatch,
}

/// Verifies one signature over `message` at `slot`.
///
/// # Errors
///
/// A [`VerifyError`] for anything but a valid signature; no input panics.
///
/// # Cost
///
/// One message hash, then at production size 122 chain steps, 25 sponge permutations and 32 nodes.
/// 0.34 ms in a release build; a wrong message nearly always stops at the first hash.
pub fn verify(
    parameters: &Parameters,
    public_key: &PublicKeyBytes,
    slot: u64,
    message: &[u8; 32],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let lifetime = parameters.lifetime_slots();
    let leaf_slot = u32::try_from(slot).ok().filter(|_| slot < lifetime);
    let leaf_slot = leaf_slot.ok_or(VerifyError::SlotOutsideLifetime { slot, lifetime })?;
    let public_key = PublicKey::decode(public_key).map_err(VerifyError::PublicKey)?;
    let signature = Signature::decode(parameters, signature).map_err(VerifyError::Signature)?;

    let limbs = message_limbs(message);
    let codeword = encode(parameters, &public_key.parameter, leaf_slot, &signature.rho, &limbs);
    let codeword = codeword.ok_or(VerifyError::NoCodeword)?;

    let hasher = parameters.hasher();
    let mut ends: [Digest; DIMENSION_MAX] = [[Fp::ZERO; DIGEST_ELEMENTS]; DIMENSION_MAX];
    let ends = &mut ends[..parameters.dimension()];
    for (chain, end) in ends.iter_mut().enumerate() {
        let released = signature.hashes[chain];
        *end = hasher.walk(
            &public_key.parameter,
            leaf_slot,
            chain,
            codeword[chain],
            BASE - 1,
            released,
        );
    }

    let mut node = hasher.leaf(&public_key.parameter, leaf_slot, ends);
    let mut index = slot;
    for (level, sibling) in (1..).zip(&signature.path.siblings) {
        let (left, right) =
            if index.is_multiple_of(2) { (&node, sibling) } else { (sibling, &node) };
        index /= 2;
        node = hasher.node(&public_key.parameter, level, index, left, right);
    }
    if node == public_key.root { Ok(()) } else { Err(VerifyError::RootMismatch) }
}
