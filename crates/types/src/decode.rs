//! Strict SSZ decoding. `ssz_rs` 0.9 panics on crossing offsets and accepts bytes that it would not write,
//! so every variable-size container is taken apart here: first offset = fixed size, offsets never
//! decrease or leave the input, nothing is left over, and nothing is allocated by a length that the
//! input does not back with bytes.

use crate::root::{ROOT_BYTES, Root};

/// Why bytes are not the SSZ encoding of a value. leanSpec's reason for all of them is `DECODE_ERROR`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The input is shorter or longer than the type's fixed size.
    #[error("{what}: {got} bytes, the encoding has {expected}")]
    Length {
        /// The type.
        what: &'static str,
        /// Bytes given.
        got: usize,
        /// Bytes that the type's encoding has (for variable-size types: at least).
        expected: usize,
    },
    /// An offset does not continue the previous part of the container.
    #[error("{what}: offset {offset} is outside {low}..={high}")]
    Offset {
        /// The type.
        what: &'static str,
        /// The offset read.
        offset: usize,
        /// Least value allowed here.
        low: usize,
        /// Greatest value allowed here.
        high: usize,
    },
    /// A list is longer than its limit.
    #[error("{what}: {got} elements, the limit is {limit}")]
    Limit {
        /// The type.
        what: &'static str,
        /// Elements given (or the least number the input implies).
        got: usize,
        /// Elements allowed.
        limit: usize,
    },
    /// A bitlist has no length bit, or padding behind it.
    #[error("{what}: the last byte of a bitlist must hold its length bit")]
    Sentinel {
        /// The type.
        what: &'static str,
    },
    /// A validator's index differs from its position in the registry.
    #[error("validator at position {position} says its index is {index}")]
    ValidatorIndex {
        /// Position in the registry.
        position: u64,
        /// Index in the entry.
        index: u64,
    },
    /// A value that the type does not have (such as a boolean of 2).
    #[error("{what}: not a value of the type")]
    Value {
        /// The type.
        what: &'static str,
    },
}

/// A type with a strict decoder for exactly the bytes that encode it.
pub trait Decode: Sized {
    /// The value that these bytes, all of them, encode.
    ///
    /// # Errors
    /// Any input that the type's encoder would not have written.
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError>;
}

/// Walks a container's fixed part in field order and hands out its variable parts afterwards.
pub(crate) struct Fields<'a> {
    what: &'static str,
    bytes: &'a [u8],
    fixed_bytes: usize,
    position: usize,
    offsets: Vec<usize>,
}

impl<'a> Fields<'a> {
    /// Starts on a container whose fixed part (offsets included) has `fixed_bytes`.
    pub(crate) fn new(
        what: &'static str,
        bytes: &'a [u8],
        fixed_bytes: usize,
    ) -> Result<Self, DecodeError> {
        if bytes.len() < fixed_bytes {
            return Err(DecodeError::Length { what, got: bytes.len(), expected: fixed_bytes });
        }
        Ok(Self { what, bytes, fixed_bytes, position: 0, offsets: Vec::new() })
    }

    /// The next `count` bytes of the fixed part.
    pub(crate) fn take(&mut self, count: usize) -> &'a [u8] {
        let taken = &self.bytes[self.position..self.position + count];
        self.position += count;
        taken
    }

    pub(crate) fn u64(&mut self) -> u64 {
        let mut word = [0; 8];
        word.copy_from_slice(self.take(8));
        u64::from_le_bytes(word)
    }

    pub(crate) fn root(&mut self) -> Root {
        let mut bytes = [0; ROOT_BYTES];
        bytes.copy_from_slice(self.take(ROOT_BYTES));
        Root::new(bytes)
    }

    /// Reads one offset; its part is returned by [`Fields::parts`].
    pub(crate) fn offset(&mut self) -> Result<(), DecodeError> {
        let mut word = [0; 4];
        word.copy_from_slice(self.take(4));
        let offset = u32::from_le_bytes(word) as usize;
        let (low, high) = match self.offsets.last() {
            None => (self.fixed_bytes, self.fixed_bytes),
            Some(previous) => (*previous, self.bytes.len()),
        };
        if offset < low || offset > high {
            return Err(DecodeError::Offset { what: self.what, offset, low, high });
        }
        self.offsets.push(offset);
        Ok(())
    }

    /// The variable parts, one for each offset read.
    pub(crate) fn parts<const N: usize>(self) -> [&'a [u8]; N] {
        debug_assert_eq!(self.position, self.fixed_bytes, "the whole fixed part was read");
        debug_assert_eq!(self.offsets.len(), N, "one part for each offset");
        std::array::from_fn(|index| {
            let end = self.offsets.get(index + 1).copied().unwrap_or(self.bytes.len());
            &self.bytes[self.offsets[index]..end]
        })
    }
}

/// The bytes of exactly one fixed-size value.
pub(crate) fn exact<'a>(
    what: &'static str,
    bytes: &'a [u8],
    expected: usize,
) -> Result<&'a [u8], DecodeError> {
    if bytes.len() == expected {
        Ok(bytes)
    } else {
        Err(DecodeError::Length { what, got: bytes.len(), expected })
    }
}

/// A list of fixed-size elements: how many, if the bytes divide evenly and the limit holds.
pub(crate) fn fixed_list_count(
    what: &'static str,
    bytes: &[u8],
    element_bytes: usize,
    limit: usize,
) -> Result<usize, DecodeError> {
    let count = bytes.len() / element_bytes;
    if !bytes.len().is_multiple_of(element_bytes) {
        return Err(DecodeError::Length {
            what,
            got: bytes.len(),
            expected: (count + 1) * element_bytes,
        });
    }
    if count > limit {
        return Err(DecodeError::Limit { what, got: count, limit });
    }
    Ok(count)
}

/// A list of variable-size elements, each behind an offset.
pub(crate) fn variable_list<T: Decode>(
    what: &'static str,
    bytes: &[u8],
    limit: usize,
) -> Result<Vec<T>, DecodeError> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let Some(first) = bytes.first_chunk::<4>() else {
        return Err(DecodeError::Length { what, got: bytes.len(), expected: 4 });
    };
    let offsets_bytes = u32::from_le_bytes(*first) as usize;
    if offsets_bytes == 0 || !offsets_bytes.is_multiple_of(4) || offsets_bytes > bytes.len() {
        let high = bytes.len();
        return Err(DecodeError::Offset { what, offset: offsets_bytes, low: 4, high });
    }
    let count = offsets_bytes / 4;
    if count > limit {
        return Err(DecodeError::Limit { what, got: count, limit });
    }
    let mut fields = Fields::new(what, bytes, offsets_bytes)?;
    for _ in 0..count {
        fields.offset()?;
    }
    let ends = fields.offsets.iter().skip(1).copied().chain([bytes.len()]);
    fields.offsets.iter().zip(ends).map(|(&start, end)| T::from_ssz(&bytes[start..end])).collect()
}
