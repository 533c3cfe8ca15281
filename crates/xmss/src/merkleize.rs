//! `hash_tree_root` of this crate's containers: SHA-256 over 32-byte chunks.
//!
//! A digest list is merkleized to its limit, 2^17 in production and 2^5 in test, so roots belong to
//! one instantiation.

use sha2::{Digest as _, Sha256};

use crate::field::{Digest, Fp, encode_fp};

pub(crate) type Root = [u8; 32];

/// Up to eight elements packed in one chunk: a digest, ρ or a parameter.
pub(crate) fn chunk(elements: &[Fp]) -> Root {
    let mut chunk = [0; 32];
    for (bytes, element) in chunk.as_chunks_mut::<4>().0.iter_mut().zip(elements) {
        *bytes = encode_fp(*element);
    }
    chunk
}

/// A little-endian `uint64` in a chunk.
pub(crate) fn uint64_chunk(value: u64) -> Root {
    let mut chunk = [0; 32];
    chunk[..8].copy_from_slice(&value.to_le_bytes());
    chunk
}

/// Root of a container of these field roots.
pub(crate) fn container(fields: &[Root]) -> Root {
    merkleize(fields.to_vec(), fields.len())
}

/// Root of a digest list with a limit: the tree over its chunks, mixed with its length.
pub(crate) fn digest_list(digests: &[Digest], limit: usize) -> Root {
    let chunks = digests.iter().map(|digest| chunk(digest)).collect();
    pair(&merkleize(chunks, limit), &uint64_chunk(digests.len() as u64))
}

/// Root of the tree of `limit` chunks, absent ones zero. Costs about one hash per present chunk and
/// one per level.
fn merkleize(mut layer: Vec<Root>, limit: usize) -> Root {
    let mut zero = [0; 32];
    for _ in 0..limit.next_power_of_two().trailing_zeros() {
        layer =
            layer.chunks(2).map(|nodes| pair(&nodes[0], nodes.get(1).unwrap_or(&zero))).collect();
        zero = pair(&zero, &zero);
    }
    layer.first().copied().unwrap_or(zero)
}

fn pair(left: &Root, right: &Root) -> Root {
    Sha256::new().chain_update(left).chain_update(right).finalize().into()
}
