//! The tables. One declaration each; names, listings and statistics follow from it.
//!
//! The hard idea: a table is not a tree. A commit rewrites every page from a changed row up to the root of its tree,
//! so the three tables that hold what is kept of a block share one tree, and an import rewrites one path for all of them.
//! There a key ends in two bytes more, which say whose row it is: the parts of a block are neighbours, and each table
//! still sees its own rows alone, in the order of its own keys. An import writes them in that order, so each is an append
//! and leaves are full; the diff between header and body made them half empty. Proofs have a tree of their own: they go
//! after a day, and the holes that they leave in full leaves would stay for ever, 60 bytes a slot.

use std::ops::RangeInclusive;

use lamella_types::{
    BlockBody, BlockHeader, Root, Segment, Slot, Validator, Validators,
    history::SEGMENT_BYTES,
    limits::{PROOF_BYTES_MAX, VALIDATOR_REGISTRY_LIMIT},
    root::ROOT_BYTES,
};

use crate::{
    body,
    fault::Fault,
    key::{DutyKey, Key, MetaName, SegmentKey, SlotRoot},
    value::{Bytes, SelfAuthenticating, Value},
};

/// A declared table.
pub trait Table {
    /// Name in the engine, in errors and in metrics.
    const NAME: &'static str;
    /// Typed key.
    type Key: Key;
    /// Typed value.
    type Value: Value;
    /// How a value proves itself.
    const SEAL: Seal;
    /// Where its rows lie.
    const PLACE: Place;
    /// Most bytes that a value has, argued where the table is declared.
    const VALUE_BYTES_MAX: usize;
    /// Most bytes that a row's value has as it is stored, seal included. No longer one is written, and where a page says
    /// that there is one, no byte of it is touched.
    const STORED_BYTES_MAX: usize = Self::VALUE_BYTES_MAX + Self::SEAL.bytes();
    /// Bytes that a key has as it lies in the tree.
    const KEY_BYTES: RangeInclusive<usize> = Self::PLACE.key_bytes(&<Self::Key as Key>::BYTES);

    /// The hash the value has and the hash its key says, for tables sealed by [`Seal::OwnHash`].
    fn hashes(_value: &Self::Value, _key: &Self::Key) -> Option<(Root, Root)> {
        None
    }
}

/// Where the rows of a table lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Name of the tree in the engine.
    pub tree: &'static str,
    /// What its keys end in, u16 BE, in a tree that several tables share. Two bytes, since the engine pads rows to even
    /// lengths: behind a key of odd length a page does not tell a value from one that is a byte longer.
    pub part: Option<u16>,
}

impl Place {
    /// Bytes of a key as it lies in the tree.
    const fn key_bytes(self, own: &RangeInclusive<usize>) -> RangeInclusive<usize> {
        let more = if self.part.is_some() { size_of::<u16>() } else { 0 };
        *own.start() + more..=*own.end() + more
    }

    /// A key as it lies in the tree.
    pub(crate) fn key(self, mut key: Vec<u8>) -> Vec<u8> {
        key.extend(self.part.map(u16::to_be_bytes).into_iter().flatten());
        key
    }

    /// The table's own key in a key of the tree; `None` for another table's row.
    pub(crate) fn own_key(self, stored: &[u8]) -> Option<&[u8]> {
        match (self.part, stored.split_last_chunk()) {
            (None, _) => Some(stored),
            (Some(part), Some((key, last))) if u16::from_be_bytes(*last) == part => Some(key),
            (Some(_), _) => None,
        }
    }
}

/// How the values of a table prove themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// `[value | checksum: u64 LE]`, XXH3-64 over table name, key and value.
    Checksum,
    /// The value hashes to (part of) its key.
    OwnHash,
}

impl Seal {
    /// Bytes behind the value.
    const fn bytes(self) -> usize {
        match self {
            Self::Checksum => CHECKSUM_BYTES,
            Self::OwnHash => 0,
        }
    }
}

