//! Gossip message ids: leanSpec `networking/gossipsub/message.py`.

use sha2::{Digest, Sha256};

use super::{MAX_PAYLOAD_BYTES, snappy::decompress_block};

/// Bytes of a message id.
pub const MESSAGE_ID_BYTES: usize = 20;

/// Domain of messages whose data is valid snappy; the id is then over the decompressed data.
pub const DOMAIN_VALID_SNAPPY: [u8; 4] = [1, 0, 0, 0];

/// Domain of all other messages; the id is over the data as it came.
pub const DOMAIN_INVALID_SNAPPY: [u8; 4] = [0; 4];

/// The id of a message as gossip carries it.
#[must_use]
pub fn message_id(topic: &str, data: &[u8]) -> [u8; MESSAGE_ID_BYTES] {
    match decompress_block(data, MAX_PAYLOAD_BYTES) {
        Ok(payload) => hash(topic.as_bytes(), &payload, DOMAIN_VALID_SNAPPY),
        Err(_) => hash(topic.as_bytes(), data, DOMAIN_INVALID_SNAPPY),
    }
}

/// `SHA256(domain | topic length: u64 LE | topic | data)`, its first 20 bytes.
#[must_use]
pub fn hash(topic: &[u8], data: &[u8], domain: [u8; 4]) -> [u8; MESSAGE_ID_BYTES] {
    let digest = Sha256::new()
        .chain_update(domain)
        .chain_update((topic.len() as u64).to_le_bytes())
        .chain_update(topic)
        .chain_update(data)
        .finalize();
    let mut id = [0; MESSAGE_ID_BYTES];
    id.copy_from_slice(&digest[..MESSAGE_ID_BYTES]);
    id
}

#[cfg(test)]
mod tests {
    use super::{super::snappy::compress_block, *};

    #[test]
    fn the_id_names_the_content_however_it_was_compressed() {
        let topic = "/leanconsensus/12345678/block/ssz_snappy";
        let id = message_id(topic, &compress_block(&[7; 100]).unwrap());
        assert_eq!(id, hash(topic.as_bytes(), &[7; 100], DOMAIN_VALID_SNAPPY));
        // The same 100 bytes as one literal: 2-byte length, tag 60, length - 1.
        let mut literal = vec![100, 60 << 2, 99];
        literal.extend([7; 100]);
        assert_eq!(message_id(topic, &literal), id);
        assert_eq!(message_id(topic, &[0xff; 9]), hash(topic.as_bytes(), &[0xff; 9], [0; 4]));
    }
}
