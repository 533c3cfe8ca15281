//! Signing and verifying with whole keys of the test parameters, and the sliding window.

use lamella_xmss::{
    Claim, KeyGenerationError, SecretKey, SignError, TEST, VerifyError, generate, verify,
    verify_each,
};

use crate::test_key;

const MESSAGE: [u8; 32] = [7; 32];

#[test]
fn a_signature_verifies_for_its_slot_message_and_key_only() {
    let key = test_key(1);
    let public_key = key.public_key.encode();
    for slot in [0, 1, 15, 16, 31] {
        let signature = key.secret_key.sign(slot, &MESSAGE).unwrap().encode();
        assert_eq!(verify(&TEST, &public_key, slot, &MESSAGE, &signature), Ok(()));
        for other_slot in (0..40).filter(|other| *other != slot) {
            assert!(verify(&TEST, &public_key, other_slot, &MESSAGE, &signature).is_err());
        }
        let other_key = test_key(2).public_key.encode();
        assert!(verify(&TEST, &other_key, slot, &MESSAGE, &signature).is_err());
    }
}

#[test]
fn every_changed_bit_of_signature_message_and_key_is_refused() {
    let key = test_key(1);
    let public_key = key.public_key.encode();
    let signature = key.secret_key.sign(5, &MESSAGE).unwrap().encode();
    for bit in 0..8 * signature.len() {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&TEST, &public_key, 5, &MESSAGE, &changed).is_err(), "signature bit {bit}");
    }
    for bit in 0..8 * MESSAGE.len() {
        let mut changed = MESSAGE;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&TEST, &public_key, 5, &changed, &signature).is_err(), "message bit {bit}");
    }
    for bit in 0..8 * public_key.len() {
        let mut changed = public_key;
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(verify(&TEST, &changed, 5, &MESSAGE, &signature).is_err(), "key bit {bit}");
    }
}

/// More signatures than any build has lanes, of different keys, slots and messages, every kind of bad one among them.
#[test]
fn signatures_are_verified_together_as_they_are_one_by_one() {
    let keys = [test_key(1), test_key(2)];
    let public_keys = keys.each_ref().map(|key| key.public_key.encode());
    let mut signed: Vec<(usize, u64, [u8; 32], Vec<u8>)> = (0..37)
        .map(|number: u8| {
            let (who, slot) = (usize::from(number % 2), u64::from(number % 32));
            let message = [number; 32];
            let signature = keys[who].secret_key.sign(slot, &message).unwrap().encode();
            (who, slot, message, signature)
        })
        .collect();
    signed[3].1 = 256;
    signed[7].2 = [0; 32];
    signed[11].3[60] ^= 1;
    signed[12].3.pop();
    signed[20].0 ^= 1;
    signed[36].3[100] ^= 1;
    for (count, bad) in [(1, 1), (2, 1), (5, 1), (16, 1), (17, 2), (37, 6)] {
        let claims: Vec<Claim<'_>> = signed[37 - count..]
            .iter()
            .map(|(who, slot, message, signature)| Claim {
                public_key: &public_keys[*who],
                slot: *slot,
                message,
                signature,
            })
            .collect();
        let alone: Vec<_> = claims
            .iter()
            .map(|claim| {
                verify(&TEST, claim.public_key, claim.slot, claim.message, claim.signature)
            })
            .collect();
        assert_eq!(verify_each(&TEST, &claims), alone);
        assert_eq!(alone.iter().filter(|verdict| verdict.is_err()).count(), bad, "of {count}");
    }
    assert_eq!(verify_each(&TEST, &[]), []);
}

#[test]
fn slots_past_the_lifetime_are_refused_not_wrapped() {
    let key = test_key(1);
    let signature = key.secret_key.sign(5, &MESSAGE).unwrap().encode();
    for slot in [256, 256 + 5, (1 << 32) + 5, u64::MAX] {
        let refused = verify(&TEST, &key.public_key.encode(), slot, &MESSAGE, &signature);
        assert_eq!(refused, Err(VerifyError::SlotOutsideLifetime { slot, lifetime: 256 }));
        let not_signed = key.secret_key.sign(slot, &MESSAGE);
        assert_eq!(not_signed, Err(SignError::NotActive { slot, first: 0, end: 256 }));
    }
}

#[test]
fn the_window_slides_over_every_active_slot() {
    // Given a key whose trees begin at an odd index, so that both ends of the top tree are padded
    let key = generate(&TEST, &[3; 32], 20, 60, &|_| ()).unwrap();
    let public_key = key.public_key.encode();
    let secret_key = &key.secret_key;
    assert_eq!((secret_key.active_slots(), secret_key.prepared_slots()), (16..80, 16..48));

    // When it advances as far as it can
    let mut signed = 16;
    loop {
        while secret_key.prepared_slots().contains(&signed) {
            let signature = secret_key.sign(signed, &MESSAGE).unwrap().encode();
            assert_eq!(verify(&TEST, &public_key, signed, &MESSAGE, &signature), Ok(()));
            signed += 1;
        }
        if !secret_key.advance_preparation(&|_| ()) {
            break;
        }
    }

    // Then every slot was signed, passed ones are no longer prepared and later ones were never
    // active
    assert_eq!((signed, secret_key.prepared_slots()), (80, 48..80));
    assert_eq!(
        secret_key.sign(47, &MESSAGE),
        Err(SignError::NotPrepared { slot: 47, first: 48, end: 80 })
    );
    assert_eq!(
        secret_key.sign(80, &MESSAGE),
        Err(SignError::NotActive { slot: 80, first: 16, end: 80 })
    );
    assert_eq!(
        secret_key.sign(15, &MESSAGE),
        Err(SignError::NotActive { slot: 15, first: 16, end: 80 })
    );
}

