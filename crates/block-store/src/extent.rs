//! What a directory holds: where it began, and from which block on it has blocks, states and proofs.
//!
//! One row of `Meta`, so that nobody has to guess it from the first row of some table. A directory that began at a
//! checkpoint has one range, from there to the head. History that is fetched later grows from genesis up in a range of its
//! own, with a hole between them until both meet and are one.
//!
//! ```text
//! extent = format: u8 = 1 | bootstrap: key 40 | ranges: u16 BE | (bytes: u16 BE | range) each, ascending
//!        | only where bodies are pruned: the slot below which they are, 8
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
    /// Bodies below this slot are pruned, and proofs with them; 0 where none are.
    bodies_floor: Slot,
}

/// A run of blocks without holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its oldest block.
    pub oldest: SlotRoot,
    /// Parent of the oldest block, which is not in the range.
    pub parent_root: Root,
    /// Every block from this slot on has its state: its oldest block's, or the floor below which states were pruned.
    pub states_from: Slot,
    /// Every block from here on has its proof.
    pub proofs: SignatureFloor,
    /// Its newest block; `None` where it grows with the head.
    pub newest: Option<SlotRoot>,
}

/// What is missing before the oldest block of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// The newest block before it; `None` where it begins with genesis.
    pub after: Option<SlotRoot>,
    /// The oldest block after it.
    pub until: SlotRoot,
    /// The parent of that one: the newest block that is missing.
    pub parent_root: Root,
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
            bodies_floor: 0,
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

    /// The range that has this slot; the last one for slots after its oldest block.
    #[must_use]
    pub fn at(&self, slot: Slot) -> Option<&Range> {
        let has = |range: &&Range| {
            range.oldest.slot <= slot && range.newest.is_none_or(|newest| slot <= newest.slot)
        };
        self.ranges.iter().find(has)
    }

    /// The first hole: what is missing before the oldest block of a range.
    #[must_use]
    pub fn hole(&self) -> Option<Hole> {
        let until = |range: &Range| (range.oldest, range.parent_root);
        match &self.ranges[..] {
            [first, ..] if first.oldest.slot > 0 => {
                let (until, parent_root) = until(first);
                Some(Hole { after: None, until, parent_root })
            }
            [first, second, ..] => {
                let (until, parent_root) = until(second);
                Some(Hole { after: first.newest, until, parent_root })
            }
            _ => None,
        }
    }

    /// Slots before the head's range that no range has.
    #[must_use]
    pub fn missing_slots(&self) -> u64 {
        let end = |range: &Range| range.newest.map_or(0, |newest| newest.slot + 1);
        let held = self.ranges.iter().map(|range| end(range).saturating_sub(range.oldest.slot));
        self.oldest().slot.saturating_sub(held.sum())
    }

    /// Blocks from the beginning of the first hole were put, without their proofs: all from `first`, whose parent this is,
    /// to `last`. `false`, and nothing changes, if they do not belong there.
    ///
    /// Upholds P1: proofs below the head's range count as pruned from now on, which the finalized slot allows.
    #[must_use]
    pub fn fill(
        &mut self,
        first: SlotRoot,
        parent_root: Root,
        last: SlotRoot,
        finalized_slot: Slot,
    ) -> bool {
        let Some(hole) = self.hole() else { return false };
        let follows = match hole.after {
            None => first.slot == 0 && self.ranges.len() < RANGES_MAX,
            Some(after) => after.root == parent_root && after.slot < first.slot,
        };
        if !follows || last < first || last.slot >= hole.until.slot {
            return false;
        }
        let floor = |key| SignatureFloor { key, finalized_slot };
        let proofs = floor(SlotRoot::first_of(last.slot + 1));
        match self.ranges.first_mut().filter(|_| hole.after.is_some()) {
            Some(range) => (range.newest, range.proofs) = (Some(last), proofs),
            None => {
                let (oldest, states_from) = (first, first.slot);
                let newest = Some(last);
                self.ranges.insert(0, Range { oldest, parent_root, states_from, proofs, newest });
            }
        }
        for range in &mut self.ranges[1..] {
            if range.proofs.key < range.oldest {
                range.proofs = floor(range.oldest);
            }
        }
        if hole.parent_root == last.root {
            let grown = self.ranges.remove(0);
            let Range { oldest, parent_root, states_from, .. } = grown;
            let next = &mut self.ranges[0];
            *next = Range { oldest, parent_root, states_from, ..*next };
        }
        true
    }

    /// The slot below which states were pruned, of whatever branch; 0 where none was. One floor for all ranges.
    #[must_use]
    pub fn states_floor(&self) -> Slot {
        let pruned = self.ranges.iter().filter(|range| range.states_from > range.oldest.slot);
        pruned.map(|range| range.states_from).max().unwrap_or(0)
    }

    /// States below this slot are pruned. `false`, and nothing changes, if that says nothing new.
    #[must_use]
    pub fn raise_states_floor(&mut self, floor: Slot) -> bool {
        let mut is_new = false;
        for range in self.ranges.iter_mut().filter(|range| range.states_from < floor) {
            (range.states_from, is_new) = (floor, true);
        }
        is_new
    }

    /// The slot below which bodies were pruned, of whatever branch; 0 where none was.
    #[must_use]
    pub const fn bodies_floor(&self) -> Slot {
        self.bodies_floor
    }

    /// Bodies below this slot are pruned, and proofs with them, which the finalized slot allows. `false`, and nothing changes, if
    /// that says nothing new. Upholds P1.
    #[must_use]
    pub fn raise_bodies_floor(&mut self, floor: Slot, finalized_slot: Slot) -> bool {
        if floor <= self.bodies_floor {
            return false;
        }
        self.bodies_floor = floor;
        let key = SlotRoot::first_of(floor);
        if self.newest().proofs.key < key {
            self.set_floor(SignatureFloor { key, finalized_slot });
        }
        true
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
        if self.bodies_floor > 0 {
            bytes.extend_from_slice(&self.bodies_floor.to_be_bytes());
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
        let ranges = (0..count).map(range).collect::<Option<_>>()?;
        let bodies_floor = slot(&mut rest).unwrap_or(0);
        let extent = Self { bootstrap, ranges, bodies_floor };
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

    /// A directory that began at block 20, whose parent is 15.
    fn later() -> Extent {
        Extent::begin(at(20, 20), at(15, 15).root)
    }

    #[test]
    fn history_grows_from_genesis_until_it_meets_what_came_after() {
        let mut extent = later();
        assert_eq!(extent.missing_slots(), 20);
        assert!(extent.fill(at(0, 1), Root::ZERO, at(7, 7), 30));
        assert_eq!((extent.ranges().len(), extent.missing_slots()), (2, 12));
        assert_eq!(extent.newest().proofs.key, at(20, 20), "no proofs below");
        let slots = |extent: &Extent| [0, 7, 8, 19, 20, 99].map(|slot| extent.at(slot).is_some());
        assert_eq!(slots(&extent), [true, true, false, false, true, true]);
        assert_eq!(Extent::decode(&extent.encode()).as_ref(), Some(&extent));
        // The floor that pruning moved since then stays.
        let floor = SignatureFloor { key: at(25, 25), finalized_slot: 28 };
        extent.set_floor(floor);
        assert!(extent.fill(at(9, 9), at(7, 7).root, at(15, 15), 30));
        assert_eq!((extent.ranges().len(), extent.missing_slots()), (1, 0));
        let Range { oldest, parent_root, states_from, proofs, newest } = *extent.newest();
        assert_eq!((oldest, parent_root, states_from), (at(0, 1), Root::ZERO, 0));
        assert_eq!((proofs, newest), (floor, None));
        assert!(extent.hole().is_none() && slots(&extent) == [true; 6]);
        assert_eq!(extent.bootstrap, at(20, 20), "where it began is not forgotten");
    }

    /// As a few interrupted fetches, or a later version, may leave it.
    #[test]
    fn three_holes_are_filled_from_the_first_on_until_one_range_is_left() {
        let named = |slot: Slot| at(slot, u8::try_from(slot + 1).unwrap());
        let closed = |oldest: Slot, newest: Slot| Range {
            oldest: named(oldest),
            parent_root: named(oldest - 1).root,
            states_from: oldest,
            proofs: SignatureFloor::START,
            newest: Some(named(newest)),
        };
        let mut extent = Extent::begin(named(40), named(39).root);
        extent.ranges.splice(0..0, [closed(5, 8), closed(20, 25)]);
        assert_eq!(extent.missing_slots(), 30);
        for (before, until, ranges) in [(None, 5, 3), (Some(8), 20, 2), (Some(25), 40, 1)] {
            let hole = extent.hole().unwrap();
            assert_eq!((hole.after, hole.until), (before.map(named), named(until)));
            assert_eq!(hole.parent_root, named(until - 1).root);
            let mut parent = before.map_or(Root::ZERO, |before| named(before).root);
            for slot in before.map_or(0, |before| before + 1)..until {
                assert_eq!(extent.at(slot), None);
                assert!(extent.fill(named(slot), parent, named(slot), 50), "{slot}");
                assert_eq!(Extent::decode(&extent.encode()).as_ref(), Some(&extent));
                parent = named(slot).root;
            }
            assert_eq!(extent.ranges().len(), ranges);
        }
        assert_eq!((extent.missing_slots(), extent.hole(), extent.oldest()), (0, None, named(0)));
        assert_eq!(extent.newest().proofs.key, named(40), "no proofs below");
    }

    #[test]
    fn the_floor_of_states_is_one_for_all_ranges_and_only_rises() {
        let mut extent = Extent::begin(at(20, 20), Root::ZERO);
        assert_eq!(extent.states_floor(), 0);
        assert!(!extent.raise_states_floor(20) && extent.states_floor() == 0);
        assert!(extent.raise_states_floor(21));
        assert_eq!((extent.states_floor(), extent.newest().states_from), (21, 21));
        let mut extent = later();
        assert!(extent.fill(at(0, 1), Root::ZERO, at(7, 7), 30));
        assert!(extent.raise_states_floor(5));
        let states = |extent: &Extent| extent.ranges().iter().map(|r| r.states_from).collect();
        assert_eq!((extent.states_floor(), states(&extent)), (5, vec![5, 20]));
        assert!(extent.raise_states_floor(30) && !extent.raise_states_floor(29));
        assert_eq!((extent.states_floor(), states(&extent)), (30, vec![30, 30]));
        assert_eq!(Extent::decode(&extent.encode()), Some(extent));
    }

    #[test]
    fn bodies_go_with_their_proofs_and_a_row_without_that_floor_is_as_it_was() {
        let mut extent = Extent::begin(at(0, 1), Root::ZERO);
        let plain = extent.encode();
        assert!(extent.raise_bodies_floor(1_024, 2_100) && !extent.raise_bodies_floor(1_024, 9));
        let floor = SignatureFloor { key: SlotRoot::first_of(1_024), finalized_slot: 2_100 };
        assert_eq!((extent.bodies_floor(), extent.newest().proofs), (1_024, floor));
        let bytes = extent.encode();
        assert_eq!(
            (bytes.len(), &bytes[plain.len()..]),
            (plain.len() + 8, &1_024u64.to_be_bytes()[..])
        );
        assert_eq!(Extent::decode(&bytes).as_ref(), Some(&extent));
        assert_eq!(Extent::decode(&plain).map(|extent| extent.bodies_floor()), Some(0));
        // Proofs that went further stay gone.
        let further = SignatureFloor { key: at(3_000, 3), finalized_slot: 3_500 };
        extent.set_floor(further);
        assert!(extent.raise_bodies_floor(2_048, 3_600));
        assert_eq!(extent.newest().proofs, further);
    }

    #[test]
    fn blocks_that_do_not_belong_where_the_hole_begins_change_nothing() {
        let mut begun = later();
        assert!(begun.fill(at(0, 1), Root::ZERO, at(7, 7), 30));
        let refused = [
            (later(), at(1, 1), Root::ZERO, at(7, 7)),
            (later(), at(0, 1), Root::ZERO, at(20, 20)),
            (begun.clone(), at(0, 1), Root::ZERO, at(9, 9)),
            (begun.clone(), at(9, 9), at(8, 8).root, at(9, 9)),
            (begun.clone(), at(7, 7), at(7, 7).root, at(9, 9)),
            (begun.clone(), at(9, 9), at(7, 7).root, at(8, 8)),
            (Extent::begin(at(0, 1), Root::ZERO), at(0, 1), Root::ZERO, at(9, 9)),
        ];
        for (before, first, parent_root, last) in refused {
            let mut extent = before.clone();
            assert!(!extent.fill(first, parent_root, last, 30) && extent == before, "{first}");
        }
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
