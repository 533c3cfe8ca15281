//! Real signatures, one after the other: the proof scheme of our own networks.
//!
//! A component's proof is its participants' signatures in ascending order of validator index; a
//! block's proof is its components' proofs. Nothing else is in it, so lengths are exact, and who
//! signed follows from the component. At production size a signature takes 2,536 bytes, so 206 of
//! them fit the 512 KiB limit: that bounds the validators of a network under this scheme.

use std::collections::BTreeMap;

use super::parallel::verify_parallel;
use super::{Child, Component, ProofError, ProofScheme, RawSignature, check_size};
use crate::params::Parameters;
use crate::public_key::PublicKeyBytes;
use crate::verify::Claim;

/// Concatenated signatures, every one of them verified.
#[derive(Debug, Clone, Copy)]
pub struct Raw {
    /// The instantiation the signatures belong to.
    pub parameters: &'static Parameters,
}

impl ProofScheme for Raw {
    fn name(&self) -> &'static str {
        "raw"
    }

    fn is_evidence(&self) -> bool {
        true
    }

    fn can_sign_duties(&self) -> bool {
        true
    }

    /// The first child that holds a validator provides its signature; raw signatures fill in
    /// validators no child holds. Every signature that ends up in the proof is verified, 0.35
    /// ms each, spread over the machine's cores.
    fn aggregate(
        &self,
        children: &[Child<'_>],
        raw: &[RawSignature<'_>],
        message: &[u8; 32],
        slot: u64,
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError> {
        let mut chosen = BTreeMap::new();
        for child in children {
            for (validator_index, public_key, signature) in self.signatures_of(child)? {
                chosen.entry(validator_index).or_insert((public_key, signature));
            }
        }
        for own in raw {
            chosen.entry(own.validator_index).or_insert((own.public_key, own.signature));
        }
        if chosen.is_empty() {
            return Err(ProofError::NoParticipants);
        }
        check_size(chosen.len() * self.parameters.signature_bytes())?;

        let claims: Vec<Claim<'_>> = chosen
            .values()
            .map(|(public_key, signature)| Claim { public_key, slot, message, signature })
            .collect();
        verify_parallel(self.parameters, &claims)?;
        let proof = claims.iter().flat_map(|claim| claim.signature).copied().collect();
        Ok((chosen.into_keys().collect(), proof))
    }

    fn verify_single(&self, component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError> {
        self.verify_block(std::slice::from_ref(component), proof)
    }

    fn merge(&self, proofs: &[&[u8]]) -> Result<Vec<u8>, ProofError> {
        let signature_bytes = self.parameters.signature_bytes();
        for proof in proofs {
            if proof.is_empty() {
                return Err(ProofError::NoParticipants);
            }
            if !proof.len().is_multiple_of(signature_bytes) {
                return Err(ProofError::PartialSignature { bytes: proof.len(), signature_bytes });
            }
        }
        check_size(proofs.iter().map(|proof| proof.len()).sum())?;
        Ok(proofs.concat())
    }

    fn verify_block(&self, components: &[Component<'_>], proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())?;
        if components.iter().any(|component| component.public_keys.is_empty()) {
            return Err(ProofError::NoParticipants);
        }
        let expected = components.iter().map(|component| component.public_keys.len()).sum();
        let signatures = self.split(expected, proof)?;
        let claims: Vec<Claim<'_>> = components
            .iter()
            .flat_map(|component| {
                component.public_keys.iter().map(move |public_key| (component, *public_key))
            })
            .zip(signatures)
            .map(|((component, public_key), signature)| Claim {
                public_key,
                slot: component.slot,
                message: &component.message,
                signature,
            })
            .collect();
        verify_parallel(self.parameters, &claims)
    }
}

impl Raw {
    /// The signatures of a proof that must hold exactly `expected` of them.
    fn split<'a>(
        &self,
        expected: usize,
        proof: &'a [u8],
    ) -> Result<std::slice::ChunksExact<'a, u8>, ProofError> {
        let signature_bytes = self.parameters.signature_bytes();
        let expected_bytes = expected.saturating_mul(signature_bytes);
        if proof.len() != expected_bytes {
            return Err(ProofError::Length { expected, expected_bytes, bytes: proof.len() });
        }
        Ok(proof.chunks_exact(signature_bytes))
    }

    /// A child's participants with their keys and signatures.
    fn signatures_of<'a>(
        &self,
        child: &Child<'a>,
    ) -> Result<impl Iterator<Item = (u64, &'a PublicKeyBytes, &'a [u8])>, ProofError> {
        let Child { participants, public_keys, proof } = *child;
        if participants.is_empty() {
            return Err(ProofError::NoParticipants);
        }
        if let Some(pair) = participants.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(ProofError::NotAscending { validator_index: pair[1] });
        }
        if participants.len() != public_keys.len() {
            return Err(ProofError::KeyCount {
                participants: participants.len(),
                public_keys: public_keys.len(),
            });
        }
        let signatures = self.split(participants.len(), proof)?;
        let keyed = participants.iter().zip(public_keys).zip(signatures);
        Ok(keyed.map(|((validator_index, public_key), signature)| {
            (*validator_index, *public_key, signature)
        }))
    }
}
