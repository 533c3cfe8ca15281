//! Unsigned LEB128: leanSpec `networking/varint.py`.

use super::WireError;

/// Bytes of the longest varint: 64 bits, 7 in each byte.
pub const VARINT_BYTES_MAX: usize = 10;

/// The shortest encoding of `value`.
#[must_use]
pub fn encode(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(VARINT_BYTES_MAX);
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            bytes.push(low & 0x7f);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// The value at the front of `bytes`, and how many bytes it takes.
///
/// # Errors
/// [`WireError::VarintTruncated`], [`WireError::VarintTooLong`].
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let mut partial = Partial::default();
    for (index, byte) in bytes.iter().enumerate() {
        if let Some(value) = partial.push(*byte)? {
            return Ok((value, index + 1));
        }
    }
    Err(WireError::VarintTruncated)
}

/// A varint of which some bytes have arrived.
#[derive(Debug, Default)]
pub struct Partial {
    value: u64,
    bytes: usize,
}

impl Partial {
    /// Takes the next byte; the value, if that was the last one.
    ///
    /// # Errors
    /// [`WireError::VarintTooLong`].
    pub fn push(&mut self, byte: u8) -> Result<Option<u64>, WireError> {
        let low = u64::from(byte & 0x7f);
        let shift = 7 * self.bytes;
        // The tenth byte holds bit 63 alone.
        if self.bytes == VARINT_BYTES_MAX || (self.bytes == VARINT_BYTES_MAX - 1 && byte > 1) {
            return Err(WireError::VarintTooLong);
        }
        self.value |= low << shift;
        self.bytes += 1;
        Ok((byte & 0x80 == 0).then_some(self.value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_every_prefix_is_truncated() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1]).chain([u64::MAX, 300]) {
            let bytes = encode(value);
            assert_eq!(decode(&bytes), Ok((value, bytes.len())));
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Err(WireError::VarintTruncated));
            }
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        let mut bytes = encode(u64::MAX);
        bytes[9] = 2;
        assert_eq!(decode(&bytes), Err(WireError::VarintTooLong));
        assert_eq!(decode(&[0x80; 11]), Err(WireError::VarintTooLong));
    }
}
