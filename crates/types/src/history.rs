//! `historical_block_hashes`, shared between states.
//!
//! A state's history is its parent's plus one root and a zero for each skipped slot, up to 8.4 MB. So complete
//! runs of 1,024 roots are immutable segments behind `Arc`, the rest is a short tail, and a Merkle frontier
//! (the left siblings on the path to the next leaf) gives the list's root in 18 hashes whatever the length.

use std::{fmt, sync::Arc};

use crate::{
    decode::{Decode, DecodeError, fixed_list_count},
    limits::{HISTORICAL_ROOTS_DEPTH, HISTORICAL_ROOTS_LIMIT, SEGMENT_DEPTH, SEGMENT_ROOTS},
    merkle::{hash_pair, merkleize, mix_in_length, zero_hash},
    root::{ROOT_BYTES, Root},
    slot::Slot,
};

/// Bytes of one segment: 1,024 roots.
pub const SEGMENT_BYTES: usize = SEGMENT_ROOTS * ROOT_BYTES;

/// 1,024 consecutive block roots of one branch and the root of their subtree.
pub struct Segment {
    root: Root,
    bytes: Box<[u8]>,
}

impl Segment {
    /// The segment of these bytes; `None` unless there are exactly 32 KiB.
    ///
    /// # Cost
    /// 1,023 hashes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() == SEGMENT_BYTES)
            .then(|| Self { root: merkleize(&bytes, SEGMENT_DEPTH), bytes: bytes.into() })
    }

    /// Root of the segment's subtree of depth 10.
    #[must_use]
    pub const fn root(&self) -> Root {
        self.root
    }

    /// The roots, 32 bytes each.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// The list is full: the chain has reached the slot limit of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "historical_block_hashes is limited to {HISTORICAL_ROOTS_LIMIT} slots and would hold {wanted}"
)]
pub struct HistoryFull {
    /// Entries that the list would have had.
    pub wanted: u64,
}

/// `List[Bytes32, 2^18]` of block roots by slot. Cloning copies the tail (under 32 KiB) and a pointer.
#[derive(Clone)]
pub struct BlockHashes {
    segments: Arc<Vec<Arc<Segment>>>,
    /// Roots after the last complete segment.
    tail: Vec<u8>,
    /// `frontier[level]` is the left sibling at `level` on the path of the next leaf, where its bit is set.
    frontier: [Root; HISTORICAL_ROOTS_DEPTH + 1],
}

