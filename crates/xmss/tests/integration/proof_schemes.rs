//! The raw and trust proof schemes.

use lamella_xmss::scheme::{
    Child, Component, PROOF_BYTES_MAX, ProofError, ProofScheme, Raw, RawSignature, Trust,
};
use lamella_xmss::{KeyPair, PRODUCTION, PublicKeyBytes, TEST, VerifyError};

use crate::test_key;

const RAW: Raw = Raw { parameters: &TEST, verified: None };
const SLOT: u64 = 3;
const MESSAGE: [u8; 32] = [5; 32];
const SIGNATURE_BYTES: usize = 424;

/// Validators 0.. with one key each.
struct Network {
    keys: Vec<KeyPair>,
    public_keys: Vec<PublicKeyBytes>,
}

impl Network {
    fn new(validators: u8) -> Self {
        let keys: Vec<KeyPair> = (0..validators).map(test_key).collect();
        let public_keys = keys.iter().map(|key| key.public_key.encode()).collect();
        Self { keys, public_keys }
    }

    fn sign(&self, validator: usize, message: &[u8; 32], slot: u64) -> Vec<u8> {
        self.keys[validator].secret_key.sign(slot, message).unwrap().encode()
    }

    fn component(&self, validators: &[usize], message: [u8; 32], slot: u64) -> Component<'_> {
        Component {
            public_keys: validators.iter().map(|index| &self.public_keys[*index]).collect(),
            message,
            slot,
        }
    }

    fn proof(&self, validators: &[usize], message: &[u8; 32], slot: u64) -> Vec<u8> {
        validators.iter().flat_map(|index| self.sign(*index, message, slot)).collect()
    }
}

#[test]
fn raw_signatures_aggregate_in_order_of_validators() {
    let network = Network::new(6);
    let signatures: Vec<Vec<u8>> =
        (0..6).map(|index| network.sign(index, &MESSAGE, SLOT)).collect();
    let raw: Vec<RawSignature<'_>> = [4, 1, 5, 0, 2, 3]
        .map(|index| RawSignature {
            validator_index: index as u64,
            public_key: &network.public_keys[index],
            signature: &signatures[index],
        })
        .to_vec();
    let (participants, proof) = RAW.aggregate(&[], &raw, &MESSAGE, SLOT).unwrap();
    assert_eq!(participants, [0, 1, 2, 3, 4, 5]);
    assert_eq!(proof, signatures.concat());
    assert_eq!(
        RAW.verify_single(&network.component(&[0, 1, 2, 3, 4, 5], MESSAGE, SLOT), &proof),
        Ok(())
    );
}

#[test]
fn the_first_child_holding_a_validator_wins() {
    // Given two children that both hold validator 1, the second with a signature that does not
    // verify, and a raw signature of a child's validator, also one that does not verify
    let network = Network::new(3);
    let (first, mut second) =
        (network.proof(&[0, 1], &MESSAGE, SLOT), network.proof(&[1, 2], &MESSAGE, SLOT));
    second[100] ^= 1;
    let keys: Vec<&PublicKeyBytes> = network.public_keys.iter().collect();
    let (first, second) = (
        Child { participants: &[0, 1], public_keys: &keys[..2], proof: &first },
        Child { participants: &[1, 2], public_keys: &keys[1..], proof: &second },
    );
    let bad = vec![0; SIGNATURE_BYTES];
    let raw = [RawSignature { validator_index: 0, public_key: keys[0], signature: &bad }];

    // Then the order of children decides
    let (participants, proof) = RAW.aggregate(&[first, second], &raw, &MESSAGE, SLOT).unwrap();
    assert_eq!((participants, proof), (vec![0, 1, 2], network.proof(&[0, 1, 2], &MESSAGE, SLOT)));
    let refused = RAW.aggregate(&[second, first], &raw, &MESSAGE, SLOT).unwrap_err();
    assert!(matches!(refused, ProofError::Signature { position: 1, .. }), "{refused}");
}

#[test]
fn malformed_children_are_refused() {
    let network = Network::new(3);
    let keys: Vec<&PublicKeyBytes> = network.public_keys.iter().collect();
    let proof = network.proof(&[0, 1], &MESSAGE, SLOT);
    let aggregate = |participants: &[u64], public_keys: &[&PublicKeyBytes], proof: &[u8]| {
        RAW.aggregate(&[Child { participants, public_keys, proof }], &[], &MESSAGE, SLOT)
            .unwrap_err()
    };
    assert_eq!(
        aggregate(&[1, 0], &keys[..2], &proof),
        ProofError::NotAscending { validator_index: 0 }
    );
    assert_eq!(
        aggregate(&[1, 1], &keys[..2], &proof),
        ProofError::NotAscending { validator_index: 1 }
    );
    assert_eq!(
        aggregate(&[0, 1], &keys, &proof),
        ProofError::KeyCount { participants: 2, public_keys: 3 }
    );
    assert_eq!(
        aggregate(&[0, 1], &keys[..2], &proof[1..]),
        ProofError::Length { expected: 2, expected_bytes: 848, bytes: 847 }
    );
    assert_eq!(aggregate(&[], &[], &[]), ProofError::NoParticipants);
    assert_eq!(RAW.aggregate(&[], &[], &MESSAGE, SLOT), Err(ProofError::NoParticipants));
}