/// Name and purpose of a table.
#[derive(Debug, Clone)]
pub struct TableInfo {
    /// Name.
    pub name: &'static str,
    /// What it holds.
    pub about: &'static str,
    /// How its values prove themselves.
    pub seal: Seal,
    /// Where its rows lie.
    pub place: Place,
    /// Bytes that its keys have there. Tables that share a tree have keys of one length.
    pub key_bytes: RangeInclusive<usize>,
    /// Most bytes that its values have there, seal included.
    pub stored_bytes_max: usize,
    /// A key in words, `None` for bytes that are no key of the table.
    pub key_text: fn(&[u8]) -> Option<String>,
    /// Whether what is stored at a key proves itself.
    pub(crate) prove: fn(&[u8], Vec<u8>) -> Result<(), Fault>,
}

/// Size of a tree: of a table, or of those that share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableStats {
    /// Name.
    pub name: &'static str,
    /// Rows.
    pub rows: u64,
    /// Bytes of its pages.
    pub bytes: u64,
    /// Depth of its tree.
    pub depth: u32,
}

/// Bytes of the checksum behind a value.
pub(crate) const CHECKSUM_BYTES: usize = 8;

/// The checksum of a row. Table and key are part of it, so a row that lands elsewhere does not pass.
pub(crate) fn checksum(table: &str, key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hasher = xxhash_rust::xxh3::Xxh3Default::new();
    hasher.update(table.as_bytes());
    hasher.update(&[0]);
    hasher.update(key);
    hasher.update(value);
    hasher.digest().to_le_bytes()
}

/// The stored form of a value.
pub(crate) fn seal<T: Table>(key: &[u8], value: &T::Value) -> Vec<u8> {
    let mut bytes = value.encode();
    let seal = seal_of::<T>(key, &bytes);
    bytes.extend(seal.iter().flatten());
    bytes
}

/// What is stored behind a value.
pub(crate) fn seal_of<T: Table>(key: &[u8], value: &[u8]) -> Option<[u8; CHECKSUM_BYTES]> {
    match T::SEAL {
        Seal::Checksum => Some(checksum(T::NAME, key, value)),
        Seal::OwnHash => None,
    }
}

/// The value of a stored row, if it proves itself.
pub(crate) fn unseal<T: Table>(key_bytes: &[u8], mut stored: Vec<u8>) -> Result<T::Value, Fault> {
    match T::SEAL {
        Seal::Checksum => {
            let Some((value, sum)) = stored.split_last_chunk::<CHECKSUM_BYTES>() else {
                return Err(Fault::Short { got: stored.len() });
            };
            if *sum != checksum(T::NAME, key_bytes, value) {
                return Err(Fault::Checksum);
            }
            let bytes = value.len();
            stored.truncate(bytes);
            T::Value::decode_owned(stored)
        }
        Seal::OwnHash => {
            let value = T::Value::decode_owned(stored)?;
            let key = T::Key::decode(key_bytes).ok_or(Fault::Key)?;
            match T::hashes(&value, &key) {
                Some((computed, expected)) if computed != expected => Err(Fault::Hash { computed }),
                _ => Ok(value),
            }
        }
    }
}

/// Most bytes of an anchor or a diff. Both are as long as the tally of votes: while finality stands still that tracks a
/// root for each justifiable slot, 1,030 of 2^18 (6 next to finality, 512 squares, 512 pronics), of 32 bytes and 4,096 bits
/// each, 0.56 MB. Roots tracked before finality moved may be left; this is room for seven times as many.
const STATE_BYTES_MAX: usize = 4 << 20;

/// Most bytes of a vote: its data and the bits of 4,096 validators in either of two pools, 1,176 bytes, and as much
/// again and more for what a later version appends.
const VOTE_BYTES_MAX: usize = 4 << 10;

/// Most bytes of a single value: the longest, the extent with 16 ranges, has 2,747; a later version may append to it and
/// to each range.
const META_BYTES_MAX: usize = 16 << 10;

