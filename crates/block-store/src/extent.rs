//! What a directory holds: where it began, and from which block on it has blocks, states and proofs.
//!
//! One row of `Meta`, so that nobody has to guess it from the first row of some table. Today there is one range, from
//! the block that the directory began with to the head; the row has room for more, so that history fetched later can
//! stand beside a hole until both meet.
//!
//! ```text
//! extent = format: u8 = 1 | bootstrap: key 40 | ranges: u16 BE | (bytes: u16 BE | range) each, ascending
//! range  = oldest: key 40 | its parent: root 32 | states from: slot 8 | proofs from: key 40
//!        | finalized slot that allowed that: 8 | 0 (open at the head), or 1 | newest: key 40
//! key    = slot u64 BE | root 32; slots are u64 BE
//! ```
//!
//! A later version may append to the row and to each range; this one reads what it knows, and keeps no more when it
//! writes.

use lamella_tables::{
    Bytes, EngineError, Key as _, Meta, MetaName, Read, ReadError, SlotRoot, WriteTxn,
};
use lamella_types::{Root, Slot, root::ROOT_BYTES};

use crate::contradiction;

const FORMAT: u8 = 1;

/// Bytes of a key.
const KEY_BYTES: usize = 8 + ROOT_BYTES;

/// Ranges of a directory: one that grows at the head, and holes that a few interrupted fetches leave. At 169 bytes each
/// the row stays well under a page.
pub const RANGES_MAX: usize = 16;

/// What a directory holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// The block that the directory began with: genesis or a checkpoint.
    pub bootstrap: SlotRoot,
    /// At least one, ascending and apart; the last is open at the head, no other is.
    ranges: Vec<Range>,
}

/// A run of blocks without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its oldest block.
    pub oldest: SlotRoot,
    /// Parent of the oldest block, which is not in the range.
    pub parent_root: Root,
    /// Every block from this slot on has its state.
    pub states_from: Slot,
    /// Every block from here on has its proof.
    pub proofs: SignatureFloor,
    /// Its newest block; `None` where it grows with the head.
    pub newest: Option<SlotRoot>,
}

/// How far proofs have been pruned.
///
/// leanSpec's finalized checkpoint follows the head and may move back in a reorg, so the floor keeps the
/// finalized slot that allowed it: P1 is `floor.slot <= finalized_slot`, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureFloor {
    /// Proofs below this key may be gone; none at or above it is.
    pub key: SlotRoot,
    /// Finalized slot when the floor got here.
    pub finalized_slot: Slot,
}

impl SignatureFloor {
    /// Nothing has been pruned.
    pub const START: Self = Self { key: SlotRoot::first_of(0), finalized_slot: 0 };
}

impl Extent {
    /// Name of its row of `Meta`.
    pub const NAME: &str = "extent";

    /// A directory that begins with this block.
    #[must_use]
    pub fn begin(bootstrap: SlotRoot, parent_root: Root) -> Self {
        let (oldest, states_from) = (bootstrap, bootstrap.slot);
        let proofs = SignatureFloor::START;
        Self {
            bootstrap,
            ranges: vec![Range { oldest, parent_root, states_from, proofs, newest: None }],
        }
    }

    /// Its ranges, ascending.
    #[must_use]
    pub fn ranges(&self) -> &[Range] {
        &self.ranges
    }

    /// The range that ends at the head.
    #[must_use]
    #[expect(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "never empty: see the field"
    )]
    pub fn newest(&self) -> &Range {
        self.ranges.last().expect("at least one range")
    }

    /// The oldest block from which on nothing is missing up to the head.
    #[must_use]
    pub fn oldest(&self) -> SlotRoot {
        self.newest().oldest
    }

    /// Moves the floor of the proofs of the range that ends at the head.
    pub fn set_floor(&mut self, proofs: SignatureFloor) {
        if let Some(newest) = self.ranges.last_mut() {
            newest.proofs = proofs;
        }
    }

    /// Reads what a directory holds; `None` if it does not say.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn find(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(Self::NAME);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
        let bad = || contradiction::<Meta>(&name, "not an extent".to_owned());
        Self::decode(&bytes).map(Some).ok_or_else(bad)
    }

    /// Reads what a directory holds, which every directory with a chain says.
    ///
    /// # Errors
    /// A damaged or missing row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Self, ReadError> {
        let missing = || contradiction::<Meta>(&MetaName::new(Self::NAME), "no row".to_owned());
        Self::find(txn)?.ok_or_else(missing)
    }

    /// Writes the row.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), EngineError> {
        txn.put::<Meta>(&MetaName::new(Self::NAME), &Bytes(self.encode()))
    }

    /// The bytes of the row.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        debug_assert!(self.is_well_formed(), "only what can be read is written");
        let mut bytes = vec![FORMAT];
        bytes.extend(self.bootstrap.encode());
        put_length(&mut bytes, self.ranges.len());
        for range in &self.ranges {
            let range = range.encode();
            put_length(&mut bytes, range.len());
            bytes.extend(range);
        }
        bytes
    }

    /// The extent that these bytes say; `None` if they say none.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[FORMAT])?;
        let bootstrap = key(&mut rest)?;
        let count = length(&mut rest)?;
        if count > RANGES_MAX {
            return None;
        }
        let range = |_| {
            let range_bytes = length(&mut rest)?;
            Range::decode(rest.split_off(..range_bytes)?)
        };
        let extent = Self { bootstrap, ranges: (0..count).map(range).collect::<Option<_>>()? };
        extent.is_well_formed().then_some(extent)
    }

    fn is_well_formed(&self) -> bool {
        let Some((last, closed)) = self.ranges.split_last() else { return false };
        let apart = |pair: &[Range]| pair[0].newest.is_some_and(|end| end < pair[1].oldest);
        last.newest.is_none()
            && closed.iter().all(|range| range.newest.is_some_and(|end| range.oldest <= end))
            && self.ranges.windows(2).all(apart)
    }
}

