//! Requests and response chunks, read from a stream as they arrive.
//!
//! A payload announces its length, so a reader knows when it has everything without waiting for the stream to end;
//! no more is buffered than that length allows, and the whole is then decoded by [`crate::wire`].

use std::io;

use futures::{AsyncRead, AsyncReadExt};

use crate::wire::{
    WireError,
    chunk::{self, ResponseChunk, ResponseCode},
    snappy::{CHUNK_HEADER_BYTES, ChunkHeader},
    varint::{self, VARINT_BYTES_MAX},
};

/// Bytes that framing may add to a payload of `bytes`: a sixth (snappy's worst case) and the headers of some chunks.
/// It bounds what a peer can make us buffer by chunks of one byte, or of none.
const fn framed_bytes_max(bytes: usize) -> usize {
    bytes + bytes / 6 + 1_024
}

/// Reads one payload of at most `limit` bytes.
///
/// # Errors
/// `InvalidData` with a [`WireError`] inside, or what the stream says.
pub async fn read_payload<T>(io: &mut T, limit: usize) -> io::Result<Vec<u8>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut bytes = Vec::new();
    let declared = read_varint(io, &mut bytes).await?;
    let declared = chunk::within(declared, limit).map_err(invalid)?;
    let (mut payload_bytes, mut is_begun) = (0, false);
    // The identifier belongs to the stream even where there is no payload.
    while payload_bytes < declared || !is_begun {
        let mut header = [0; CHUNK_HEADER_BYTES];
        io.read_exact(&mut header).await?;
        let parsed = ChunkHeader::parse(header).map_err(invalid)?;
        bytes.extend_from_slice(&header);
        let body_start = bytes.len();
        if body_start + parsed.body_bytes > framed_bytes_max(declared) {
            return Err(invalid(WireError::Frame("more framing than payload")));
        }
        bytes.resize(body_start + parsed.body_bytes, 0);
        io.read_exact(&mut bytes[body_start..]).await?;
        payload_bytes += parsed.payload_bytes(&bytes[body_start..]).map_err(invalid)?;
        is_begun = true;
    }
    chunk::decode_payload(&bytes, limit).map_err(invalid)
}

/// Reads one response chunk; `None` where the response ends.
///
/// # Errors
/// As [`read_payload`].
pub async fn read_chunk<T>(io: &mut T, limit: usize) -> io::Result<Option<ResponseChunk>>
where
    T: AsyncRead + Unpin + Send,
{
    let mut code = [0];
    if io.read(&mut code).await? == 0 {
        return Ok(None);
    }
    let code = ResponseCode::from_byte(code[0]);
    Ok(Some(ResponseChunk { code, payload: read_payload(io, limit).await? }))
}

async fn read_varint<T>(io: &mut T, bytes: &mut Vec<u8>) -> io::Result<u64>
where
    T: AsyncRead + Unpin + Send,
{
    loop {
        let mut byte = [0];
        io.read_exact(&mut byte).await?;
        bytes.extend_from_slice(&byte);
        if varint::is_last(byte[0]) || bytes.len() == VARINT_BYTES_MAX {
            return Ok(varint::decode(bytes).map_err(invalid)?.0);
        }
    }
}

/// A peer's bytes are wrong.
pub(super) fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use futures::{executor::block_on, io::Cursor};

    use super::*;

    #[test]
    fn payloads_of_every_size_arrive_and_leave_the_next_chunk_alone() {
        for length in [0_usize, 1, 80, 65_536, 65_537, 300_000] {
            let payload: Vec<u8> = (0..length).map(|index| index.to_le_bytes()[0]).collect();
            let mut bytes = ResponseChunk::success(payload.clone()).encode().unwrap();
            bytes.extend(ResponseChunk::error(ResponseCode::ServerError, "why").encode().unwrap());
            let mut stream = Cursor::new(bytes);
            block_on(async {
                let first = read_chunk(&mut stream, length).await.unwrap();
                assert_eq!(first, Some(ResponseChunk::success(payload)));
                let second = read_chunk(&mut stream, 256).await.unwrap().unwrap();
                assert_eq!(
                    (second.code, &*second.payload),
                    (ResponseCode::ServerError, &b"why"[..])
                );
                assert_eq!(read_chunk(&mut stream, 256).await.unwrap(), None);
            });
        }
    }

    #[test]
    fn a_payload_beyond_the_limit_or_cut_or_padded_is_an_error() {
        let bytes = chunk::encode_payload(&[7; 80]).unwrap();
        block_on(async {
            let too_large = read_payload(&mut Cursor::new(&bytes), 79).await.unwrap_err();
            assert_eq!(too_large.kind(), io::ErrorKind::InvalidData);
            for end in 0..bytes.len() {
                assert!(read_payload(&mut Cursor::new(&bytes[..end]), 80).await.is_err(), "{end}");
            }
            let endless = read_payload(&mut Cursor::new(&[0x80; 11]), 80).await.unwrap_err();
            assert_eq!(endless.kind(), io::ErrorKind::InvalidData);
            let mut padded = vec![1];
            (0..500).for_each(|_| padded.extend_from_slice(&[0xfe, 1, 0, 0, 0]));
            let padded = read_payload(&mut Cursor::new(&padded), 80).await.unwrap_err();
            assert_eq!(padded.kind(), io::ErrorKind::InvalidData);
        });
    }
}