macro_rules! tables {
    ($($(#[doc = $about:literal])+ $name:ident $(in $tree:ident $part:literal)?: $key:ty => $value:ty, $seal:ident, $bytes_max:expr;)+) => {
        $(
            $(#[doc = $about])+
            #[derive(Debug, Clone, Copy)]
            pub struct $name;

            impl Table for $name {
                const NAME: &'static str = stringify!($name);
                type Key = $key;
                type Value = $value;
                const SEAL: Seal = Seal::$seal;
                const PLACE: Place = tables!(@place $name $($tree $part)?);
                const VALUE_BYTES_MAX: usize = $bytes_max;
                tables!(@hashes $seal, $key, $value);
            }
        )+

        /// Every table, in the order of declaration.
        pub const TABLES: &[TableInfo] = &[
            $(TableInfo {
                name: stringify!($name),
                about: concat!($($about),+),
                seal: Seal::$seal,
                place: <$name as Table>::PLACE,
                key_bytes: <$name as Table>::KEY_BYTES,
                stored_bytes_max: <$name as Table>::STORED_BYTES_MAX,
                key_text: |bytes| <$key as Key>::decode(bytes).map(|key| key.to_string()),
                prove: |key, stored| unseal::<$name>(key, stored).map(|_| ()),
            },)+
        ];
    };
    (@place $name:ident) => { Place { tree: stringify!($name), part: None } };
    (@place $name:ident $tree:ident $part:literal) => {
        Place { tree: stringify!($tree), part: Some($part) }
    };
    (@hashes OwnHash, $key:ty, $value:ty) => {
        fn hashes(value: &$value, key: &$key) -> Option<(Root, Root)> {
            Some(SelfAuthenticating::hashes(value, key))
        }
    };
    (@hashes Checksum, $key:ty, $value:ty) => {};
}

tables! {
    /// Block headers, for ever.
    Headers in Blocks 0: SlotRoot => BlockHeader, OwnHash, BlockHeader::SSZ_BYTES;
    /// Block bodies, for ever; the empty body has no row.
    Bodies in Blocks 1: SlotRoot => BlockBody, Checksum, body::BYTES_MAX;
    /// Block proofs, pruned below the signature window where that is finalized.
    Signatures: SlotRoot => Bytes, Checksum, PROOF_BYTES_MAX;
    /// Slot of each block root, for ever.
    Slots: Root => Slot, Checksum, size_of::<Slot>();
    /// Block root of each slot on the head's chain.
    Canonical: Slot => Root, Checksum, ROOT_BYTES;
    /// Full states, at the bootstrap block and wherever a block crosses a multiple of 1,024 slots, for ever.
    Anchors: SlotRoot => Bytes, Checksum, STATE_BYTES_MAX;
    /// The change from its parent's state, for every other block, for ever.
    Diffs in Blocks 2: SlotRoot => Bytes, Checksum, STATE_BYTES_MAX;
    /// Runs of 1,024 block roots of a branch, for ever, written once.
    History: SegmentKey => Segment, OwnHash, SEGMENT_BYTES;
    /// Validator registries, normally one.
    Registries: Root => Validators, OwnHash, VALIDATOR_REGISTRY_LIMIT * Validator::SSZ_BYTES;
    /// Votes that fork choice holds, by slot and attestation data root.
    Votes: SlotRoot => Bytes, Checksum, VOTE_BYTES_MAX;
    /// Highest slot that each validator key has signed, for ever.
    SignGuard: DutyKey => Slot, Checksum, size_of::<Slot>();
    /// Single values: schema, identity, head, checkpoints, frontiers.
    Meta: MetaName => Bytes, Checksum, META_BYTES_MAX;
}

/// Every tree, in the order in which its first table is declared.
pub fn trees() -> impl Iterator<Item = &'static str> {
    let first =
        |index: usize, tree: &str| TABLES[..index].iter().all(|info| info.place.tree != tree);
    let trees = TABLES.iter().map(|info| info.place.tree).enumerate();
    trees.filter(move |(index, tree)| first(*index, tree)).map(|(_, tree)| tree)
}