impl BlockHashes {
    /// A history of complete segments followed by `tail` (roots, 32 bytes each).
    ///
    /// # Errors
    /// A tail that is not whole roots or has a segment's length or more; a history beyond the limit.
    pub fn from_parts(segments: Vec<Arc<Segment>>, tail: &[u8]) -> Result<Self, DecodeError> {
        let what = "HistoricalBlockHashes";
        fixed_list_count(what, tail, ROOT_BYTES, SEGMENT_ROOTS - 1)?;
        let total = segments.len() * SEGMENT_ROOTS + tail.len() / ROOT_BYTES;
        if total > HISTORICAL_ROOTS_LIMIT {
            return Err(DecodeError::Limit { what, got: total, limit: HISTORICAL_ROOTS_LIMIT });
        }
        let mut history = Self::default();
        for (index, segment) in segments.iter().enumerate() {
            history.carry(segment.root, index << SEGMENT_DEPTH, SEGMENT_DEPTH);
        }
        history.segments = Arc::new(segments);
        for root in tail.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice) {
            history.append(root);
        }
        Ok(history)
    }

    /// Entries in the list; equal to the slot of the state's latest block.
    #[must_use]
    pub fn len(&self) -> usize {
        self.segments.len() * SEGMENT_ROOTS + self.tail.len() / ROOT_BYTES
    }

    /// Whether the list is empty, as at genesis.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The block root at `slot`, zero for a skipped slot, `None` past the end.
    #[must_use]
    pub fn get(&self, slot: Slot) -> Option<Root> {
        let slot = usize::try_from(slot).ok()?;
        let (segment, offset) = (slot / SEGMENT_ROOTS, slot % SEGMENT_ROOTS * ROOT_BYTES);
        let bytes = match self.segments.get(segment) {
            Some(segment) => &segment.bytes[..],
            None if segment == self.segments.len() => &self.tail[..],
            None => return None,
        };
        bytes.get(offset..offset + ROOT_BYTES).and_then(Root::from_slice)
    }

    /// Appends one root.
    ///
    /// # Errors
    /// [`HistoryFull`] at 2^18 entries; the list is unchanged.
    pub fn push(&mut self, root: Root) -> Result<(), HistoryFull> {
        self.check_room(1)?;
        self.append(root);
        Ok(())
    }

    /// Appends the parent's root and a zero for each slot skipped since: leanSpec `process_block_header`.
    ///
    /// # Errors
    /// [`HistoryFull`] before anything is appended.
    pub fn push_parent(
        &mut self,
        parent_root: Root,
        skipped_slots: u64,
    ) -> Result<(), HistoryFull> {
        self.check_room(skipped_slots.saturating_add(1))?;
        self.append(parent_root);
        for _ in 0..skipped_slots {
            self.append(Root::ZERO);
        }
        Ok(())
    }

    /// Complete segments, oldest first.
    #[must_use]
    pub fn segments(&self) -> &[Arc<Segment>] {
        &self.segments
    }

    /// Bytes of the roots after the last complete segment.
    #[must_use]
    pub fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// Whether this list begins with all of `base`.
    ///
    /// # Cost
    /// Pointer comparisons for shared segments, one comparison of `base`'s tail.
    #[must_use]
    pub fn starts_with(&self, base: &Self) -> bool {
        let complete = base.segments.len();
        if self.len() < base.len() {
            return false;
        }
        let same_segments = Arc::ptr_eq(&self.segments, &base.segments)
            || self
                .segments
                .iter()
                .zip(base.segments.iter())
                .all(|(ours, theirs)| Arc::ptr_eq(ours, theirs) || ours.root == theirs.root);
        let next = self.segments.get(complete).map_or(&self.tail[..], |segment| &segment.bytes);
        same_segments && next.get(..base.tail.len()) == Some(&base.tail[..])
    }

    /// `hash_tree_root` of the list.
    ///
    /// # Cost
    /// 19 hashes.
    #[must_use]
    pub fn root(&self) -> Root {
        let length = self.len();
        let mut node = Root::ZERO;
        for level in 0..HISTORICAL_ROOTS_DEPTH {
            node = if length >> level & 1 == 1 {
                hash_pair(&self.frontier[level], &node)
            } else {
                hash_pair(&node, &zero_hash(level))
            };
        }
        if length == HISTORICAL_ROOTS_LIMIT {
            node = self.frontier[HISTORICAL_ROOTS_DEPTH];
        }
        mix_in_length(&node, length)
    }

    /// Appends the SSZ encoding: whole segments, then the tail.
    pub fn write_ssz(&self, buffer: &mut Vec<u8>) {
        for segment in self.segments.iter() {
            buffer.extend_from_slice(&segment.bytes);
        }
        buffer.extend_from_slice(&self.tail);
    }

    fn check_room(&self, count: u64) -> Result<(), HistoryFull> {
        let wanted = count.saturating_add(self.len() as u64);
        if wanted > HISTORICAL_ROOTS_LIMIT as u64 { Err(HistoryFull { wanted }) } else { Ok(()) }
    }

    /// Appends one root; the caller has checked the limit.
    fn append(&mut self, root: Root) {
        let position = self.len();
        self.tail.extend_from_slice(root.as_bytes());
        let completed = self.carry(root, position, 0);
        if let Some(segment_root) = completed {
            let bytes = std::mem::take(&mut self.tail).into_boxed_slice();
            Arc::make_mut(&mut self.segments).push(Arc::new(Segment { root: segment_root, bytes }));
        }
    }

    /// Adds the subtree `node` of `level`, whose first leaf is `position`, to the frontier. Returns the root of
    /// the segment that this completes, if it does.
    fn carry(&mut self, mut node: Root, position: usize, mut level: usize) -> Option<Root> {
        let mut segment = None;
        while position >> level & 1 == 1 {
            node = hash_pair(&self.frontier[level], &node);
            level += 1;
            if level == SEGMENT_DEPTH {
                segment = Some(node);
            }
        }
        self.frontier[level] = node;
        segment
    }
}

impl Default for BlockHashes {
    fn default() -> Self {
        let frontier = [Root::ZERO; HISTORICAL_ROOTS_DEPTH + 1];
        Self { segments: Arc::default(), tail: Vec::new(), frontier }
    }
}

impl Decode for BlockHashes {
    /// # Cost
    /// One copy of the bytes and one hash for each root.
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "HistoricalBlockHashes";
        fixed_list_count(what, bytes, ROOT_BYTES, HISTORICAL_ROOTS_LIMIT)?;
        let chunks = bytes.chunks_exact(SEGMENT_BYTES);
        let tail = chunks.remainder();
        let segments = chunks.filter_map(|chunk| Segment::new(chunk.to_vec())).map(Arc::new);
        Self::from_parts(segments.collect(), tail)
    }
}

impl PartialEq for BlockHashes {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.starts_with(other)
    }
}

impl Eq for BlockHashes {}

impl fmt::Debug for BlockHashes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockHashes({} roots, {} segments)", self.len(), self.segments.len())
    }
}
