//! A reader over untrusted SSZ bytes, and the one error type of every decoder in this crate.
//!
//! Decoding is strict: an offset must point exactly where its field has to begin, so every value
//! has one encoding and no byte is unread.

/// Why bytes are not the encoding of a value. Bytes come from the network or a file; none of these
/// is a fault of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A fixed-size value of another size.
    #[error("{what} takes exactly {expected} bytes, got {actual}")]
    Length {
        /// The value that was decoded.
        what: &'static str,
        /// Its size in bytes.
        expected: usize,
        /// The size given, in bytes.
        actual: usize,
    },
    /// The bytes end inside a value.
    #[error("input ends {missing} bytes too early")]
    Truncated {
        /// Bytes wanted beyond the end.
        missing: usize,
    },
    /// An offset that does not point to the beginning of its field.
    #[error("offset of {what} is {actual}, it must be {expected}")]
    Offset {
        /// The field pointed to.
        what: &'static str,
        /// Where the field begins.
        expected: usize,
        /// Where the offset points.
        actual: usize,
    },
    /// Offsets that run backwards or past the end.
    #[error("offset {actual} of {what} is below {minimum} or above {maximum}")]
    OffsetRange {
        /// The field pointed to.
        what: &'static str,
        /// End of the preceding field.
        minimum: usize,
        /// End of the input.
        maximum: usize,
        /// Where the offset points.
        actual: usize,
    },
    /// A list of fixed-size items whose bytes are not a whole number of them.
    #[error("{bytes} bytes of {what} are not a whole number of {item_bytes}-byte items")]
    PartialItem {
        /// The list.
        what: &'static str,
        /// Its size in bytes.
        bytes: usize,
        /// The size of one item in bytes.
        item_bytes: usize,
    },
    /// A list longer than its limit.
    #[error("{count} items of {what} exceed the limit of {limit}")]
    ListLimit {
        /// The list.
        what: &'static str,
        /// Items given.
        count: usize,
        /// Items allowed.
        limit: usize,
    },
    /// A field element not below p, hence a second encoding of a smaller one.
    #[error("field element {value} is not below 2130706433")]
    NonCanonical {
        /// The value read.
        value: u32,
    },
    /// Well-formed SSZ that is not a secret key of these parameters.
    #[error("secret key: {rule}")]
    SecretKeyShape {
        /// The rule it breaks.
        rule: &'static str,
    },
}

/// A cursor over the bytes of one container.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .bytes
            .split_first_chunk()
            .ok_or_else(|| DecodeError::Truncated { missing: N - self.bytes.len() })?;
        self.bytes = rest;
        Ok(*head)
    }

    pub(crate) fn uint64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn offset(&mut self) -> Result<usize, DecodeError> {
        self.array().map(|bytes| u32::from_le_bytes(bytes) as usize)
    }

    /// An offset that can only have one value.
    pub(crate) fn offset_at(
        &mut self,
        what: &'static str,
        expected: usize,
    ) -> Result<(), DecodeError> {
        let actual = self.offset()?;
        if actual == expected {
            Ok(())
        } else {
            Err(DecodeError::Offset { what, expected, actual })
        }
    }

    /// What has not been read.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.bytes
    }
}

/// Requires the exact size of a fixed-size value.
pub(crate) fn expect_length(
    what: &'static str,
    expected: usize,
    bytes: &[u8],
) -> Result<(), DecodeError> {
    if bytes.len() == expected {
        Ok(())
    } else {
        Err(DecodeError::Length { what, expected, actual: bytes.len() })
    }
}

/// `bytes[start..end]` for offsets read from those same bytes.
pub(crate) fn span<'a>(
    what: &'static str,
    bytes: &'a [u8],
    start: usize,
    end: usize,
) -> Result<&'a [u8], DecodeError> {
    bytes.get(start..end).ok_or(DecodeError::OffsetRange {
        what,
        minimum: start,
        maximum: bytes.len(),
        actual: end,
    })
}

/// Appends an offset. Everything this crate encodes is far below 4 GiB: limits on lists cap a
/// secret key at about 25 MB.
#[expect(
    clippy::cast_possible_truncation,
    reason = "list limits keep every encoding below 2^32 bytes"
)]
pub(crate) fn write_offset(out: &mut Vec<u8>, offset: usize) {
    out.extend_from_slice(&(offset as u32).to_le_bytes());
}
