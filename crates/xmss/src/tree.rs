//! Sparse Merkle subtrees: a key's tree cut into one top tree over many bottom trees (leanSpec
//! `xmss/merkle.py`).
//!
//! A full production tree has 2^32 leaves, so a layer stores only a contiguous run of nodes and the
//! index of the first. A run is *padded* to whole sibling pairs: it begins at an even index and
//! ends at an odd one, so that its parents can be hashed. Only a bottom tree's last layer, the
//! single root, is unpadded. Nothing says that a subtree's leaves are complete: a run of N leaves
//! gives valid openings for those N, whatever stands in for the rest. Development keys are that.

use crate::constants::DIGEST_BYTES;

use crate::field::{Digest, Fp, Parameter, read_elements, write_elements};
use crate::hash::Hasher;
use crate::merkleize::{Root, container, digest_list, uint64_chunk};
use crate::params::Parameters;
use crate::ssz::{DecodeError, Reader, span, write_offset};

const LAYER_HEAD_BYTES: usize = 12;
const SUBTREE_HEAD_BYTES: usize = 20;

/// The siblings met while climbing from a leaf to the root, lowest first.
///
/// SSZ: `[offset: 4 | siblings: 32 each]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTreeOpening {
    /// One digest per level in a valid signature; any number up to the list limit as a container of
    /// its own.
    pub siblings: Vec<Digest>,
}

impl HashTreeOpening {
    /// Strict inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`] but `SecretKeyShape`.
    pub fn decode(parameters: &Parameters, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        reader.offset_at("siblings", 4)?;
        Ok(Self { siblings: read_digests("siblings", parameters, reader.rest())? })
    }

    /// The SSZ bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(4 + DIGEST_BYTES * self.siblings.len());
        write_offset(&mut out, 4);
        write_elements(&mut out, self.siblings.as_flattened());
        out
    }

    /// SSZ `hash_tree_root`; the siblings' list limit depends on the parameters.
    #[must_use]
    pub fn hash_tree_root(&self, parameters: &Parameters) -> Root {
        container(&[digest_list(&self.siblings, parameters.node_list_limit())])
    }
}

/// A run of nodes of one tree level.
///
/// SSZ: `[start_index: u64 | offset: 4 | nodes: 32 each]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashTreeLayer {
    /// Index of the first node within its level of the whole tree.
    pub start_index: u64,
    /// The nodes, left to right.
    pub nodes: Vec<Digest>,
}

impl HashTreeLayer {
    /// Strict inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`] but `SecretKeyShape`.
    pub fn decode(parameters: &Parameters, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let start_index = reader.uint64()?;
        reader.offset_at("nodes", LAYER_HEAD_BYTES)?;
        Ok(Self { start_index, nodes: read_digests("nodes", parameters, reader.rest())? })
    }

    /// The SSZ bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        self.write(&mut out);
        out
    }

    /// SSZ `hash_tree_root`; the nodes' list limit depends on the parameters.
    #[must_use]
    pub fn hash_tree_root(&self, parameters: &Parameters) -> Root {
        container(&[
            uint64_chunk(self.start_index),
            digest_list(&self.nodes, parameters.node_list_limit()),
        ])
    }

    /// The node at an index of the whole level, if this run holds it.
    fn node(&self, index: u64) -> Option<&Digest> {
        let position = index.checked_sub(self.start_index)?;
        self.nodes.get(usize::try_from(position).ok()?)
    }

    fn padded(start_index: u64, mut nodes: Vec<Digest>, padding: impl Fn(u64) -> Digest) -> Self {
        let end = start_index + nodes.len() as u64;
        if !end.is_multiple_of(2) {
            nodes.push(padding(end));
        }
        if !start_index.is_multiple_of(2) {
            nodes.insert(0, padding(start_index - 1));
        }
        Self { start_index: start_index & !1, nodes }
    }

    fn encoded_bytes(&self) -> usize {
        LAYER_HEAD_BYTES + DIGEST_BYTES * self.nodes.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.start_index.to_le_bytes());
        write_offset(out, LAYER_HEAD_BYTES);
        write_elements(out, self.nodes.as_flattened());
    }
}

/// Consecutive layers of the tree, lowest first, ending in one root.
///
/// SSZ: `[depth: u64 | lowest_layer: u64 | offset: 4 | layers]`, the layers a list of variable-size
/// items: one offset each, then the items.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashSubTree {
    /// Height of the whole tree.
    pub depth: u64,
    /// Level of the first layer: 0 in a bottom tree, half the depth in the top tree.
    pub lowest_layer: u64,
    /// The layers. None in the tree a development key has no leaves for.
    pub layers: Vec<HashTreeLayer>,
}

impl HashSubTree {
    /// Strict inverse of [`Self::encode`].
    ///
    /// # Errors
    ///
    /// Any [`DecodeError`] but `SecretKeyShape`.
    pub fn decode(parameters: &Parameters, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let depth = reader.uint64()?;
        let lowest_layer = reader.uint64()?;
        reader.offset_at("layers", SUBTREE_HEAD_BYTES)?;
        Ok(Self { depth, lowest_layer, layers: read_layers(parameters, reader.rest())? })
    }

