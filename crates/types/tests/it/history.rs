//! `historical_block_hashes` at every length where its shape changes.

use lamella_types::{BlockHashes, Decode, DecodeError, Root, hash_tree_root};
use ssz_rs::prelude::*;

fn history(length: u64) -> (BlockHashes, List<Node, 262_144>) {
    let mut hashes = BlockHashes::default();
    let mut plain = Vec::new();
    for index in 0..length {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(index + 1).to_le_bytes());
        hashes.push(Root::new(bytes)).unwrap();
        plain.push(Node::try_from(bytes.as_slice()).unwrap());
    }
    (hashes, List::try_from(plain).unwrap())
}

#[test]
fn bytes_and_root_are_exact_at_each_boundary() {
    for length in [0, 1, 1023, 1024, 1025, 2048, 262_143, 262_144] {
        let (hashes, plain) = history(length);
        assert_eq!(hashes.len() as u64, length);
        assert_eq!(hashes.root(), hash_tree_root(&plain), "root of {length} entries");
        let mut bytes = Vec::new();
        hashes.write_ssz(&mut bytes);
        assert_eq!(bytes, lamella_types::to_ssz(&plain), "bytes of {length} entries");
        let decoded = BlockHashes::from_ssz(&bytes).unwrap();
        assert_eq!(decoded, hashes);
        assert_eq!(decoded.root(), hashes.root(), "decoded root of {length} entries");
        assert_eq!(hashes.get(length), None);
        assert_eq!(hashes.segments().len() as u64, length / 1024);
    }
}

#[test]
fn one_entry_past_the_limit_is_a_typed_error() {
    let (mut full, _) = history(262_144);
    let before = full.root();
    assert_eq!(full.push(Root::ZERO).unwrap_err().wanted, 262_145);
    assert_eq!(full.push_parent(Root::ZERO, u64::MAX).unwrap_err().wanted, u64::MAX);
    assert_eq!(full.root(), before, "a refused push changes nothing");
    let mut bytes = Vec::new();
    full.write_ssz(&mut bytes);
    bytes.extend_from_slice(&[0; 32]);
    let error = BlockHashes::from_ssz(&bytes).unwrap_err();
    assert!(matches!(error, DecodeError::Limit { got: 262_145, limit: 262_144, .. }), "{error}");
}

#[test]
fn a_longer_history_starts_with_its_own_prefixes_only() {
    let (long, _) = history(2500);
    for length in [0, 1, 1023, 1024, 1025, 2047, 2048, 2500] {
        let (prefix, _) = history(length);
        assert!(long.starts_with(&prefix), "{length}");
        let mut other = prefix.clone();
        other.push(Root::ZERO).unwrap();
        assert!(!long.starts_with(&other), "{length} and a wrong root");
    }
}
