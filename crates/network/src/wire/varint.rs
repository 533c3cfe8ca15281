//! Unsigned LEB128: leanSpec `networking/varint.py`, as libp2p itself reads and writes it, with 64 bits held to.

use unsigned_varint::{decode, decode::Error, encode};

use super::WireError;

pub use decode::is_last;

/// Bytes of the longest varint: 64 bits, 7 in each byte.
pub const VARINT_BYTES_MAX: usize = 10;

/// The encoding of `value`.
#[must_use]
pub fn encode(value: u64) -> Vec<u8> {
    encode::u64(value, &mut encode::u64_buffer()).to_vec()
}

/// The value at the front of `bytes`, and how many bytes it takes. A value has one encoding, the shortest.
///
/// # Errors
/// [`WireError::VarintTruncated`], [`WireError::VarintTooLong`], [`WireError::VarintNotShortest`].
pub fn decode(bytes: &[u8]) -> Result<(u64, usize), WireError> {
    let (value, rest) = decode::u64(bytes).map_err(|error| match error {
        Error::Insufficient => WireError::VarintTruncated,
        Error::NotMinimal => WireError::VarintNotShortest,
        _ => WireError::VarintTooLong,
    })?;
    let used = bytes.len() - rest.len();
    // The tenth byte holds bit 63 alone; the library drops what else is in it.
    if used == VARINT_BYTES_MAX && bytes[used - 1] > 1 {
        return Err(WireError::VarintTooLong);
    }
    Ok((value, used))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_and_every_prefix_is_truncated() {
        for value in (0..64).flat_map(|bit| [1u64 << bit, (1 << bit) - 1]).chain([u64::MAX, 300]) {
            let mut bytes = encode(value);
            assert_eq!(decode(&bytes), Ok((value, bytes.len())));
            for end in 0..bytes.len() {
                assert_eq!(decode(&bytes[..end]), Err(WireError::VarintTruncated));
            }
            let length = bytes.len();
            bytes.extend([0x80, 7]);
            assert_eq!(decode(&bytes), Ok((value, length)), "what follows is left alone");
        }
    }

    #[test]
    fn more_than_64_bits_are_refused() {
        for tenth in 2..=0xff {
            let mut bytes = encode(u64::MAX);
            bytes[9] = tenth;
            assert_eq!(decode(&bytes), Err(WireError::VarintTooLong), "{tenth}");
            bytes.push(0);
            assert_eq!(decode(&bytes), Err(WireError::VarintTooLong), "{tenth}");
        }
        assert_eq!(decode(&[0x80; 11]), Err(WireError::VarintTooLong));
    }

    #[test]
    fn a_longer_encoding_than_the_shortest_is_refused() {
        for value in [0, 1, 127, 128, u64::MAX >> 1] {
            let mut bytes = encode(value);
            *bytes.last_mut().unwrap() |= 0x80;
            bytes.push(0);
            assert_eq!(decode(&bytes), Err(WireError::VarintNotShortest), "{value}");
        }
    }
}
