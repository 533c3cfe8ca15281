//! Decoders on hostile bytes: any answer but a panic, and never two encodings of one value.

use lamella_xmss::{
    DecodeError, HashSubTree, HashTreeLayer, HashTreeOpening, Parameters, PublicKey, SecretKey,
    Signature, TEST, generate,
};

/// Decodes and encodes again, so that a second encoding of a value shows as a difference.
type RoundTrip = fn(&'static Parameters, &[u8]) -> Result<Vec<u8>, DecodeError>;

#[test]
fn damaged_encodings_never_panic_and_never_decode_to_other_bytes() {
    let key = generate(&TEST, &[1; 32], 0, 32, &|_| ()).unwrap();
    let signature = key.secret_key.sign(3, &[0; 32]).unwrap();
    let tree_at = u32::from_le_bytes(key.secret_key.encode()[80..84].try_into().unwrap()) as usize;
    let tree = key.secret_key.encode()[88..tree_at].to_vec();
    let layer = HashTreeLayer { start_index: 4, nodes: signature.hashes.clone() };
    let samples: [(Vec<u8>, RoundTrip); 6] =
        [
            (key.public_key.encode().to_vec(), |_, bytes| {
                Ok(PublicKey::decode(bytes)?.encode().to_vec())
            }),
            (signature.encode(), |parameters, bytes| {
                Ok(Signature::decode(parameters, bytes)?.encode())
            }),
            (signature.path.encode(), |parameters, bytes| {
                Ok(HashTreeOpening::decode(parameters, bytes)?.encode())
            }),
            (layer.encode(), |parameters, bytes| {
                Ok(HashTreeLayer::decode(parameters, bytes)?.encode())
            }),
            (tree, |parameters, bytes| Ok(HashSubTree::decode(parameters, bytes)?.encode())),
            (key.secret_key.encode(), |parameters, bytes| {
                Ok(SecretKey::decode(parameters, bytes)?.encode())
            }),
        ];
    for (bytes, round_trip) in &samples {
        assert_eq!(round_trip(&TEST, bytes).as_ref(), Ok(bytes));
        for damaged in damage(bytes) {
            if let Ok(encoded) = round_trip(&TEST, &damaged) {
                assert_eq!(encoded, damaged);
            }
        }
    }
}

#[test]
fn a_damaged_secret_key_signs_or_refuses_but_does_not_panic() {
    let bytes = generate(&TEST, &[1; 32], 0, 32, &|_| ()).unwrap().secret_key.encode();
    // The head and the trees' structure; digests in between only change the signature.
    for damaged in damage(&bytes).step_by(7) {
        let Ok(key) = SecretKey::decode(&TEST, &damaged) else { continue };
        for slot in [key.active_slots().start, 17, key.prepared_slots().end - 1] {
            let _ = key.sign(slot, &[2; 32]);
        }
        let _ = key.public_key();
        let _ = key.advance_preparation(&|_| ());
    }
}

#[test]
fn refusals_name_what_is_wrong() {
    let key = generate(&TEST, &[1; 32], 0, 32, &|_| ()).unwrap();
    let bytes = key.secret_key.sign(3, &[0; 32]).unwrap().encode();
    let refusal = |at: usize, word: u32| {
        let mut changed = bytes.clone();
        changed[at..at + 4].copy_from_slice(&word.to_le_bytes());
        Signature::decode(&TEST, &changed).unwrap_err()
    };
    assert_eq!(refusal(0, 40), DecodeError::Offset { what: "path", expected: 36, actual: 40 });
    assert_eq!(refusal(32, 0), DecodeError::Offset { what: "hashes", expected: 296, actual: 0 });
    assert_eq!(refusal(36, 8), DecodeError::Offset { what: "siblings", expected: 4, actual: 8 });
    assert_eq!(refusal(4, 2_130_706_433), DecodeError::NonCanonical { value: 2_130_706_433 });
    assert_eq!(
        Signature::decode(&TEST, &bytes[..423]),
        Err(DecodeError::Length { what: "signature", expected: 424, actual: 423 })
    );
    let too_long = HashTreeOpening { siblings: vec![key.public_key.root; 33] }.encode();
    assert_eq!(
        HashTreeOpening::decode(&TEST, &too_long),
        Err(DecodeError::ListLimit { what: "siblings", count: 33, limit: 32 })
    );
}

/// Every truncation, every flipped bit, and every aligned word replaced by values that tend to
/// break offset arithmetic.
fn damage(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let truncated = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let flipped = (0..8 * bytes.len()).map(|bit| {
        let mut changed = bytes.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        changed
    });
    let words = (0..bytes.len() / 4).flat_map(|word| {
        let length = u32::try_from(bytes.len()).unwrap();
        [0, 1, 4, length - 1, length, length + 1, u32::MAX].map(|value| {
            let mut changed = bytes.to_vec();
            changed[4 * word..4 * word + 4].copy_from_slice(&value.to_le_bytes());
            changed
        })
    });
    truncated.chain(flipped).chain(words)
}
