//! Fixed-width hex digits, lower case only, so that one thing has one name.

/// Exactly `2 * N` lower-case hex digits.
pub(crate) fn hex_digits<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 2 * N || !text.bytes().all(is_digit) {
        return None;
    }
    const_hex::decode_to_array(text).ok()
}
