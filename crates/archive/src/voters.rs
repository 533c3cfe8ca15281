//! Who voted. Nearly everybody does, the late ones are those who were missing before, and in an outage the same ones are
//! missing all the time: so a list may be held against one of the last votes.
//!
//! ```text
//! shape  = bits: varint | kind: u8 | count: varint, unless the kind is 0
//! voters = kind 0: bitmap of ceil(bits / 8) bytes
//!          others: gap list of `count` positions that differ from
//!            1: nobody             2: everybody
//!            2 + n: the n-th vote back in this segment, n = 1..4, cut or filled with absentees to as many bits
//!            6 + n: everybody but these
//! ```
//!
//! The shortest is written, count included; of equally short ones the first. Shapes and voters are columns of their own.

use std::collections::VecDeque;

use lamella_types::{
    AggregationBits,
    bits::{count_ones, ones},
    packed::{FormatError, Reader, put_positions, put_varint, read_positions},
};

/// Votes that a list may be held against: those of the last block or two.
const BACK_MAX: u8 = 4;

/// Kinds.
const BITMAP: u8 = 0;
const NOBODY: u8 = 1;
const EVERYBODY: u8 = 2;
const LIKE: u8 = 3;
const LIKE_LAST: u8 = LIKE + BACK_MAX - 1;
const UNLIKE: u8 = LIKE_LAST + 1;
const UNLIKE_LAST: u8 = UNLIKE + BACK_MAX - 1;

/// How the voters of a vote are listed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    bits: usize,
    kind: u8,
    count: usize,
}

impl Shape {
    pub fn read(shapes: &mut Reader<'_>) -> Result<Self, FormatError> {
        let error = shapes.error("bits of voters");
        let bits = usize::try_from(shapes.varint("bits of voters")?).map_err(|_| error)?;
        if bits > AggregationBits::LIMIT {
            return Err(error);
        }
        let error = shapes.error("kind of voters");
        let kind = shapes.byte("kind of voters")?;
        if kind > UNLIKE_LAST {
            return Err(error);
        }
        let error = shapes.error("count of voters");
        let count = if kind == BITMAP { 0 } else { shapes.varint("count of voters")? };
        let count = usize::try_from(count).ok().filter(|count| *count <= bits).ok_or(error)?;
        Ok(Self { bits, kind, count })
    }
}

/// The last votes of a segment, newest first.
#[derive(Debug, Default)]
pub(crate) struct Recent(VecDeque<Vec<u8>>);

impl Recent {
    /// Appends shape and voters of a vote.
    pub fn put(&mut self, shapes: &mut Vec<u8>, voters: &mut Vec<u8>, vote: &AggregationBits) {
        let (packed, bits) = (vote.as_bytes(), vote.len());
        put_varint(shapes, bits as u64);
        let mut best: Option<(u8, Vec<u8>, usize)> = None;
        let mut best_bytes = packed.len();
        for kind in NOBODY..=UNLIKE_LAST {
            // No list is shorter than its count.
            if best_bytes <= 1 {
                break;
            }
            let Some(listed) = self.basis(kind, bits).map(|basis| xor(&basis, packed)) else {
                continue;
            };
            // A position takes a byte at least: a crowd need not be written out to see that it is longer.
            let count = count_ones(&listed);
            if count + 1 >= best_bytes {
                continue;
            }
            let mut list = Vec::new();
            put_positions(&mut list, ones(&listed));
            let bytes = list.len() + varint_bytes(count);
            if bytes < best_bytes {
                (best, best_bytes) = (Some((kind, list, count)), bytes);
            }
        }
        match best {
            Some((kind, list, count)) => {
                shapes.push(kind);
                put_varint(shapes, count as u64);
                voters.extend(list);
            }
            None => {
                shapes.push(BITMAP);
                voters.extend_from_slice(packed);
            }
        }
        self.remember(packed.to_vec());
    }

    /// Reads the voters of a vote of this shape.
    pub fn read(
        &mut self,
        shape: &Shape,
        voters: &mut Reader<'_>,
    ) -> Result<AggregationBits, FormatError> {
        let Shape { bits, kind, count } = *shape;
        let error = voters.error("voters");
        let packed = if kind == BITMAP {
            voters.take("bitmap of voters", bits.div_ceil(8))?.to_vec()
        } else {
            let mut packed = self.basis(kind, bits).ok_or(error)?;
            for position in read_positions(voters, "list of voters", count, bits)? {
                packed[position / 8] ^= 1 << (position % 8);
            }
            packed
        };
        self.remember(packed.clone());
        AggregationBits::from_packed(packed, bits).ok_or(error)
    }