#[test]
fn a_block_proof_holds_every_component_in_order() {
    // Given two attestations and a proposer signature, each over its own message and slot
    let network = Network::new(4);
    let parts: [(&[usize], [u8; 32], u64); 3] =
        [(&[0, 1, 2], [1; 32], 3), (&[0, 3], [2; 32], 4), (&[3], [3; 32], 6)];
    let proofs = parts.map(|(validators, message, slot)| network.proof(validators, &message, slot));
    let components =
        parts.map(|(validators, message, slot)| network.component(validators, message, slot));
    let proof = RAW.merge(&[&proofs[0], &proofs[1], &proofs[2]]).unwrap();

    // Then it verifies as a whole and every other arrangement is refused, naming the first bad
    // signature
    assert_eq!(RAW.verify_block(&components, &proof), Ok(()));
    let swapped = RAW.merge(&[&proofs[1], &proofs[0], &proofs[2]]).unwrap();
    assert!(matches!(
        RAW.verify_block(&components, &swapped),
        Err(ProofError::Signature { position: 0, .. })
    ));
    for position in 0..6 {
        let mut changed = proof.clone();
        changed[position * SIGNATURE_BYTES + 60] ^= 1;
        let refused = RAW.verify_block(&components, &changed);
        assert_eq!(
            refused,
            Err(ProofError::Signature { position, reason: VerifyError::RootMismatch })
        );
    }
    let short = &proof[..proof.len() - SIGNATURE_BYTES];
    let refusal = ProofError::Length {
        expected: 6,
        expected_bytes: 6 * SIGNATURE_BYTES,
        bytes: 5 * SIGNATURE_BYTES,
    };
    assert_eq!(RAW.verify_block(&components, short), Err(refusal));
    assert_eq!(
        RAW.verify_block(&[network.component(&[], MESSAGE, SLOT)], &[]),
        Err(ProofError::NoParticipants)
    );
    assert_eq!(RAW.verify_block(&[], &[]), Ok(()));
    assert_eq!(
        RAW.merge(&[&proofs[0], &proofs[1][1..]]),
        Err(ProofError::PartialSignature { bytes: 847, signature_bytes: SIGNATURE_BYTES })
    );
}

#[test]
fn proofs_over_the_limit_are_neither_made_nor_read() {
    let fitting = PROOF_BYTES_MAX / SIGNATURE_BYTES;
    assert_eq!(
        RAW.merge(&[&vec![0; fitting * SIGNATURE_BYTES]]).map(|proof| proof.len()),
        Ok(fitting * SIGNATURE_BYTES)
    );

    let bytes = (fitting + 1) * SIGNATURE_BYTES;
    let over = Err(ProofError::TooLarge { bytes });
    assert_eq!(
        RAW.merge(&[&vec![0; SIGNATURE_BYTES], &vec![0; fitting * SIGNATURE_BYTES]]).map(|_| ()),
        over
    );

    let key = [0; 52];
    let public_keys = vec![&key; fitting + 1];
    let participants: Vec<u64> = (0..=fitting as u64).collect();
    let proof = vec![0; bytes];
    let child = Child { participants: &participants, public_keys: &public_keys, proof: &proof };
    assert_eq!(RAW.select(&[child], &participants).map(|_| ()), over);
    let component = Component { public_keys, message: MESSAGE, slot: SLOT };
    assert_eq!(RAW.verify_single(&component, &proof), over);

    assert_eq!(Trust.verify_single(&component, &vec![0; PROOF_BYTES_MAX]), Ok(()));
    let refusal = Err(ProofError::TooLarge { bytes: PROOF_BYTES_MAX + 1 });
    assert_eq!(Trust.verify_block(&[component], &vec![0; PROOF_BYTES_MAX + 1]), refusal);
}

#[test]
fn production_proofs_hold_206_signatures() {
    let signature_bytes = lamella_xmss::PRODUCTION.signature_bytes();
    assert_eq!(PROOF_BYTES_MAX / signature_bytes, 206);
    let production = Raw { parameters: &lamella_xmss::PRODUCTION, verified: None };
    assert_eq!(production.signers_max(), 206);
}

