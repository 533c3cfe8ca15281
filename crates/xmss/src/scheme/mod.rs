//! Proof schemes: how many signatures become the one proof a vote or a block carries.
//!
//! The network's scheme is a leanVM proof, which this workspace cannot make or check. So the scheme
//! is an explicit choice behind [`ProofScheme`], and everything else handles opaque bytes: [`Raw`]
//! for our own networks, [`Trust`] for following a foreign one. A data directory remembers the
//! scheme's name, since a chain made under one means nothing to another.

mod name;
mod parallel;
mod raw;
mod trust;
mod verified;

pub use name::SchemeName;
pub use raw::Raw;
pub use trust::Trust;
pub use verified::Verified;

use crate::public_key::PublicKeyBytes;
use crate::verify::VerifyError;

/// Limit on any proof, in bytes: leanSpec's `ByteList512KiB`.
pub const PROOF_BYTES_MAX: usize = 512 * 1024;

/// One already-aggregated child proof with its participants, ascending, and their keys in the same
/// order.
#[derive(Clone, Copy)]
pub struct Child<'a> {
    /// Validator indices, strictly ascending.
    pub participants: &'a [u64],
    /// Their public keys, in that order.
    pub public_keys: &'a [&'a PublicKeyBytes],
    /// The proof.
    pub proof: &'a [u8],
}

/// One validator's own signature over the message being aggregated.
#[derive(Clone, Copy)]
pub struct RawSignature<'a> {
    /// Who signed.
    pub validator_index: u64,
    /// With which key.
    pub public_key: &'a PublicKeyBytes,
    /// SSZ of the signature.
    pub signature: &'a [u8],
}

/// What one part of a proof claims: these keys all signed this message at this slot.
#[derive(Clone)]
pub struct Component<'a> {
    /// Keys of the participants, in ascending order of validator index.
    pub public_keys: Vec<&'a PublicKeyBytes>,
    /// Root of what they signed.
    pub message: [u8; 32],
    /// Slot they signed at.
    pub slot: u64,
}

/// Why a proof was refused or could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The scheme has no way to make proofs, or to take them apart.
    #[error("the {scheme} proof scheme cannot make proofs, nor take them apart")]
    CannotProve {
        /// Name of the scheme.
        scheme: &'static str,
    },
    /// A proof, given or about to be made, over [`PROOF_BYTES_MAX`].
    #[error("a proof of {bytes} bytes exceeds the limit of {PROOF_BYTES_MAX}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// A proof whose size does not fit what it claims.
    #[error("a proof of {expected} signatures takes {expected_bytes} bytes, got {bytes}")]
    Length {
        /// Signatures claimed.
        expected: usize,
        /// Bytes they take.
        expected_bytes: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A part of a merged proof that is not a whole number of signatures.
    #[error("a proof of {bytes} bytes is not a whole number of {signature_bytes}-byte signatures")]
    PartialSignature {
        /// Bytes given.
        bytes: usize,
        /// Bytes of a signature.
        signature_bytes: usize,
    },
    /// Nobody takes part.
    #[error("a proof needs at least one participant")]
    NoParticipants,
    /// Participants out of order or repeated within one child.
    #[error("participant {validator_index} of a child proof does not come in ascending order")]
    NotAscending {
        /// The first one out of order.
        validator_index: u64,
    },
    /// A child with more or fewer keys than participants.
    #[error("a child proof names {participants} participants and {public_keys} public keys")]
    KeyCount {
        /// Participants named.
        participants: usize,
        /// Keys given.
        public_keys: usize,
    },
    /// One of the signatures does not verify.
    #[error("signature {position} of the proof: {reason}")]
    Signature {
        /// Its position in the proof, from 0; in order of validators, components one after the
        /// other.
        position: usize,
        /// Why.
        reason: VerifyError,
    },
}

/// Makes and checks the proofs of one network. Implementations hold no state but what they remember as verified.
pub trait ProofScheme: Send + Sync {
    /// The name a data directory remembers: `raw` or `trust`.
    fn name(&self) -> &'static str;

    /// Whether a node under this scheme may attest and propose: it must be able to make the proofs
    /// its blocks need.
    fn can_sign_duties(&self) -> bool;

    /// Whether a proof that passes shows who signed: if not, nobody may be judged by it.
    fn is_proof(&self) -> bool;

    /// Most signers of one proof, a block's included.
    fn signers_max(&self) -> usize;

    /// Folds child proofs and raw signatures over one message into participants, ascending, and
    /// their proof. Where not all of them fit, the raw signatures come first, since no other proof
    /// has them.
    ///
    /// # Errors
    ///
    /// A [`ProofError`]; nothing is made from input that does not verify.
    fn aggregate(
        &self,
        children: &[Child<'_>],
        raw: &[RawSignature<'_>],
        message: &[u8; 32],
        slot: u64,
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError>;

    /// One proof of those participants of the children whom `wanted` names, ascending; of more if
    /// the scheme cannot leave any out. Nothing is verified again.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] if the scheme cannot, or the children have nobody whom `wanted` names.
    fn select(
        &self,
        children: &[Child<'_>],
        wanted: &[u64],
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError>;

    /// Checks the proof of one component.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] unless every participant's signature is proven.
    fn verify_single(&self, component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError>;

    /// Joins one proof per component into a block's proof: body attestations in order, the proposer
    /// last.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] if the scheme cannot or the limit is exceeded. The parts are not verified
    /// again.
    fn merge(&self, proofs: &[&[u8]]) -> Result<Vec<u8>, ProofError>;

    /// A block's proof as one proof for each component, in the order they were merged: undoes
    /// [`Self::merge`]. `signers` counts each component's. Nothing is verified.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] if the scheme cannot, or the proof is not of so many signers.
    fn split(&self, signers: &[usize], proof: &[u8]) -> Result<Vec<Vec<u8>>, ProofError>;

    /// Checks a block's proof against its components, in the order they were merged.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] unless every participant's signature of every component is proven.
    fn verify_block(&self, components: &[Component<'_>], proof: &[u8]) -> Result<(), ProofError>;

    /// Checks of a block's proof the last component alone, its proposer's signature, before the rest is worth it. A
    /// scheme that cannot tell the parts apart checks the size.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] with which [`ProofScheme::verify_block`] would fail too.
    fn verify_last(&self, component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError>;

    /// Checks one validator's own signature, which is no proof yet: of a component with one key.
    ///
    /// # Errors
    ///
    /// A [`ProofError`] unless the signature is its signer's.
    fn verify_signature(
        &self,
        component: &Component<'_>,
        signature: &[u8],
    ) -> Result<(), ProofError>;

    /// Checks validators' own signatures, on this thread: of components with one key each. One verdict for each.
    fn verify_signatures(
        &self,
        signatures: &[(Component<'_>, &[u8])],
    ) -> Vec<Result<(), ProofError>> {
        let verify = |(component, signature): &(Component<'_>, &[u8])| {
            self.verify_signature(component, signature)
        };
        signatures.iter().map(verify).collect()
    }
}

fn check_size(bytes: usize) -> Result<(), ProofError> {
    if bytes <= PROOF_BYTES_MAX { Ok(()) } else { Err(ProofError::TooLarge { bytes }) }
}
