//! `BitList<LIMIT>`: a packed SSZ bitlist. Votes and justified slots are copied, shifted and hashed as bytes.

use std::fmt;

use crate::{
    decode::{Decode, DecodeError},
    glue::ssz_leaf,
    merkle::{merkleize, mix_in_length},
    root::Root,
};

/// Up to `LIMIT` bits, least significant bit of each byte first. Unused bits of the last byte are zero.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BitList<const LIMIT: usize> {
    bytes: Vec<u8>,
    length: usize,
}

impl<const LIMIT: usize> BitList<LIMIT> {
    /// Bits the list may hold.
    pub const LIMIT: usize = LIMIT;

    /// `length` zero bits.
    ///
    /// # Panics
    /// If `length` exceeds `LIMIT`; lengths from outside go through [`Decode`].
    #[must_use]
    pub fn zeros(length: usize) -> Self {
        assert!(length <= LIMIT, "{length} bits in a bitlist of at most {LIMIT}");
        Self { bytes: vec![0; length.div_ceil(8)], length }
    }

    /// The list with exactly these bits set, as long as its highest bit needs; `None` beyond the limit.
    #[must_use]
    pub fn from_indices(indices: impl IntoIterator<Item = u64>) -> Option<Self> {
        let mut list = Self::default();
        for index in indices {
            let index = usize::try_from(index).ok().filter(|index| *index < LIMIT)?;
            if index >= list.length {
                list.resize(index + 1);
            }
            list.set(index, true);
        }
        Some(list)
    }

    /// `length` bits held in `bytes`, least significant first; `None` if the two do not fit together.
    #[must_use]
    pub fn from_packed(bytes: Vec<u8>, length: usize) -> Option<Self> {
        let fits = length <= LIMIT && bytes.len() == length.div_ceil(8);
        let clean =
            length.is_multiple_of(8) || bytes.last().is_none_or(|last| last >> (length % 8) == 0);
        (fits && clean).then_some(Self { bytes, length })
    }

    /// Bits in the list.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether the list has no bits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The packed bytes, without the length bit.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bit at `index`; `None` past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<bool> {
        (index < self.length).then(|| self.bytes[index / 8] >> (index % 8) & 1 == 1)
    }

    /// Writes one bit.
    ///
    /// # Panics
    /// If `index` is past the end.
    pub fn set(&mut self, index: usize, value: bool) {
        assert!(index < self.length, "bit {index} of a bitlist of {}", self.length);
        let mask = 1 << (index % 8);
        if value {
            self.bytes[index / 8] |= mask;
        } else {
            self.bytes[index / 8] &= !mask;
        }
    }

    /// Grows with zeros or cuts to `length` bits.
    ///
    /// # Panics
    /// If `length` exceeds `LIMIT`.
    pub fn resize(&mut self, length: usize) {
        assert!(length <= LIMIT, "{length} bits in a bitlist of at most {LIMIT}");
        self.bytes.resize(length.div_ceil(8), 0);
        self.length = length;
        if !length.is_multiple_of(8)
            && let Some(last) = self.bytes.last_mut()
        {
            *last &= (1 << (length % 8)) - 1;
        }
    }

    /// Sets every bit that is set in `other`; the list becomes as long as the longer of the two.
    pub fn add_all(&mut self, other: &Self) {
        if other.length > self.length {
            self.resize(other.length);
        }
        for (byte, more) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte |= more;
        }
    }

    /// The list without its first `count` bits.
    #[must_use]
    pub fn without_first(&self, count: usize) -> Self {
        let start = count.min(self.length);
        let length = self.length - start;
        Self { bytes: copy_bits(&self.bytes, start, length), length }
    }

    /// Bits `start..start + length` as packed bytes.
    ///
    /// # Panics
    /// If the range leaves the list.
    #[must_use]
    pub fn slice(&self, start: usize, length: usize) -> Vec<u8> {
        assert!(start + length <= self.length, "bits {start}+{length} of {}", self.length);
        copy_bits(&self.bytes, start, length)
    }

    /// Appends `length` bits of a packed slice whose unused bits are zero.
    ///
    /// # Panics
    /// If the result exceeds `LIMIT`.
    pub fn extend_packed(&mut self, packed: &[u8], length: usize) {
        let start = self.length;
        self.resize(start + length);
        let (first, shift) = (start / 8, start % 8);
        for (index, byte) in packed.iter().enumerate().take(length.div_ceil(8)) {
            self.bytes[first + index] |= byte << shift;
            if shift != 0 && first + index + 1 < self.bytes.len() {
                self.bytes[first + index + 1] |= byte >> (8 - shift);
            }
        }
    }

    /// Number of set bits.
    #[must_use]
    pub fn count_ones(&self) -> usize {
        count_ones(&self.bytes)
    }

    /// Positions of the set bits, ascending.
    pub fn ones(&self) -> impl Iterator<Item = usize> + '_ {
        ones(&self.bytes)
    }

    /// Appends the SSZ encoding: the bits and the length bit.
    pub fn write_ssz(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(&self.bytes);
        match (self.length % 8, buffer.last_mut()) {
            (0, _) | (_, None) => buffer.push(1),
            (used, Some(last)) => *last |= 1 << used,
        }
    }

    /// `hash_tree_root` of the bitlist.
    #[must_use]
    pub fn root(&self) -> Root {
        let depth = LIMIT.div_ceil(256).next_power_of_two().trailing_zeros() as usize;
        mix_in_length(&merkleize(&self.bytes, depth), self.length)
    }
}

