//! Verification (leanSpec `xmss/interface.py` `verify`): finish every chain, rebuild the leaf,
//! climb to the root, compare.
//!
//! The hard idea: a signature is one long dependency, 25 sponge permutations and then 32 nodes, so its own hashes
//! cannot fill the lanes of a vector unit. Those of several signatures can: they are verified in groups of as many as
//! there are lanes, one signature to a lane. Chains are independent within a signature too, so even a single one walks
//! them in lanes.

use p3_field::PackedValue;

use crate::constants::{BASE, MESSAGE_ELEMENTS};
use crate::encoding::{Codeword, encode};
use crate::field::{Digest, Fp, message_limbs};
use crate::hash::{Lanes, Walk, Wide, pack, unpack};
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

/// What a signature is said to be: over this message, at this slot, by this key.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// The signer's key.
    pub public_key: &'a PublicKeyBytes,
    /// The slot signed at.
    pub slot: u64,
    /// The message signed.
    pub message: &'a [u8; 32],
    /// SSZ of the signature.
    pub signature: &'a [u8],
}

/// Signatures that are verified together at no more than the cost of one group of lanes: 1 in portable builds, 16 with
/// AVX-512.
pub const GROUP_SIGNATURES: usize = Wide::WIDTH;

/// Verifies one signature over `message` at `slot`.
///
/// # Errors
///
/// A [`VerifyError`] for anything but a valid signature; no input panics.
///
/// # Cost
///
/// One message hash, then at production size 122 chain steps, 25 sponge permutations and 32 nodes.
/// 0.35 ms in a portable release build; a wrong message nearly always stops at the first hash.
pub fn verify(
    parameters: &Parameters,
    public_key: &PublicKeyBytes,
    slot: u64,
    message: &[u8; 32],
    signature: &[u8],
) -> Result<(), VerifyError> {
    let claim = Claim { public_key, slot, message, signature };
    verify_each(parameters, &[claim]).pop().unwrap_or(Ok(()))
}