impl Range {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.oldest.encode();
        bytes.extend_from_slice(self.parent_root.as_bytes());
        bytes.extend_from_slice(&self.states_from.to_be_bytes());
        bytes.extend(self.proofs.key.encode());
        bytes.extend_from_slice(&self.proofs.finalized_slot.to_be_bytes());
        bytes.push(u8::from(self.newest.is_some()));
        bytes.extend(self.newest.iter().flat_map(SlotRoot::encode));
        bytes
    }

    fn decode(mut rest: &[u8]) -> Option<Self> {
        let rest = &mut rest;
        Some(Self {
            oldest: key(rest)?,
            parent_root: Root::from_slice(rest.split_off(..ROOT_BYTES)?)?,
            states_from: slot(rest)?,
            proofs: SignatureFloor { key: key(rest)?, finalized_slot: slot(rest)? },
            newest: match rest.split_off_first()? {
                0 => None,
                1 => Some(key(rest)?),
                _ => return None,
            },
        })
    }
}

#[expect(clippy::cast_possible_truncation, reason = "at most RANGES_MAX ranges of under 200 bytes")]
fn put_length(bytes: &mut Vec<u8>, length: usize) {
    bytes.extend_from_slice(&(length as u16).to_be_bytes());
}

fn length(rest: &mut &[u8]) -> Option<usize> {
    let bytes = rest.split_off(..2)?;
    bytes.try_into().ok().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
}

fn slot(rest: &mut &[u8]) -> Option<Slot> {
    rest.split_off(..8).and_then(Slot::decode)
}

fn key(rest: &mut &[u8]) -> Option<SlotRoot> {
    rest.split_off(..KEY_BYTES).and_then(SlotRoot::decode)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(slot: Slot, byte: u8) -> SlotRoot {
        SlotRoot::new(slot, Root::new([byte; ROOT_BYTES]))
    }

    /// Two ranges with a hole between them.
    fn two() -> Extent {
        let closed = Range {
            oldest: at(5, 5),
            parent_root: Root::new([4; ROOT_BYTES]),
            states_from: 7,
            proofs: SignatureFloor { key: at(6, 6), finalized_slot: 9 },
            newest: Some(at(8, 8)),
        };
        let mut extent = Extent::begin(at(20, 20), Root::new([19; ROOT_BYTES]));
        extent.ranges.insert(0, closed);
        extent
    }

    #[test]
    fn an_extent_comes_back_longer_rows_and_ranges_too_and_no_cut_one_does() {
        for extent in [Extent::begin(at(0, 1), Root::ZERO), two()] {
            let bytes = extent.encode();
            assert_eq!(Extent::decode(&bytes).as_ref(), Some(&extent));
            assert_eq!(Extent::decode(&[&bytes[..], &[9; 5]].concat()).as_ref(), Some(&extent));
            for length in 0..bytes.len() {
                assert_eq!(Extent::decode(&bytes[..length]), None);
            }
        }
        // A later version's first range, three bytes longer.
        let mut bytes = two().encode();
        let first = 1 + KEY_BYTES + 2;
        bytes[first + 1] += 3;
        let end = first + 2 + two().ranges[0].encode().len();
        bytes.splice(end..end, [1, 2, 3]);
        assert_eq!(Extent::decode(&bytes), Some(two()));
    }

    #[test]
    fn ranges_ascend_apart_and_only_the_last_is_open() {
        let broken: [fn(&mut Vec<Range>); 5] = [
            Vec::clear,
            |ranges| ranges.swap(0, 1),
            |ranges| ranges[0].newest = None,
            |ranges| ranges[0].newest = Some(at(20, 20)),
            |ranges| ranges[1].newest = Some(at(30, 30)),
        ];
        for change in broken {
            let mut extent = two();
            change(&mut extent.ranges);
            assert!(!extent.is_well_formed());
        }
    }
}
