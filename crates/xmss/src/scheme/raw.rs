//! Real signatures, one after the other: the proof scheme of our own networks.
//!
//! A component's proof is its participants' signatures in ascending order of validator index; a
//! block's proof is its components' proofs. Nothing else is in it, so lengths are exact, and who
//! signed follows from the component. At production size a signature takes 2,536 bytes, so 206 of
//! them fit the 512 KiB limit: that bounds the validators of a network under this scheme.

use std::{collections::BTreeMap, sync::Arc};

use super::parallel::{Job, verify_all};
use super::{
    Child, Component, PROOF_BYTES_MAX, ProofError, ProofScheme, RawSignature, Verified, check_size,
};
use crate::params::{PRODUCTION, Parameters};
use crate::public_key::PublicKeyBytes;
use crate::verify::verify_each;

/// Concatenated signatures, every one of them verified.
#[derive(Debug, Clone)]
pub struct Raw {
    /// The instantiation the signatures belong to.
    pub parameters: &'static Parameters,
    /// What was verified before and need not be again; `None` verifies everything, every time.
    pub verified: Option<Arc<Verified>>,
}

impl ProofScheme for Raw {
    fn name(&self) -> &'static str {
        if std::ptr::eq(self.parameters, &PRODUCTION) { "raw" } else { "raw-test" }
    }

    fn can_sign_duties(&self) -> bool {
        true
    }

    fn is_proof(&self) -> bool {
        true
    }

    /// 206 at production size.
    fn signers_max(&self) -> usize {
        PROOF_BYTES_MAX / self.parameters.signature_bytes()
    }

    /// The first child that holds a validator provides its signature; raw signatures fill in
    /// validators no child holds. If that is more than fits, the children's participants give way,
    /// those of the last child first. Every signature that ends up in the proof is verified,
    /// 0.35 ms each, spread over the machine's cores.
    fn aggregate(
        &self,
        children: &[Child<'_>],
        raw: &[RawSignature<'_>],
        message: &[u8; 32],
        slot: u64,
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError> {
        let signers_max = self.signers_max();
        let children_max = signers_max.saturating_sub(raw.len());
        let mut chosen = BTreeMap::new();
        for child in children {
            for (validator_index, public_key, signature) in self.signatures_of(child)? {
                if chosen.len() < children_max {
                    chosen.entry(validator_index).or_insert((public_key, signature));
                }
            }
        }
        for own in raw {
            if chosen.len() < signers_max {
                chosen.entry(own.validator_index).or_insert((own.public_key, own.signature));
            }
        }
        if chosen.is_empty() {
            return Err(ProofError::NoParticipants);
        }

        let jobs: Vec<Job<'_>> = chosen
            .values()
            .map(|(public_key, signature)| Job { public_key, slot, message, signature })
            .collect();
        self.verify(&jobs)?;
        let proof = jobs.iter().flat_map(|job| job.signature).copied().collect();
        Ok((chosen.into_keys().collect(), proof))
    }

    fn select(
        &self,
        children: &[Child<'_>],
        wanted: &[u64],
    ) -> Result<(Vec<u64>, Vec<u8>), ProofError> {
        let mut chosen = BTreeMap::new();
        for child in children {
            for (validator_index, _, signature) in self.signatures_of(child)? {
                if wanted.binary_search(&validator_index).is_ok() {
                    chosen.entry(validator_index).or_insert(signature);
                }
            }
        }
        if chosen.is_empty() {
            return Err(ProofError::NoParticipants);
        }
        check_size(chosen.len().saturating_mul(self.parameters.signature_bytes()))?;
        let proof = chosen.values().copied().flatten().copied().collect();
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

    fn split(&self, signers: &[usize], proof: &[u8]) -> Result<Vec<Vec<u8>>, ProofError> {
        let expected = signers.iter().fold(0, |sum: usize, count| sum.saturating_add(*count));
        let mut signatures = self.signatures(expected, proof)?;
        let mut component = |count: &usize| -> Vec<u8> {
            signatures.by_ref().take(*count).flatten().copied().collect()
        };
        Ok(signers.iter().map(&mut component).collect())
    }

    fn verify_block(&self, components: &[Component<'_>], proof: &[u8]) -> Result<(), ProofError> {
        check_size(proof.len())?;
        if components.iter().any(|component| component.public_keys.is_empty()) {
            return Err(ProofError::NoParticipants);
        }
        let expected = components.iter().map(|component| component.public_keys.len()).sum();
        let signatures = self.signatures(expected, proof)?;
        let jobs: Vec<Job<'_>> = components
            .iter()
            .flat_map(|component| {
                component.public_keys.iter().map(move |public_key| (component, *public_key))
            })
            .zip(signatures)
            .map(|((component, public_key), signature)| Job {
                public_key,
                slot: component.slot,
                message: &component.message,
                signature,
            })
            .collect();
        self.verify(&jobs)
    }

    fn verify_last(&self, component: &Component<'_>, proof: &[u8]) -> Result<(), ProofError> {
        let signature_bytes = self.parameters.signature_bytes();
        let bytes = proof.len();
        if bytes == 0 || !bytes.is_multiple_of(signature_bytes) {
            return Err(ProofError::PartialSignature { bytes, signature_bytes });
        }
        self.verify_signature(component, &proof[bytes - signature_bytes..])
    }

    fn verify_signature(
        &self,
        component: &Component<'_>,
        signature: &[u8],
    ) -> Result<(), ProofError> {
        let [public_key] = component.public_keys[..] else {
            let expected = component.public_keys.len();
            let expected_bytes = expected.saturating_mul(self.parameters.signature_bytes());
            return Err(ProofError::Length { expected, expected_bytes, bytes: signature.len() });
        };
        let Component { message, slot, .. } = component;
        self.verify(&[Job { public_key, slot: *slot, message, signature }])
    }

    /// As many at once as the build has lanes, in which each costs a fraction.
    fn verify_signatures(
        &self,
        signatures: &[(Component<'_>, &[u8])],
    ) -> Vec<Result<(), ProofError>> {
        let has_one_key = signatures.iter().all(|(part, _)| part.public_keys.len() == 1);
        if !has_one_key {
            let verify =
                |(part, signature): &(Component<'_>, &[u8])| self.verify_signature(part, signature);
            return signatures.iter().map(verify).collect();
        }
        let jobs: Vec<Job<'_>> = signatures
            .iter()
            .map(|(part, signature)| Job {
                public_key: part.public_keys[0],
                slot: part.slot,
                message: &part.message,
                signature,
            })
            .collect();
        let (places, unknown) = match &self.verified {
            Some(verified) => verified.unknown(&jobs),
            None => ((0..jobs.len()).collect(), jobs.clone()),
        };
        let mut verdicts = vec![Ok(()); jobs.len()];
        let verified = verify_each(self.parameters, &unknown);
        for ((place, job), verdict) in places.into_iter().zip(&unknown).zip(verified) {
            match (verdict, &self.verified) {
                (Ok(()), Some(verified)) => verified.remember(&[*job]),
                (Ok(()), None) => {}
                (Err(reason), _) => {
                    verdicts[place] = Err(ProofError::Signature { position: place, reason });
                }
            }
        }
        verdicts
    }
}

impl Raw {
    /// Verifies the signatures that were not verified before. The failure reported is always the first in the proof.
    fn verify(&self, jobs: &[Job<'_>]) -> Result<(), ProofError> {
        let Some(verified) = &self.verified else { return verify_all(self.parameters, jobs) };
        let (places, unknown) = verified.unknown(jobs);
        let outcome = verify_all(self.parameters, &unknown);
        // All that precede the first failure are good: one bad signature does not make them worth another check.
        let good = match &outcome {
            Ok(()) => unknown.len(),
            Err(ProofError::Signature { position, .. }) => *position,
            Err(_) => 0,
        };
        verified.remember(&unknown[..good]);
        outcome.map_err(|error| match error {
            ProofError::Signature { position, reason } => {
                ProofError::Signature { position: places[position], reason }
            }
            error => error,
        })
    }

    /// The signatures of a proof that must hold exactly `expected` of them.
    fn signatures<'a>(
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
        let signatures = self.signatures(participants.len(), proof)?;
        let keyed = participants.iter().zip(public_keys).zip(signatures);
        Ok(keyed.map(|((validator_index, public_key), signature)| {
            (*validator_index, *public_key, signature)
        }))
    }
}