/// Symptom: with more than 206 voters at a slot an aggregator published nothing, and nothing was justified.
/// Mechanism: one signature too many made the whole aggregate too large, and so an error.
/// Fix: what fits is kept; signatures that no proof has yet come before those of the children.
#[test]
fn an_aggregate_of_too_many_keeps_the_signatures_that_no_child_has() {
    let network = Network::new(1);
    let signature = network.sign(0, &MESSAGE, SLOT);
    let (key, fitting) = (&network.public_keys[0], PROOF_BYTES_MAX / SIGNATURE_BYTES);
    // Given a child of as many as fit, and ten signatures beside it: all of one key, which is quicker.
    let participants: Vec<u64> = (0..fitting as u64).collect();
    let (keys, proof) = (vec![key; fitting], signature.repeat(fitting));
    let child = Child { participants: &participants, public_keys: &keys, proof: &proof };
    let raw: Vec<RawSignature<'_>> = (5_000..5_010)
        .map(|validator_index| RawSignature {
            validator_index,
            public_key: key,
            signature: &signature,
        })
        .collect();
    let (kept, proof) = RAW.aggregate(&[child], &raw, &MESSAGE, SLOT).unwrap();
    assert_eq!((kept.len(), proof.len()), (fitting, fitting * SIGNATURE_BYTES));
    assert!(kept.iter().copied().eq((0..fitting as u64 - 10).chain(5_000..5_010)));

    // And signatures alone.
    let raw: Vec<RawSignature<'_>> = (0..fitting as u64 + 3)
        .map(|validator_index| RawSignature {
            validator_index,
            public_key: key,
            signature: &signature,
        })
        .collect();
    let (kept, _) = RAW.aggregate(&[], &raw, &MESSAGE, SLOT).unwrap();
    assert_eq!(kept, participants);
}

#[test]
fn a_selection_of_children_is_a_proof_of_those_wanted() {
    let network = Network::new(5);
    let keys: Vec<&PublicKeyBytes> = network.public_keys.iter().collect();
    let proofs =
        [network.proof(&[0, 1, 2], &MESSAGE, SLOT), network.proof(&[2, 4], &MESSAGE, SLOT)];
    let second = [keys[2], keys[4]];
    let children = [
        Child { participants: &[0, 1, 2], public_keys: &keys[..3], proof: &proofs[0] },
        Child { participants: &[2, 4], public_keys: &second, proof: &proofs[1] },
    ];
    // Of those wanted, 3 is in no child.
    let (kept, proof) = RAW.select(&children, &[1, 2, 3, 4]).unwrap();
    assert_eq!(kept, [1, 2, 4]);
    assert_eq!(RAW.verify_single(&network.component(&[1, 2, 4], MESSAGE, SLOT), &proof), Ok(()));
    assert_eq!(RAW.select(&children, &[3]), Err(ProofError::NoParticipants));
}

#[test]
fn a_merged_proof_splits_into_what_was_merged() {
    let network = Network::new(4);
    let parts: [(&[usize], [u8; 32], u64); 3] =
        [(&[0, 1, 2], [1; 32], 3), (&[0, 3], [2; 32], 4), (&[3], [3; 32], 6)];
    let proofs = parts.map(|(validators, message, slot)| network.proof(validators, &message, slot));
    let merged = RAW.merge(&[&proofs[0], &proofs[1], &proofs[2]]).unwrap();
    assert_eq!(RAW.split(&[3, 2, 1], &merged).unwrap(), proofs);
    for signers in [&[3, 2][..], &[3, 2, 2], &[usize::MAX, 2]] {
        assert!(matches!(RAW.split(signers, &merged), Err(ProofError::Length { .. })));
    }
}

#[test]
fn trust_makes_no_proofs_and_no_duties() {
    let refused = ProofError::CannotProve { scheme: "trust" };
    assert_eq!(Trust.aggregate(&[], &[], &MESSAGE, SLOT), Err(refused));
    assert_eq!(Trust.merge(&[&[0; 4]]), Err(refused));
    assert_eq!(Trust.select(&[], &[0]), Err(refused));
    assert_eq!(Trust.split(&[1], &[0; 4]), Err(refused));
    let production = Raw { parameters: &PRODUCTION, verified: None };
    let schemes: [&dyn ProofScheme; 3] = [&production, &RAW, &Trust];
    assert_eq!(
        schemes.map(|scheme| (scheme.name(), scheme.can_sign_duties())),
        [("raw", true), ("raw-test", true), ("trust", false)]
    );
}