/// Verifies signatures on this thread, [`GROUP_SIGNATURES`] at a time; one verdict for each, in their order.
///
/// # Cost
///
/// As [`verify`] for each in portable builds. With the 16 lanes of AVX-512, of 64 signatures each took 0.09 to 0.13 ms of
/// one thread on a busy machine, where one alone took 0.19 to 0.21 ms and 0.33 ms in a portable build.
#[must_use]
pub fn verify_each(parameters: &Parameters, claims: &[Claim<'_>]) -> Vec<Result<(), VerifyError>> {
    let mut verdicts = vec![Ok(()); claims.len()];
    let groups = claims.chunks(GROUP_SIGNATURES).zip(verdicts.chunks_mut(GROUP_SIGNATURES));
    for (claims, verdicts) in groups {
        match claims {
            [_] => verify_group::<Fp>(parameters, claims, verdicts),
            _ => verify_group::<Wide>(parameters, claims, verdicts),
        }
    }
    verdicts
}

/// A claim that can be hashed.
struct Opened {
    /// Its place among the claims.
    position: usize,
    public_key: PublicKey,
    slot: u32,
    message: [Fp; MESSAGE_ELEMENTS],
    signature: Signature,
}

impl Opened {
    fn new(
        parameters: &Parameters,
        position: usize,
        claim: &Claim<'_>,
    ) -> Result<Self, VerifyError> {
        let (slot, lifetime) = (claim.slot, parameters.lifetime_slots());
        let leaf_slot = u32::try_from(slot).ok().filter(|_| slot < lifetime);
        Ok(Self {
            position,
            slot: leaf_slot.ok_or(VerifyError::SlotOutsideLifetime { slot, lifetime })?,
            public_key: PublicKey::decode(claim.public_key).map_err(VerifyError::PublicKey)?,
            message: message_limbs(claim.message),
            signature: Signature::decode(parameters, claim.signature)
                .map_err(VerifyError::Signature)?,
        })
    }
}

/// Verifies at most one claim to a lane. One that fails early leaves its lane to nobody: the others cost the same.
fn verify_group<L: Lanes>(
    parameters: &Parameters,
    claims: &[Claim<'_>],
    verdicts: &mut [Result<(), VerifyError>],
) {
    let mut opened = Vec::with_capacity(claims.len());
    for (position, claim) in claims.iter().enumerate() {
        match Opened::new(parameters, position, claim) {
            Ok(claim) => opened.push(claim),
            Err(reason) => verdicts[position] = Err(reason),
        }
    }
    if opened.is_empty() {
        return;
    }
    let codewords = codewords::<L>(parameters, &opened);
    let (mut codeword_of, mut left) = (Vec::new(), Vec::new());
    for (claim, codeword) in opened.into_iter().zip(codewords) {
        match codeword {
            Some(codeword) => {
                codeword_of.push(codeword);
                left.push(claim);
            }
            None => verdicts[claim.position] = Err(VerifyError::NoCodeword),
        }
    }
    if left.is_empty() {
        return;
    }
    let roots = climb::<L>(parameters, &left, &codeword_of);
    for (claim, root) in left.iter().zip(roots) {
        if root != claim.public_key.root {
            verdicts[claim.position] = Err(VerifyError::RootMismatch);
        }
    }
}

fn codewords<L: Lanes>(parameters: &Parameters, opened: &[Opened]) -> Vec<Option<Codeword>> {
    let hashes = parameters.hasher().message::<L>(
        &pack(opened, |claim| &claim.public_key.parameter),
        |lane| opened.get(lane).unwrap_or(&opened[0]).slot,
        &pack(opened, |claim| &claim.signature.rho),
        &pack(opened, |claim| &claim.message),
    );
    (0..opened.len()).map(|lane| encode(parameters, &unpack(&hashes, lane))).collect()
}

/// Walks, absorbs and climbs: the root that each signature leads to.
fn climb<L: Lanes>(
    parameters: &Parameters,
    opened: &[Opened],
    codewords: &[Codeword],
) -> Vec<Digest> {
    let (hasher, dimension) = (parameters.hasher(), parameters.dimension());
    let mut walks = Vec::with_capacity(opened.len() * dimension);
    for (claim, codeword) in opened.iter().zip(codewords) {
        for (chain, digest) in claim.signature.hashes.iter().enumerate() {
            walks.push(Walk {
                parameter: &claim.public_key.parameter,
                slot: claim.slot,
                chain,
                from: codeword[chain],
                to: BASE - 1,
                digest: *digest,
            });
        }
    }
    hasher.walk_all(&mut walks);

    let of = |lane: usize| opened.get(lane).unwrap_or(&opened[0]);
    let ends: Vec<&[Walk<'_>]> = walks.chunks_exact(dimension).collect();
    let parameter = pack::<L, _, _>(opened, |claim| &claim.public_key.parameter);
    let chain_end = |chain: usize| pack::<L, _, _>(&ends, |walks| &walks[chain].digest);
    let mut node = hasher.leaf::<L>(&parameter, |lane| of(lane).slot, dimension, chain_end);
    for level in 1..=parameters.log_lifetime() {
        let sibling =
            pack::<L, _, _>(opened, |claim| &claim.signature.path.siblings[level as usize - 1]);
        let is_left = |lane: usize| of(lane).slot >> (level - 1) & 1 == 0;
        let (mut left, mut right) = (node, sibling);
        for (left, right) in left.iter_mut().zip(&mut right) {
            for lane in (0..L::WIDTH).filter(|lane| !is_left(*lane)) {
                std::mem::swap(&mut left.as_slice_mut()[lane], &mut right.as_slice_mut()[lane]);
            }
        }
        let index = |lane| u64::from(of(lane).slot) >> level;
        node = hasher.node::<L>(&parameter, level, index, &left, &right);
    }
    (0..opened.len()).map(|lane| unpack(&node, lane)).collect()
}
