//! Snappy: the raw block format of gossip, and the framed format of requests and responses.
//!
//! Sizes are checked before bytes are decompressed: a block announces its own, and the chunks of a framed stream are
//! walked first ([`ChunkHeader`]), so a bomb costs its sender more than us.

use std::io::{Read, Write};

use super::WireError;

/// Bytes of a chunk's header: its kind and a 24-bit length.
pub const CHUNK_HEADER_BYTES: usize = 4;

/// Bytes that one data chunk may decompress to (snappy framing format, section 4.2).
const CHUNK_PAYLOAD_BYTES_MAX: usize = 65_536;

/// Bytes a chunk may have behind its header: a checksum and the worst case of 65,536 compressed bytes
/// (32 + n + n/6). Longer skippable chunks are legal and pointless; they are refused.
const CHUNK_BODY_BYTES_MAX: usize = 4 + 32 + CHUNK_PAYLOAD_BYTES_MAX + CHUNK_PAYLOAD_BYTES_MAX / 6;

/// Bytes of a data chunk's checksum.
const CHECKSUM_BYTES: usize = 4;

/// The chunk that opens every framed stream.
const STREAM_IDENTIFIER: [u8; 10] = *b"\xff\x06\x00\x00sNaPpY";

/// These bytes as one raw snappy block.
///
/// # Errors
/// Input beyond 4 GiB.
pub fn compress_block(bytes: &[u8]) -> Result<Vec<u8>, WireError> {
    Ok(snap::raw::Encoder::new().compress_vec(bytes)?)
}

/// What a raw snappy block holds, if that is at most `limit` bytes.
///
/// # Errors
/// [`WireError::TooLarge`] before decompressing, [`WireError::Snappy`].
pub fn decompress_block(bytes: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let declared = snap::raw::decompress_len(bytes)?;
    if declared > limit {
        return Err(WireError::TooLarge { declared: declared as u64, limit });
    }
    Ok(snap::raw::Decoder::new().decompress_vec(bytes)?)
}

/// These bytes as a framed stream. Nothing at all still has the stream identifier.
#[must_use]
pub fn compress_frames(bytes: &[u8]) -> Vec<u8> {
    if bytes.is_empty() {
        return STREAM_IDENTIFIER.to_vec();
    }
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    let written = encoder.write_all(bytes);
    debug_assert!(written.is_ok(), "a Vec takes every byte");
    encoder.into_inner().unwrap_or_default()
}

/// What a framed stream holds, if that is at most `limit` bytes. Checksums are verified.
///
/// # Errors
/// [`WireError::TooLarge`] before decompressing, [`WireError::Frame`].
pub fn decompress_frames(bytes: &[u8], limit: usize) -> Result<Vec<u8>, WireError> {
    let mut payload_bytes = 0;
    let mut rest = bytes;
    while !rest.is_empty() {
        let Some((header, after)) = rest.split_first_chunk() else {
            return Err(WireError::Frame("cut off inside a chunk header"));
        };
        let header = ChunkHeader::parse(*header)?;
        let Some((body, after)) = after.split_at_checked(header.body_bytes) else {
            return Err(WireError::Frame("cut off inside a chunk"));
        };
        payload_bytes += header.payload_bytes(body)?;
        if payload_bytes > limit {
            return Err(WireError::TooLarge { declared: payload_bytes as u64, limit });
        }
        rest = after;
    }
    if !bytes.starts_with(&STREAM_IDENTIFIER) {
        return Err(WireError::Frame("no stream identifier at the front"));
    }
    let mut payload = Vec::with_capacity(payload_bytes);
    let read = snap::read::FrameDecoder::new(bytes).read_to_end(&mut payload);
    read.map_err(|_| WireError::Frame("a chunk's data or checksum is wrong"))?;
    Ok(payload)
}

/// The header of one chunk of a framed stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkHeader {
    kind: u8,
    /// Bytes that follow the header.
    pub body_bytes: usize,
}

impl ChunkHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`WireError::Frame`] for a reserved kind or an impossible length.
    pub fn parse(bytes: [u8; CHUNK_HEADER_BYTES]) -> Result<Self, WireError> {
        let [kind, a, b, c] = bytes;
        let body_bytes = u32::from_le_bytes([a, b, c, 0]) as usize;
        if (0x02..=0x7f).contains(&kind) {
            return Err(WireError::Frame("a reserved chunk that may not be skipped"));
        }
        if body_bytes > CHUNK_BODY_BYTES_MAX {
            return Err(WireError::Frame("a chunk longer than its format allows"));
        }
        Ok(Self { kind, body_bytes })
    }

    /// Bytes of payload that this chunk adds.
    ///
    /// # Errors
    /// [`WireError::Frame`] or [`WireError::Snappy`] for a body that is no such chunk.
    pub fn payload_bytes(self, body: &[u8]) -> Result<usize, WireError> {
        let data =
            || body.get(CHECKSUM_BYTES..).ok_or(WireError::Frame("a chunk without checksum"));
        let bytes = match self.kind {
            0x00 => snap::raw::decompress_len(data()?)?,
            0x01 => data()?.len(),
            _ => 0,
        };
        if bytes > CHUNK_PAYLOAD_BYTES_MAX {
            return Err(WireError::Frame("a chunk of more than 65,536 bytes"));
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patterned(length: usize) -> Vec<u8> {
        (0..length)
            .map(|index| (index.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0])
            .collect()
    }

    #[test]
    fn what_is_compressed_comes_back_and_the_limit_is_exact() {
        for length in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let bytes = patterned(length);
            let (block, frames) = (compress_block(&bytes).unwrap(), compress_frames(&bytes));
            assert_eq!(decompress_block(&block, length).unwrap(), bytes);
            assert_eq!(decompress_frames(&frames, length).unwrap(), bytes);
            if let Some(limit) = length.checked_sub(1) {
                let declared = length as u64;
                let too_large = Err(WireError::TooLarge { declared, limit });
                assert_eq!(decompress_block(&block, limit), too_large);
                assert!(matches!(
                    decompress_frames(&frames, limit),
                    Err(WireError::TooLarge { .. })
                ));
            }
        }
    }

    #[test]
    fn no_altered_or_cut_stream_panics_or_passes_for_the_original() {
        let bytes = patterned(3_000);
        let frames = compress_frames(&bytes);
        for position in 0..frames.len() {
            let mut altered = frames.clone();
            altered[position] ^= 0x41;
            assert_ne!(decompress_frames(&altered, 65_536).as_deref(), Ok(bytes.as_slice()));
            assert_ne!(decompress_frames(&frames[..position], 65_536).as_deref(), Ok(&bytes[..]));
            let _ = decompress_block(&altered, 65_536);
        }
    }

    #[test]
    fn a_bomb_is_refused_by_what_it_announces() {
        let bomb = compress_block(&vec![0; 50 << 20]).unwrap();
        assert!(matches!(decompress_block(&bomb, 1 << 20), Err(WireError::TooLarge { .. })));
        let bomb = compress_frames(&vec![0; 50 << 20]);
        assert!(matches!(decompress_frames(&bomb, 1 << 20), Err(WireError::TooLarge { .. })));
    }
}
