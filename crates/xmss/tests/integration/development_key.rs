//! Development keys: few leaves, ordinary signatures.

use lamella_xmss::{
    KeyGenerationError, PRODUCTION, PublicKey, SecretKey, SignError, TEST, generate_development,
    verify,
};

#[test]
fn a_production_development_key_signs_its_slots_and_no_more() {
    let key = generate_development(&PRODUCTION, &[9; 32], 8, &|_| ()).unwrap();
    let public_key = key.public_key.encode();

    // Through the file format and back.
    let bytes = key.secret_key.encode();
    let secret_key = SecretKey::decode(&PRODUCTION, &bytes).unwrap();
    assert_eq!(secret_key.encode(), bytes);
    assert_eq!(secret_key.public_key(), key.public_key);
    assert_eq!(PublicKey::decode(&public_key), Ok(key.public_key));

    for slot in 0..8_u64 {
        let message = [slot.to_le_bytes()[0]; 32];
        let signature = secret_key.sign(slot, &message).unwrap().encode();
        assert_eq!(signature.len(), 2_536);
        assert_eq!(verify(&PRODUCTION, &public_key, slot, &message, &signature), Ok(()));
        assert!(verify(&PRODUCTION, &public_key, slot + 1, &message, &signature).is_err());
    }
    for slot in [8, 9, 65_536, 1 << 40] {
        assert_eq!(
            secret_key.sign(slot, &[0; 32]),
            Err(SignError::NotActive { slot, first: 0, end: 8 })
        );
    }
}

#[test]
fn every_number_of_slots_signs_its_last_one() {
    for count in 1..=16 {
        let key = generate_development(&TEST, &[6; 32], count, &|_| ()).unwrap();
        for slot in 0..count {
            let signature = key.secret_key.sign(slot, &[1; 32]).unwrap().encode();
            assert_eq!(verify(&TEST, &key.public_key.encode(), slot, &[1; 32], &signature), Ok(()));
        }
        assert!(!key.secret_key.advance_preparation(&|_| ()));
    }
    for count in [0, 17] {
        let refused = generate_development(&TEST, &[6; 32], count, &|_| ()).unwrap_err();
        assert_eq!(refused, KeyGenerationError::DevelopmentSlots { count, maximum: 16 });
    }
}

/// Golden: a network's genesis holds public keys made from seeds, and its operators make the secret
/// halves again. If this test fails, every existing development network loses its keys; change the
/// seed domain in `prf.rs` deliberately or not at all.
#[test]
fn a_seed_keeps_making_the_same_key() {
    let key = generate_development(&PRODUCTION, &[0; 32], 3, &|_| ()).unwrap();
    assert_eq!(hex::encode(key.public_key.encode()), GOLDEN_PUBLIC_KEY);
}

const GOLDEN_PUBLIC_KEY: &str = "243fe2277900761552f54a1e7b51163aa82ef232caed10212feafc1615a4bb5a6f736179a003ca3e8b99b408f2358c72646f0f27";
