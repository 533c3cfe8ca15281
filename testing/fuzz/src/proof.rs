//! The proof of a block, as the raw scheme reads it.

use std::sync::LazyLock;

use lamella_xmss::{
    PRODUCTION, Parameters, PublicKey, PublicKeyBytes, Signature, TEST, generate_development,
    scheme::{Component, ProofScheme, Raw},
};

/// What is signed, and when.
const MESSAGE: [u8; 32] = [9; 32];
const SLOT: u64 = 3;

/// Keys of two signers and their proof.
static SIGNED: LazyLock<Option<(Vec<PublicKeyBytes>, Vec<u8>)>> = LazyLock::new(|| {
    let (mut keys, mut proof) = (Vec::new(), Vec::new());
    for seed in [1, 2] {
        let (key, signature) = signature(&TEST, seed)?;
        keys.push(key);
        proof.extend(signature);
    }
    Some((keys, proof))
});

/// A development key and what it signs.
fn signature(parameters: &'static Parameters, seed: u8) -> Option<(PublicKeyBytes, Vec<u8>)> {
    let pair = generate_development(parameters, &[seed; 32], 8, &|_| {}).ok()?;
    let signature = pair.secret_key.sign(SLOT, &MESSAGE).ok()?;
    Some((pair.public_key.encode(), signature.encode()))
}

/// Nobody but the signers makes a proof: not from pieces of theirs, and not by writing theirs in another way.
pub fn proof(bytes: &[u8]) {
    for parameters in [&TEST, &PRODUCTION] {
        if let Ok(signature) = Signature::decode(parameters, bytes) {
            assert_eq!(signature.encode(), bytes, "one encoding for each signature");
        }
    }
    if let Ok(key) = PublicKey::decode(bytes) {
        assert_eq!(key.encode(), bytes, "one encoding for each key");
    }
    let Some((keys, signed)) = &*SIGNED else { return };
    let component = Component { public_keys: keys.iter().collect(), message: MESSAGE, slot: SLOT };
    let is_proof =
        Raw { parameters: &TEST, verified: None }.verify_block(&[component], bytes).is_ok();
    assert_eq!(is_proof, bytes == signed, "the signers' proof and no other");
}

pub fn proof_seeds() -> Vec<Vec<u8>> {
    let Some((keys, signed)) = &*SIGNED else { return Vec::new() };
    let one = signed[..signed.len() / 2].to_vec();
    let production = signature(&PRODUCTION, 1).map(|(_, signature)| signature);
    [signed.clone(), one, keys[0].to_vec()].into_iter().chain(production).collect()
}
