//! KoalaBear field elements: p = 2^31 − 2^24 + 1, four little-endian bytes each, always canonical
//! (below p).

use crate::constants::{
    DIGEST_ELEMENTS, MESSAGE_ELEMENTS, PARAMETER_ELEMENTS, RANDOMNESS_ELEMENTS, TWEAK_ELEMENTS,
};
use p3_field::{PrimeCharacteristicRing, PrimeField32};
use p3_koala_bear::KoalaBear;

use crate::ssz::{DecodeError, Reader};

/// A KoalaBear field element.
pub type Fp = KoalaBear;
/// One Poseidon digest.
pub type Digest = [Fp; DIGEST_ELEMENTS];
/// The public parameter: drawn once per key, mixed into every hash of it.
pub type Parameter = [Fp; PARAMETER_ELEMENTS];
/// The signing randomness ρ that made the message encode to a valid codeword.
pub type Randomness = [Fp; RANDOMNESS_ELEMENTS];

/// The field's order p.
pub(crate) const ORDER: u32 = Fp::ORDER_U32;
const ORDER_U64: u64 = ORDER as u64;

/// The four little-endian bytes of an element's canonical value.
#[must_use]
pub fn encode_fp(element: Fp) -> [u8; 4] {
    element.as_canonical_u32().to_le_bytes()
}

/// Reads one element.
///
/// # Errors
///
/// [`DecodeError::NonCanonical`] when the value is not below p: leanSpec refuses the second
/// encoding of an element.
pub fn decode_fp(bytes: [u8; 4]) -> Result<Fp, DecodeError> {
    let value = u32::from_le_bytes(bytes);
    if value < ORDER { Ok(Fp::new(value)) } else { Err(DecodeError::NonCanonical { value }) }
}

/// SSZ `hash_tree_root` of one element: its four bytes, zero-padded.
#[must_use]
pub fn hash_tree_root_fp(element: Fp) -> [u8; 32] {
    let mut root = [0; 32];
    root[..4].copy_from_slice(&encode_fp(element));
    root
}

/// Appends elements as consecutive four-byte words.
pub(crate) fn write_elements(out: &mut Vec<u8>, elements: &[Fp]) {
    for element in elements {
        out.extend_from_slice(&encode_fp(*element));
    }
}

/// Reads `N` consecutive elements.
pub(crate) fn read_elements<const N: usize>(
    reader: &mut Reader<'_>,
) -> Result<[Fp; N], DecodeError> {
    let mut elements = [Fp::ZERO; N];
    for element in &mut elements {
        *element = decode_fp(reader.array()?)?;
    }
    Ok(elements)
}

/// Splits a packed tweak into base-p limbs, least significant first (leanSpec `field.py`
/// `int_to_base_p`). Tweaks are below 2^56, well within p^2.
pub(crate) fn tweak_limbs(packed: u64) -> [Fp; TWEAK_ELEMENTS] {
    [Fp::new((packed % ORDER_U64) as u32), Fp::new((packed / ORDER_U64 % ORDER_U64) as u32)]
}

/// The message as a little-endian integer in base-p limbs (leanSpec `encoding.py`
/// `encode_message`).
pub(crate) fn message_limbs(message: &[u8; 32]) -> [Fp; MESSAGE_ELEMENTS] {
    let mut words = [0_u32; 8];
    for (word, bytes) in words.iter_mut().zip(message.as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut limbs = [Fp::ZERO; MESSAGE_ELEMENTS];
    for limb in &mut limbs {
        *limb = divide_by_order(&mut words);
    }
    limbs
}

/// The low `N` base-p limbs of a 128-bit integer.
pub(crate) fn u128_limbs<const N: usize>(value: u128) -> [Fp; N] {
    let mut words = [0_u32; 4];
    for (word, bytes) in words.iter_mut().zip(value.to_le_bytes().as_chunks::<4>().0) {
        *word = u32::from_le_bytes(*bytes);
    }
    let mut limbs = [Fp::ZERO; N];
    for limb in &mut limbs {
        *limb = divide_by_order(&mut words);
    }
    limbs
}

/// Sixteen big-endian bytes reduced modulo p: 128 bits over a 31-bit prime leave no measurable
/// bias.
#[expect(clippy::cast_possible_truncation, reason = "a remainder modulo p fits 32 bits")]
pub(crate) fn reduce_wide(bytes: &[u8; 16]) -> Fp {
    let mut remainder = 0_u64;
    for word in bytes.as_chunks::<4>().0 {
        remainder = (remainder << 32 | u64::from(u32::from_be_bytes(*word))) % ORDER_U64;
    }
    Fp::new(remainder as u32)
}

/// Divides little-endian words by p in place and returns the remainder.
#[expect(
    clippy::cast_possible_truncation,
    reason = "quotient words and remainders fit 32 bits: each step's high part is below p"
)]
fn divide_by_order(words: &mut [u32]) -> Fp {
    let mut remainder = 0_u64;
    for word in words.iter_mut().rev() {
        let part = remainder << 32 | u64::from(*word);
        *word = (part / ORDER_U64) as u32;
        remainder = part % ORDER_U64;
    }
    Fp::new(remainder as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_itself_is_refused_and_the_largest_element_is_not() {
        assert_eq!(decode_fp(ORDER.to_le_bytes()), Err(DecodeError::NonCanonical { value: ORDER }));
        assert_eq!(decode_fp((ORDER - 1).to_le_bytes()), Ok(Fp::new(ORDER - 1)));
    }

    #[test]
    fn limbs_recompose_to_the_integer() {
        let mut message = [0_u8; 32];
        message[..16].copy_from_slice(&u128::MAX.to_le_bytes());
        let limbs = message_limbs(&message).map(|limb| u128::from(limb.as_canonical_u32()));
        let order = u128::from(ORDER);
        let recomposed = limbs
            .iter()
            .rev()
            .try_fold(0_u128, |sum, limb| sum.checked_mul(order)?.checked_add(*limb));
        assert_eq!(recomposed, Some(u128::MAX));
        assert_eq!(tweak_limbs(u64::from(ORDER) * 7 + 3), [Fp::new(3), Fp::new(7)]);
        assert_eq!(u128::from(reduce_wide(&[0xff; 16]).as_canonical_u32()), u128::MAX % order);
    }
}