/// Number of set bits in packed bytes.
#[must_use]
pub fn count_ones(packed: &[u8]) -> usize {
    packed.iter().map(|byte| byte.count_ones() as usize).sum()
}

/// Positions of the set bits in packed bytes, ascending.
pub fn ones(packed: &[u8]) -> impl Iterator<Item = usize> + '_ {
    packed.iter().enumerate().filter(|(_, byte)| **byte != 0).flat_map(|(index, byte)| {
        (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| 8 * index + bit)
    })
}

/// `length` bits from bit `start`, packed from bit 0, unused bits zero.
fn copy_bits(bytes: &[u8], start: usize, length: usize) -> Vec<u8> {
    let (first, shift) = (start / 8, start % 8);
    let count = length.div_ceil(8);
    let mut copied = Vec::with_capacity(count);
    if shift == 0 {
        copied.extend_from_slice(&bytes[first..first + count]);
    } else {
        for index in first..first + count {
            let high = bytes.get(index + 1).copied().unwrap_or(0);
            copied.push(bytes[index] >> shift | high << (8 - shift));
        }
    }
    if !length.is_multiple_of(8)
        && let Some(last) = copied.last_mut()
    {
        *last &= (1 << (length % 8)) - 1;
    }
    copied
}

impl<const LIMIT: usize> Decode for BitList<LIMIT> {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let what = "bitlist";
        let Some(last) = bytes.last().filter(|last| **last != 0) else {
            return Err(DecodeError::Sentinel { what });
        };
        let used = 7 - last.leading_zeros() as usize;
        let length = 8 * (bytes.len() - 1) + used;
        if length > LIMIT {
            return Err(DecodeError::Limit { what, got: length, limit: LIMIT });
        }
        let mut packed = bytes[..length.div_ceil(8)].to_vec();
        if used != 0
            && let Some(last) = packed.last_mut()
        {
            *last &= !(1 << used);
        }
        Ok(Self { bytes: packed, length })
    }
}

impl<const LIMIT: usize> fmt::Debug for BitList<LIMIT> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BitList({} bits, set {:?})", self.length, self.ones().collect::<Vec<_>>())
    }
}

ssz_leaf!([const LIMIT: usize] BitList<LIMIT>, fixed_bytes = None);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_union_holds_both_lists_and_is_as_long_as_the_longer() {
        let list =
            |indices: &[u64]| BitList::<4096>::from_indices(indices.iter().copied()).unwrap();
        for [one, other] in [[&[1, 9][..], &[0, 3]], [&[0, 3], &[1, 9]]] {
            let mut union = list(one);
            union.add_all(&list(other));
            assert_eq!(union, list(&[0, 1, 3, 9]));
        }
        let mut union = BitList::<4096>::default();
        union.add_all(&list(&[4000]));
        assert_eq!(union, list(&[4000]));
    }
}