/// Symptom: nothing but tests advanced a key's preparation, so whole keys would have stopped at slot 131,072 while the log
/// promised their last slot.
/// Fix: whoever holds the key asks, slot by slot, whether a tree is due, and builds it beside the signing.
#[test]
fn a_key_that_is_prepared_as_its_slots_pass_signs_each_of_them() {
    let key = generate(&TEST, &[5; 32], 0, 96, &|_| ()).unwrap();
    let (public_key, secret_key) = (key.public_key.encode(), &key.secret_key);
    for slot in 0..96 {
        let was_due = secret_key.needs_preparation(slot);
        // As each tree but the first and the last is begun.
        assert_eq!(was_due, matches!(slot, 16 | 32 | 48 | 64), "slot {slot}");
        let signs = |slot: u64| {
            let signature = secret_key.sign(slot, &MESSAGE).unwrap().encode();
            assert_eq!(verify(&TEST, &public_key, slot, &MESSAGE, &signature), Ok(()));
        };
        // It can sign before the tree is there, while it is built, and after.
        std::thread::scope(|scope| {
            let building = scope.spawn(|| secret_key.prepare(slot, &|_| ()));
            signs(slot);
            assert_eq!(building.join().unwrap(), was_due);
        });
        signs(slot);
        assert!(!secret_key.needs_preparation(slot));
    }
}

#[test]
fn a_key_whose_node_was_away_for_long_is_prepared_for_now_first() {
    let key = generate(&TEST, &[5; 32], 0, 256, &|_| ()).unwrap();
    let (public_key, secret_key) = (key.public_key.encode(), &key.secret_key);
    let slot = 150;
    assert!(matches!(secret_key.sign(slot, &MESSAGE), Err(SignError::NotPrepared { .. })));
    let leaves = std::sync::atomic::AtomicU64::new(0);
    let count = |_| {
        leaves.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    };
    // One tree for now, and one for what follows.
    assert!(secret_key.prepare(slot, &count));
    assert_eq!(
        (leaves.load(std::sync::atomic::Ordering::Relaxed), secret_key.prepared_slots()),
        (16, 144..160)
    );
    let signature = secret_key.sign(slot, &MESSAGE).unwrap().encode();
    assert_eq!(verify(&TEST, &public_key, slot, &MESSAGE, &signature), Ok(()));
    assert!(matches!(secret_key.sign(143, &MESSAGE), Err(SignError::NotPrepared { .. })));
    assert!(secret_key.prepare(slot, &|_| ()) && !secret_key.prepare(slot, &|_| ()));
    assert_eq!(secret_key.prepared_slots(), 144..176);
    // A key file of it is one, whatever of its trees it has.
    let again = SecretKey::decode(&TEST, &secret_key.encode()).unwrap();
    assert_eq!(again.sign(170, &MESSAGE), secret_key.sign(170, &MESSAGE));
    // At the end nothing is due, whatever the slot.
    for past in [255, 256, u64::MAX] {
        while secret_key.prepare(past, &|_| ()) {}
    }
    assert!(secret_key.sign(255, &MESSAGE).is_ok());
}

#[test]
fn a_seed_makes_one_key_and_progress_counts_its_leaves() {
    let leaves = std::sync::atomic::AtomicU64::new(0);
    let progress = |done| leaves.store(done, std::sync::atomic::Ordering::Relaxed);
    let first = generate(&TEST, &[4; 32], 0, 64, &progress).unwrap().secret_key.encode();
    assert_eq!(leaves.into_inner(), 64);
    assert_eq!(first, generate(&TEST, &[4; 32], 0, 64, &|_| ()).unwrap().secret_key.encode());
    assert_ne!(first, generate(&TEST, &[5; 32], 0, 64, &|_| ()).unwrap().secret_key.encode());
    assert_eq!(SecretKey::decode(&TEST, &first).unwrap().encode(), first);
}

#[test]
fn ranges_past_the_lifetime_make_no_key() {
    for (first, count) in [(0, 257), (256, 1), (u64::MAX, 1)] {
        let refused = generate(&TEST, &[4; 32], first, count, &|_| ()).unwrap_err();
        assert_eq!(refused, KeyGenerationError::OutsideLifetime { first, count, lifetime: 256 });
    }
}

#[test]
fn debug_output_shows_no_secret() {
    let shown = format!("{:?}", test_key(1).secret_key);
    assert_eq!(
        shown,
        r#"SecretKey { parameters: "test", active_slots: 0..256, prepared_slots: 0..32, .. }"#
    );
}
