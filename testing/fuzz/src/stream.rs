//! Requests and answers read from a stream: what meets a peer's bytes first.

use std::io;

use futures::{executor::block_on, io::Cursor};
use lamella_network::{
    service::{read_chunk, read_payload},
    wire::chunk::{ResponseChunk, ResponseCode, decode_payload, encode_payload},
};

/// The limit under which payloads are read: small, so that the limit itself is reached.
const LIMIT_BYTES: usize = 4_096;

/// A reader that stops where the payload ends agrees with the decoder of whole buffers: on all that it took, and on
/// whatever that decoder takes.
pub fn stream(bytes: &[u8]) {
    let (read, used) = payload(bytes);
    if let Ok(payload) = &read {
        assert!(payload.len() <= LIMIT_BYTES);
        assert_eq!(decode_payload(&bytes[..used], LIMIT_BYTES).as_ref(), Ok(payload));
    }
    if let Ok(whole) = decode_payload(bytes, LIMIT_BYTES) {
        // It may have left chunks without payload behind, and refuses more of them than a payload needs.
        match read {
            Ok(payload) => assert_eq!(payload, whole),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::InvalidData),
        }
        let canonical = encode_payload(&whole).unwrap_or_default();
        let (read, used) = self::payload(&canonical);
        assert_eq!(
            (read.ok(), used),
            (Some(whole), canonical.len()),
            "what we write is read whole"
        );
    }
    chunks(bytes);
}

fn payload(bytes: &[u8]) -> (io::Result<Vec<u8>>, usize) {
    let mut stream = Cursor::new(bytes);
    let read = block_on(read_payload(&mut stream, LIMIT_BYTES));
    (read, consumed(&stream, bytes))
}

/// Chunk after chunk, as an answer is read, until its end or an error.
fn chunks(bytes: &[u8]) {
    let mut stream = Cursor::new(bytes);
    loop {
        let start = consumed(&stream, bytes);
        match block_on(read_chunk(&mut stream, LIMIT_BYTES)) {
            Ok(Some(chunk)) => {
                let end = consumed(&stream, bytes);
                assert!(end > start, "every chunk takes bytes");
                assert_eq!(ResponseChunk::decode(&bytes[start..end]), Ok(chunk));
            }
            Ok(None) => {
                assert_eq!(start, bytes.len(), "an answer ends where its stream ends");
                return;
            }
            Err(_) => return,
        }
    }
}

fn consumed(stream: &Cursor<&[u8]>, bytes: &[u8]) -> usize {
    usize::try_from(stream.position()).unwrap_or(usize::MAX).min(bytes.len())
}

pub fn stream_seeds() -> Vec<Vec<u8>> {
    let payloads: [Vec<u8>; 4] =
        [Vec::new(), vec![7; 80], (0..=255).collect(), vec![1; LIMIT_BYTES + 1]];
    let chunks = [
        ResponseChunk::success(payloads[1].clone()),
        ResponseChunk::success(Vec::new()),
        ResponseChunk::error(ResponseCode::ResourceUnavailable, "pruned"),
    ];
    let answer = chunks.iter().filter_map(|chunk| chunk.encode().ok()).flatten().collect();
    payloads.iter().filter_map(|payload| encode_payload(payload).ok()).chain([answer]).collect()
}
