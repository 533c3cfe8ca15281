//! Numbers that both instantiations of the scheme share (leanSpec `xmss/constants.py`).

/// Alphabet size of a codeword digit; a chain has `BASE - 1` steps.
pub(crate) const BASE: u8 = 8;
/// Digits taken from one field element (8^8 · 127 = p − 1).
pub(crate) const DIGITS_PER_ELEMENT: usize = 8;
/// Quotient that makes the digits of a field element uniform: `QUOTIENT · BASE^DIGITS_PER_ELEMENT =
/// p − 1`.
pub(crate) const QUOTIENT: u32 = 127;
/// Randomness candidates a signer tries. About 900 are needed on average at production size, so the
/// chance of running out is below e^-100.
pub(crate) const MAX_TRIES: u64 = 100_000;
/// Field elements of the public parameter mixed into every hash.
pub(crate) const PARAMETER_ELEMENTS: usize = 5;
/// Field elements of a position tweak.
pub(crate) const TWEAK_ELEMENTS: usize = 2;
/// Field elements a 32-byte message becomes (p^9 > 2^256).
pub(crate) const MESSAGE_ELEMENTS: usize = 9;
/// Field elements of the signing randomness ρ.
pub(crate) const RANDOMNESS_ELEMENTS: usize = 7;
/// Field elements of a digest.
pub(crate) const DIGEST_ELEMENTS: usize = 8;
/// Sponge capacity in field elements; the rate is 24 − 9 = 15.
pub(crate) const CAPACITY_ELEMENTS: usize = 9;
/// Bytes of a digest: 8 elements of 4 bytes.
pub(crate) const DIGEST_BYTES: usize = 4 * DIGEST_ELEMENTS;
/// Most chains any instantiation has, so that per-chain buffers live on the stack.
pub(crate) const DIMENSION_MAX: usize = 46;
