//! Keys: fixed width and big-endian, so that byte order is slot order and nearly every write appends.

use std::{fmt, ops::RangeInclusive};

use lamella_types::{Root, Slot, ValidatorIndex, root::ROOT_BYTES};

/// A typed table key.
pub trait Key: Clone + Ord + fmt::Display + Sized {
    /// Bytes that a key has.
    const BYTES: RangeInclusive<usize>;

    /// The key as the engine stores it.
    fn encode(&self) -> Vec<u8>;

    /// The key that these bytes encode; `None` if they encode none.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// `[slot: u64 BE | root: 32]`: rows in slot order, forks side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotRoot {
    /// The slot.
    pub slot: Slot,
    /// The root, of a block unless the table says otherwise.
    pub root: Root,
}

impl SlotRoot {
    /// The key of this slot and root.
    #[must_use]
    pub const fn new(slot: Slot, root: Root) -> Self {
        Self { slot, root }
    }

    /// The least key of a slot.
    #[must_use]
    pub const fn first_of(slot: Slot) -> Self {
        Self { slot, root: Root::ZERO }
    }
}

impl Key for SlotRoot {
    const BYTES: RangeInclusive<usize> = 40..=40;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + ROOT_BYTES);
        bytes.extend_from_slice(&self.slot.to_be_bytes());
        bytes.extend_from_slice(self.root.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (slot, root) = bytes.split_first_chunk()?;
        Some(Self { slot: u64::from_be_bytes(*slot), root: Root::from_slice(root)? })
    }
}

impl fmt::Display for SlotRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {} {}", self.slot, self.root)
    }
}

impl Key for Root {
    const BYTES: RangeInclusive<usize> = ROOT_BYTES..=ROOT_BYTES;

    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes)
    }
}

impl Key for Slot {
    const BYTES: RangeInclusive<usize> = 8..=8;

    fn encode(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::from_be_bytes)
    }
}

/// `[segment index: u32 BE | segment root: 32]`: a segment of each branch, in slot order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentKey {
    /// Slot of the segment's first root divided by 1,024.
    pub index: u32,
    /// Root of the segment.
    pub root: Root,
}

impl Key for SegmentKey {
    const BYTES: RangeInclusive<usize> = 36..=36;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(4 + ROOT_BYTES);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(self.root.as_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (index, root) = bytes.split_first_chunk()?;
        Some(Self { index: u32::from_be_bytes(*index), root: Root::from_slice(root)? })
    }
}

impl fmt::Display for SegmentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} {}", self.index, self.root)
    }
}

/// Which of a validator's two keys signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The key that signs attestation data.
    Attestation,
    /// The key that signs block roots.
    Proposal,
}

/// `[validator: u64 BE | key kind: u8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DutyKey {
    /// The validator.
    pub validator_index: ValidatorIndex,
    /// The key.
    pub kind: KeyKind,
}

impl Key for DutyKey {
    const BYTES: RangeInclusive<usize> = 9..=9;

    fn encode(&self) -> Vec<u8> {
        let mut bytes = self.validator_index.to_be_bytes().to_vec();
        bytes.push(match self.kind {
            KeyKind::Attestation => 0,
            KeyKind::Proposal => 1,
        });
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (validator, kind) = bytes.split_first_chunk()?;
        let kind = match kind {
            [0] => KeyKind::Attestation,
            [1] => KeyKind::Proposal,
            _ => return None,
        };
        Some(Self { validator_index: u64::from_be_bytes(*validator), kind })
    }
}

impl fmt::Display for DutyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "validator {} {:?} key", self.validator_index, self.kind)
    }
}

/// The name of a single value in `Meta`: ASCII, at most 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetaName(String);

/// Longest name in `Meta`.
const META_NAME_BYTES_MAX: usize = 32;

impl MetaName {
    /// The key of this name.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        debug_assert!(name.is_ascii() && name.len() <= META_NAME_BYTES_MAX, "a short ASCII name");
        Self(name.to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Key for MetaName {
    const BYTES: RangeInclusive<usize> = 1..=META_NAME_BYTES_MAX;

    fn encode(&self) -> Vec<u8> {
        self.0.as_bytes().to_vec()
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        if !Self::BYTES.contains(&bytes.len()) || !bytes.is_ascii() {
            return None;
        }
        String::from_utf8(bytes.to_vec()).ok().map(Self)
    }
}

impl fmt::Display for MetaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