    /// The SSZ bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_bytes());
        out.extend_from_slice(&self.depth.to_le_bytes());
        out.extend_from_slice(&self.lowest_layer.to_le_bytes());
        write_offset(&mut out, SUBTREE_HEAD_BYTES);
        let mut offset = 4 * self.layers.len();
        for layer in &self.layers {
            write_offset(&mut out, offset);
            offset += layer.encoded_bytes();
        }
        for layer in &self.layers {
            layer.write(&mut out);
        }
        out
    }

    /// The single node of the last layer. The top tree's last layer is padded to a pair; its root
    /// is the first.
    pub(crate) fn root(&self) -> Option<&Digest> {
        self.layers.last()?.nodes.first()
    }

    /// Appends the siblings of a node of the lowest layer, up to this subtree's root. `None` if the
    /// run lacks one.
    pub(crate) fn append_siblings(&self, mut index: u64, siblings: &mut Vec<Digest>) -> Option<()> {
        let (_, below_root) = self.layers.split_last()?;
        for layer in below_root {
            siblings.push(*layer.node(index ^ 1)?);
            index /= 2;
        }
        Some(())
    }

    fn encoded_bytes(&self) -> usize {
        let layers: usize = self.layers.iter().map(|layer| 4 + layer.encoded_bytes()).sum();
        SUBTREE_HEAD_BYTES + layers
    }
}

/// What building a subtree needs beside its nodes.
pub(crate) struct Builder<'a> {
    pub(crate) hasher: &'a Hasher,
    pub(crate) parameter: &'a Parameter,
    pub(crate) depth: u32,
    /// The digest standing in for the node at a level and index.
    pub(crate) padding: &'a dyn Fn(u32, u64) -> Digest,
}

impl Builder<'_> {
    /// The bottom tree over a run of leaves that begins at the tree's first slot (leanSpec
    /// `new_bottom_tree`).
    pub(crate) fn bottom_tree(&self, tree_index: u64, leaves: Vec<Digest>) -> HashSubTree {
        let first_leaf = tree_index << (self.depth / 2);
        let mut tree = self.layers(0, self.depth / 2, first_leaf, leaves);
        if let Some(layer) = tree.layers.last_mut() {
            // The pair this root was padded to is the top tree's business.
            let root = layer.node(tree_index).copied();
            *layer = HashTreeLayer { start_index: tree_index, nodes: root.into_iter().collect() };
        }
        tree
    }

    /// The top tree over a run of bottom-tree roots (leanSpec `new_top_tree`).
    pub(crate) fn top_tree(&self, first_tree_index: u64, roots: Vec<Digest>) -> HashSubTree {
        self.layers(self.depth / 2, self.depth, first_tree_index, roots)
    }

    fn layers(
        &self,
        lowest: u32,
        highest: u32,
        start_index: u64,
        nodes: Vec<Digest>,
    ) -> HashSubTree {
        let mut layers =
            vec![HashTreeLayer::padded(start_index, nodes, |index| (self.padding)(lowest, index))];
        let mut current = &layers[0];
        for level in lowest + 1..=highest {
            let start = current.start_index / 2;
            let parents = (start..)
                .zip(current.nodes.as_chunks::<2>().0)
                .map(|(index, [left, right])| {
                    self.hasher.node::<Fp>(self.parameter, level, |_| index, left, right)
                })
                .collect();
            layers
                .push(HashTreeLayer::padded(start, parents, |index| (self.padding)(level, index)));
            current = &layers[layers.len() - 1];
        }
        HashSubTree { depth: self.depth.into(), lowest_layer: lowest.into(), layers }
    }
}

/// A list of digests filling `bytes`.
pub(crate) fn read_digests(
    what: &'static str,
    parameters: &Parameters,
    bytes: &[u8],
) -> Result<Vec<Digest>, DecodeError> {
    let (items, partial) = bytes.as_chunks::<DIGEST_BYTES>();
    if !partial.is_empty() {
        return Err(DecodeError::PartialItem {
            what,
            bytes: bytes.len(),
            item_bytes: DIGEST_BYTES,
        });
    }
    let limit = parameters.node_list_limit();
    if items.len() > limit {
        return Err(DecodeError::ListLimit { what, count: items.len(), limit });
    }
    items.iter().map(|item| read_elements(&mut Reader::new(item))).collect()
}

fn read_layers(parameters: &Parameters, bytes: &[u8]) -> Result<Vec<HashTreeLayer>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let mut reader = Reader::new(bytes);
    let mut start = reader.offset()?;
    // The first item follows the offsets, so its offset says how many there are.
    let count = start / 4;
    let limit = parameters.height() + 1;
    if count == 0 || !start.is_multiple_of(4) {
        return Err(DecodeError::Offset {
            what: "first layer",
            expected: (count * 4).max(4),
            actual: start,
        });
    }
    if count > limit {
        return Err(DecodeError::ListLimit { what: "layers", count, limit });
    }
    let mut layers = Vec::with_capacity(count);
    for item in 1..=count {
        let end = if item == count { bytes.len() } else { reader.offset()? };
        layers.push(HashTreeLayer::decode(parameters, span("layer", bytes, start, end)?)?);
        start = end;
    }
    Ok(layers)
}
