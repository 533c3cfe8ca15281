//! Requests and response chunks as whole buffers: leanSpec `networking/reqresp/codec.py`.
//!
//! ```text
//! request = varint(payload length) | framed snappy
//! chunk   = code: u8 | varint(payload length) | framed snappy
//! ```

use super::{
    ERROR_MESSAGE_BYTES_MAX, MAX_PAYLOAD_BYTES, WireError,
    snappy::{compress_frames, decompress_frames},
    varint,
};

/// What a response chunk is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseCode {
    /// The payload is what was asked for.
    Success,
    /// The request breaks the protocol's rules.
    InvalidRequest,
    /// The responder failed.
    ServerError,
    /// The responder does not have it (any more).
    ResourceUnavailable,
}

impl ResponseCode {
    /// The code's byte.
    #[must_use]
    pub const fn to_byte(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::InvalidRequest => 1,
            Self::ServerError => 2,
            Self::ResourceUnavailable => 3,
        }
    }

    /// The code of a byte; the ones not given out yet count as a server error up to 127, else as an invalid request.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Self {
        match byte {
            0 => Self::Success,
            3 => Self::ResourceUnavailable,
            2 | 4..=127 => Self::ServerError,
            1 | 128..=255 => Self::InvalidRequest,
        }
    }
}

/// One part of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseChunk {
    /// What the payload is.
    pub code: ResponseCode,
    /// SSZ, or the text of an error.
    pub payload: Vec<u8>,
}

impl ResponseChunk {
    /// A chunk with what was asked for.
    #[must_use]
    pub const fn success(payload: Vec<u8>) -> Self {
        Self { code: ResponseCode::Success, payload }
    }

    /// A chunk that ends a response with an error; the text is cut to the limit.
    #[must_use]
    pub fn error(code: ResponseCode, message: &str) -> Self {
        let mut end = message.len().min(ERROR_MESSAGE_BYTES_MAX);
        while !message.is_char_boundary(end) {
            end -= 1;
        }
        Self { code, payload: message.as_bytes()[..end].to_vec() }
    }

    /// The chunk's bytes.
    ///
    /// # Errors
    /// [`WireError::TooLarge`].
    pub fn encode(&self) -> Result<Vec<u8>, WireError> {
        let mut bytes = vec![self.code.to_byte()];
        bytes.extend(encode_payload(&self.payload)?);
        Ok(bytes)
    }

    /// The chunk that these bytes, all of them, are.
    ///
    /// # Errors
    /// A [`WireError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let (code, rest) = bytes.split_first().ok_or(WireError::Empty)?;
        let code = ResponseCode::from_byte(*code);
        Ok(Self { code, payload: decode_payload(rest, MAX_PAYLOAD_BYTES)? })
    }
}

/// A request's bytes; also a chunk's without its code.
///
/// # Errors
/// [`WireError::TooLarge`].
pub fn encode_payload(payload: &[u8]) -> Result<Vec<u8>, WireError> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        let declared = payload.len() as u64;
        return Err(WireError::TooLarge { declared, limit: MAX_PAYLOAD_BYTES });
    }
    let mut bytes = varint::encode(payload.len() as u64);
    bytes.extend(compress_frames(payload));
    Ok(bytes)
}

/// The payload of a request whose bytes these all are, if it has at most `limit` bytes.
///
/// # Errors
/// A [`WireError`].
pub fn decode_payload(bytes: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    if bytes.is_empty() {
        return Err(WireError::Empty);
    }
    let (declared, prefix_bytes) = varint::decode(bytes)?;
    let declared = within(declared, limit)?;
    let payload = decompress_frames(&bytes[prefix_bytes..], limit)?;
    if payload.len() != declared {
        return Err(WireError::LengthMismatch { declared, got: payload.len() });
    }
    Ok(payload)
}

/// An announced length, if it is within `limit`.
pub(crate) fn within(declared: u64, limit: usize) -> Result<usize, WireError> {
    let fits = usize::try_from(declared).ok().filter(|declared| *declared <= limit);
    fits.ok_or(WireError::TooLarge { declared, limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_beyond_the_limit_is_refused_before_anything_else() {
        let mut bytes = varint::encode(u64::MAX);
        assert_eq!(
            decode_payload(&bytes, 80),
            Err(WireError::TooLarge { declared: u64::MAX, limit: 80 })
        );
        bytes = encode_payload(&[7; 80]).unwrap();
        assert_eq!(decode_payload(&bytes, 80).unwrap(), [7; 80]);
        assert!(matches!(decode_payload(&bytes, 79), Err(WireError::TooLarge { .. })));
        bytes[0] = 79;
        assert_eq!(
            decode_payload(&bytes, 80),
            Err(WireError::LengthMismatch { declared: 79, got: 80 })
        );
    }

    #[test]
    fn codes_not_given_out_yet_are_read_as_the_spec_says() {
        for (byte, code) in [
            (4, ResponseCode::ServerError),
            (127, ResponseCode::ServerError),
            (128, ResponseCode::InvalidRequest),
            (255, ResponseCode::InvalidRequest),
        ] {
            assert_eq!(ResponseCode::from_byte(byte), code, "{byte}");
        }
    }

    #[test]
    fn an_errors_text_is_cut_at_a_character() {
        let text = "é".repeat(200);
        let chunk = ResponseChunk::error(ResponseCode::ServerError, &text[..]);
        assert_eq!(chunk.payload.len(), 256);
        let chunk = ResponseChunk::error(ResponseCode::ServerError, &format!("x{text}"));
        assert_eq!(chunk.payload.len(), 255);
        assert_eq!(ResponseChunk::decode(&chunk.encode().unwrap()), Ok(chunk));
    }
}