    fn remember(&mut self, packed: Vec<u8>) {
        self.0.truncate(usize::from(BACK_MAX) - 1);
        self.0.push_front(packed);
    }

    /// Whom a list of this kind is held against; `None` if there is no such kind or vote.
    fn basis(&self, kind: u8, bits: usize) -> Option<Vec<u8>> {
        let bytes = bits.div_ceil(8);
        let (mut basis, is_inverse) = match kind {
            NOBODY => (vec![0; bytes], false),
            EVERYBODY => (vec![0; bytes], true),
            LIKE..=LIKE_LAST => (self.0.get(usize::from(kind - LIKE))?.clone(), false),
            UNLIKE..=UNLIKE_LAST => (self.0.get(usize::from(kind - UNLIKE))?.clone(), true),
            _ => return None,
        };
        basis.resize(bytes, 0);
        if is_inverse {
            basis.iter_mut().for_each(|byte| *byte = !*byte);
        }
        if !bits.is_multiple_of(8)
            && let Some(last) = basis.last_mut()
        {
            *last &= (1 << (bits % 8)) - 1;
        }
        Some(basis)
    }
}

fn xor(left: &[u8], right: &[u8]) -> Vec<u8> {
    left.iter().zip(right).map(|(left, right)| left ^ right).collect()
}

const fn varint_bytes(count: usize) -> usize {
    if count < 0x80 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vote(voters: impl IntoIterator<Item = u64>, bits: usize) -> AggregationBits {
        let mut vote = AggregationBits::from_indices(voters).unwrap();
        vote.resize(bits);
        vote
    }

    fn written(votes: &[AggregationBits]) -> (Vec<u8>, Vec<u8>) {
        let (mut shapes, mut voters, mut recent) = (Vec::new(), Vec::new(), Recent::default());
        votes.iter().for_each(|vote| recent.put(&mut shapes, &mut voters, vote));
        (shapes, voters)
    }

    fn read(
        shapes: &[u8],
        voters: &[u8],
        count: usize,
    ) -> Result<Vec<AggregationBits>, FormatError> {
        let (mut shapes, mut voters) = (Reader::new(shapes), Reader::new(voters));
        let mut recent = Recent::default();
        let votes = (0..count)
            .map(|_| recent.read(&Shape::read(&mut shapes)?, &mut voters))
            .collect::<Result<Vec<_>, _>>();
        shapes.end().and_then(|()| voters.end()).and(votes)
    }

    #[test]
    fn each_kind_is_written_where_it_is_shortest_and_read_back() {
        let absent = [5, 70, 90];
        let present = |bits: u64| (0..bits).filter(move |index| !absent.contains(index));
        let half = || (0..200).step_by(2);
        let votes = [
            vote(half(), 200),
            vote([3, 60], 200),
            vote(present(200), 200),
            // The late ones: all that were missing in the vote before.
            vote(absent, 200),
            vote(half().filter(|index| *index != 8), 200),
            vote(half().filter(|index| *index != 10).chain([203]), 204),
            vote([], 0),
            vote([1, 7], 8),
        ];
        let (shapes, voters) = written(&votes);
        assert_eq!(read(&shapes, &voters, votes.len()).unwrap(), votes);
        let kinds = [BITMAP, NOBODY, EVERYBODY, UNLIKE, LIKE + 3, LIKE, BITMAP, BITMAP];
        assert_eq!(kinds_of(&shapes, votes.len()), kinds);
    }

    fn kinds_of(shapes: &[u8], count: usize) -> Vec<u8> {
        let mut reader = Reader::new(shapes);
        (0..count)
            .map(|_| {
                reader.varint("bits").unwrap();
                let kind = reader.byte("kind").unwrap();
                if kind != BITMAP {
                    reader.varint("count").unwrap();
                }
                kind
            })
            .collect()
    }

    #[test]
    fn what_is_accepted_never_has_bits_past_its_end() {
        let votes = [vote(0..60, 61), vote([3, 59], 61), vote(0..13, 13), vote([2], 13)];
        let (shapes, voters) = written(&votes);
        let mut refused = 0;
        for position in 0..shapes.len() {
            for flip in 1..=255 {
                let mut other = shapes.clone();
                other[position] ^= flip;
                match read(&other, &voters, votes.len()) {
                    Ok(read) => {
                        assert!(read.iter().all(|vote| {
                            vote.ones().last().is_none_or(|last| last < vote.len())
                        }))
                    }
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 500, "{refused}");
    }
}
