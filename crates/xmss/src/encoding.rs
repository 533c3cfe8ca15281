//! Message to codeword: the digits that say how far up each chain a signature reaches (leanSpec
//! `xmss/encoding.py`).
//!
//! The message hash gives uniform field elements; each is divided by 127 and written in eight
//! base-8 digits. The one element without a quotient, p − 1, aborts. A codeword counts only if its
//! digits sum to the target, so most randomness is refused and the signer tries on.

use crate::constants::{BASE, DIGITS_PER_ELEMENT, DIMENSION_MAX, QUOTIENT};
use p3_field::PrimeField32;

use crate::field::{Fp, ORDER};
use crate::params::Parameters;

/// One digit per chain, each below `BASE`; entries past the dimension are zero.
pub(crate) type Codeword = [u8; DIMENSION_MAX];

/// The codeword of a message hash ([`crate::hash::Hasher::message`]), or `None` when its randomness does not
/// land on the target sum.
pub(crate) fn encode(parameters: &Parameters, hash: &[Fp; 24]) -> Option<Codeword> {
    let dimension = parameters.dimension();
    let elements_used = dimension.div_ceil(DIGITS_PER_ELEMENT);
    let mut codeword = [0; DIMENSION_MAX];
    for (element, digits) in
        hash[..elements_used].iter().zip(codeword[..dimension].chunks_mut(DIGITS_PER_ELEMENT))
    {
        let value = element.as_canonical_u32();
        if value == ORDER - 1 {
            return None;
        }
        let mut quotient = value / QUOTIENT;
        for digit in digits {
            *digit = (quotient % u32::from(BASE)).to_le_bytes()[0];
            quotient /= u32::from(BASE);
        }
    }
    let sum: u32 = codeword.iter().map(|digit| u32::from(*digit)).sum();
    (sum == parameters.target_sum()).then_some(codeword)
}
