//! SSZ Merkleization over whole byte runs: `ssz_rs` hashes element by element, which costs 85 ms for a
//! full history; this module hashes slices in place.

use std::sync::LazyLock;

use sha2::block_api::compress256;

use crate::root::{ROOT_BYTES, Root};

/// Deepest subtree of zero chunks that any lstar list needs (2^30 bits are 2^22 chunks).
const ZERO_HASHES_DEPTH: usize = 32;

/// `ZERO_HASHES[d]` is the root of a tree of depth `d` whose leaves are all zero.
static ZERO_HASHES: LazyLock<[Root; ZERO_HASHES_DEPTH]> = LazyLock::new(|| {
    let mut hashes = [Root::ZERO; ZERO_HASHES_DEPTH];
    for depth in 1..ZERO_HASHES_DEPTH {
        hashes[depth] = hash_pair(&hashes[depth - 1], &hashes[depth - 1]);
    }
    hashes
});

/// The root of an all-zero tree of this depth, at most 31.
#[must_use]
pub fn zero_hash(depth: usize) -> Root {
    ZERO_HASHES[depth]
}

/// SHA-256 of two concatenated roots: one Merkle node.
#[must_use]
pub fn hash_pair(left: &Root, right: &Root) -> Root {
    let mut block = [0; 64];
    block[..ROOT_BYTES].copy_from_slice(left.as_bytes());
    block[ROOT_BYTES..].copy_from_slice(right.as_bytes());
    hash_block(&block)
}

/// SHA-256 of exactly 64 bytes, with the padding block known beforehand.
fn hash_block(block: &[u8; 64]) -> Root {
    const INITIAL: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    /// One bit, zeros, and the message length of 512 bits.
    const PADDING: [u8; 64] = {
        let mut padding = [0; 64];
        padding[0] = 0x80;
        padding[62] = 0x02;
        padding
    };
    let mut state = INITIAL;
    compress256(&mut state, &[*block, PADDING]);
    let mut bytes = [0; ROOT_BYTES];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip(state) {
        chunk.copy_from_slice(&word.to_be_bytes());
    }
    Root::new(bytes)
}

/// The root of `bytes`, cut into 32-byte chunks (the last one zero-padded), as the leaves of a tree of
/// `depth` levels whose missing leaves are zero.
///
/// # Cost
/// One hash for each chunk, plus one for each level; one buffer of half the input.
#[must_use]
pub fn merkleize(bytes: &[u8], depth: usize) -> Root {
    debug_assert!(bytes.len().div_ceil(ROOT_BYTES) <= 1 << depth, "more chunks than leaves");
    if bytes.is_empty() {
        return zero_hash(depth);
    }
    if bytes.len() <= ROOT_BYTES {
        return lift(padded(bytes), 0, depth);
    }
    let mut layer = Vec::with_capacity(bytes.len().div_ceil(64) * ROOT_BYTES);
    for pair in bytes.chunks(64) {
        layer.extend_from_slice(hash_chunk_pair(pair, 0).as_bytes());
    }
    let mut level = 1;
    while layer.len() > ROOT_BYTES {
        let pairs = layer.len().div_ceil(64);
        for index in 0..pairs {
            let end = layer.len().min(64 * (index + 1));
            let node = hash_chunk_pair(&layer[64 * index..end], level);
            layer[ROOT_BYTES * index..ROOT_BYTES * (index + 1)].copy_from_slice(node.as_bytes());
        }
        layer.truncate(ROOT_BYTES * pairs);
        level += 1;
    }
    lift(padded(&layer), level, depth)
}

/// The root of a list of `length` elements: its data root mixed with its length.
#[must_use]
pub fn mix_in_length(data_root: &Root, length: usize) -> Root {
    let mut bytes = [0; ROOT_BYTES];
    bytes[..8].copy_from_slice(&(length as u64).to_le_bytes());
    hash_pair(data_root, &Root::new(bytes))
}

/// The root of a container or list given its chunk roots.
#[must_use]
pub fn merkleize_roots(roots: &[Root], depth: usize) -> Root {
    let mut bytes = Vec::with_capacity(roots.len() * ROOT_BYTES);
    for root in roots {
        bytes.extend_from_slice(root.as_bytes());
    }
    merkleize(&bytes, depth)
}

/// A node above up to two chunks; a missing right chunk is the zero subtree of this level.
fn hash_chunk_pair(pair: &[u8], level: usize) -> Root {
    if let Ok(block) = pair.try_into() {
        return hash_block(block);
    }
    let (left, right) = pair.split_at(pair.len().min(ROOT_BYTES));
    let right = if right.is_empty() { zero_hash(level) } else { padded(right) };
    hash_pair(&padded(left), &right)
}

fn padded(chunk: &[u8]) -> Root {
    let mut bytes = [0; ROOT_BYTES];
    bytes[..chunk.len()].copy_from_slice(chunk);
    Root::new(bytes)
}

/// Raises a subtree root from `level` to `depth`, with zero subtrees on its right.
fn lift(mut node: Root, level: usize, depth: usize) -> Root {
    for level in level..depth {
        node = hash_pair(&node, &zero_hash(level));
    }
    node
}
