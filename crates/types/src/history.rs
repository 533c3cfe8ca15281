//! `historical_block_hashes`, shared between states.
//!
//! A state's history is its parent's plus one root and a zero for each skipped slot, up to 8.4 MB. So complete
//! runs of 1,024 roots are immutable segments behind `Arc`, the rest is a short tail, and a Merkle frontier
//! (`history_root`) gives the list's root in 18 hashes whatever the length.

use std::{fmt, sync::Arc};

use crate::{
    decode::{Decode, DecodeError, fixed_list_count},
    history_root::{HistoryFull, HistoryRoot},
    limits::{HISTORICAL_ROOTS_LIMIT, SEGMENT_DEPTH, SEGMENT_ROOTS},
    merkle::merkleize,
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

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Segment({})", self.root)
    }
}

/// `List[Bytes32, 2^18]` of block roots by slot. Cloning copies the tail (under 32 KiB) and a pointer.
#[derive(Clone, Default)]
pub struct BlockHashes {
    segments: Arc<Vec<Arc<Segment>>>,
    /// Roots after the last complete segment.
    tail: Vec<u8>,
    /// Their root, as entries are appended.
    frontier: HistoryRoot,
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
        let over = DecodeError::Limit { what, got: total, limit: HISTORICAL_ROOTS_LIMIT };
        if total > HISTORICAL_ROOTS_LIMIT {
            return Err(over);
        }
        let roots = segments.iter().map(|segment| segment.root);
        let frontier = HistoryRoot::of_segments(roots).map_err(|_| over)?;
        let mut history = Self { frontier, ..Self::default() };
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
        self.frontier.check_room(1)?;
        self.append(root);
        Ok(())
    }

    /// Gives back the memory that was taken for entries to come, for a history that is kept.
    pub fn shrink(&mut self) {
        self.tail.shrink_to_fit();
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
        self.frontier.check_room(skipped_slots.saturating_add(1))?;
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
        self.frontier.root()
    }

    /// Appends the SSZ encoding: whole segments, then the tail.
    pub fn write_ssz(&self, buffer: &mut Vec<u8>) {
        for segment in self.segments.iter() {
            buffer.extend_from_slice(&segment.bytes);
        }
        buffer.extend_from_slice(&self.tail);
    }

    /// Appends one root; the caller has checked the limit.
    fn append(&mut self, root: Root) {
        self.tail.extend_from_slice(root.as_bytes());
        if let Some(segment_root) = self.frontier.append(root) {
            let bytes = std::mem::take(&mut self.tail).into_boxed_slice();
            Arc::make_mut(&mut self.segments).push(Arc::new(Segment { root: segment_root, bytes }));
        }
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
