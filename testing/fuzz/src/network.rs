//! What peers send.

use lamella_network::wire::{
    MAX_PAYLOAD_BYTES,
    chunk::{ResponseChunk, decode_payload, encode_payload},
    message_id::message_id,
    snappy::{compress_block, compress_frames, decompress_block, decompress_frames},
    topic::{Topic, TopicKind},
    varint,
};
use lamella_network_dir::Bootnode;
use lamella_types::{
    AggregatedAttestation, AttestationData, Block, BlockBody, BlocksByRangeRequest,
    BlocksByRootRequest, Checkpoint, Decode, MultiMessageAggregate, ProofBytes, Root,
    SignedAggregatedAttestation, SignedAttestation, SignedBlock, Status, bits::BitList,
    hash_tree_root, to_ssz,
};

/// The limit under which snappy is tried: small, so that the limit itself is reached.
const LIMIT_BYTES: usize = 4_096;

/// Bytes of a signature of the test parameters.
const SIGNATURE_BYTES: usize = 424;

pub fn wire(bytes: &[u8]) {
    if let Ok((value, used)) = varint::decode(bytes) {
        assert_eq!(varint::encode(value), bytes[..used], "one encoding for each value");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(topic) = text.parse::<Topic>() {
        assert_eq!(topic.to_string(), text, "one text for each topic");
    }
}

pub fn wire_seeds() -> Vec<Vec<u8>> {
    let kinds = [TopicKind::Block, TopicKind::Aggregation, TopicKind::Attestation { subnet: 17 }];
    let topics = kinds.into_iter().map(|kind| Topic::new(kind).to_string().into_bytes());
    let numbers = [0, 127, 128, 300, u64::from(u32::MAX), u64::MAX].into_iter().map(varint::encode);
    topics.chain(numbers).collect()
}

pub fn snappy(bytes: &[u8]) {
    let topic = "/leanconsensus/12345678/block/ssz_snappy";
    let id = message_id(topic, bytes);
    if let Ok(plain) = decompress_block(bytes, LIMIT_BYTES) {
        assert!(plain.len() <= LIMIT_BYTES);
        let again = compress_block(&plain).unwrap_or_default();
        assert_eq!(decompress_block(&again, LIMIT_BYTES).as_ref(), Ok(&plain));
        assert_eq!(message_id(topic, &again), id, "the id names the content");
    }
    if let Ok(plain) = decompress_frames(bytes, LIMIT_BYTES) {
        assert!(plain.len() <= LIMIT_BYTES);
        assert_eq!(decompress_frames(&compress_frames(&plain), LIMIT_BYTES).as_ref(), Ok(&plain));
    }
}

pub fn snappy_seeds() -> Vec<Vec<u8>> {
    let plains: [Vec<u8>; 4] =
        [Vec::new(), vec![7; 1_000], (0..=255).collect(), vec![1; LIMIT_BYTES + 1]];
    let blocks = plains.iter().filter_map(|plain| compress_block(plain).ok());
    blocks.chain(plains.iter().map(|plain| compress_frames(plain))).collect()
}

pub fn chunk(bytes: &[u8]) {
    if let Ok(chunk) = ResponseChunk::decode(bytes) {
        assert!(chunk.payload.len() <= MAX_PAYLOAD_BYTES);
        let again = chunk.encode().map(|bytes| ResponseChunk::decode(&bytes));
        assert_eq!(again, Ok(Ok(chunk)));
    }
    if let Ok(payload) = decode_payload(bytes, LIMIT_BYTES) {
        assert!(payload.len() <= LIMIT_BYTES);
        let again = encode_payload(&payload).map(|bytes| decode_payload(&bytes, LIMIT_BYTES));
        assert_eq!(again, Ok(Ok(payload)));
    }
}

pub fn chunk_seeds() -> Vec<Vec<u8>> {
    let block = to_ssz(&signed_block(2));
    let chunks = [
        ResponseChunk::success(block.clone()),
        ResponseChunk::error(lamella_network::wire::chunk::ResponseCode::ServerError, "no"),
    ];
    let chunks = chunks.iter().filter_map(|chunk| chunk.encode().ok());
    chunks.chain(encode_payload(&block)).collect()
}

/// A decoder takes only what its encoder writes.
fn one_encoding<T: Decode + ssz_rs::Serialize>(bytes: &[u8]) -> Option<T> {
    let value = T::from_ssz(bytes).ok()?;
    assert_eq!(to_ssz(&value), bytes, "one encoding for each value");
    Some(value)
}

pub fn requests(bytes: &[u8]) {
    one_encoding::<Status>(bytes);
    one_encoding::<BlocksByRangeRequest>(bytes);
    if let Some(request) = one_encoding::<BlocksByRootRequest>(bytes) {
        assert!(request.roots.len() <= lamella_types::limits::MAX_REQUEST_BLOCKS);
    }
}

pub fn requests_seeds() -> Vec<Vec<u8>> {
    let checkpoint = Checkpoint { root: Root::new([7; 32]), slot: 9 };
    let roots = ssz_rs::List::try_from(vec![checkpoint.root; 3]).unwrap_or_default();
    let by_root = BlocksByRootRequest { roots };
    vec![
        to_ssz(&Status { finalized: checkpoint, head: checkpoint }),
        to_ssz(&BlocksByRangeRequest { start_slot: 1, count: 64 }),
        to_ssz(&by_root),
    ]
}

pub fn block(bytes: &[u8]) {
    let Some(signed) = one_encoding::<SignedBlock>(bytes) else { return };
    assert!(signed.proof.proof.as_bytes().len() <= lamella_types::limits::PROOF_BYTES_MAX);
    let header = signed.block.header();
    assert_eq!(
        hash_tree_root(&signed.block),
        hash_tree_root(&header),
        "a block's root is its header's"
    );
}

pub fn block_seeds() -> Vec<Vec<u8>> {
    (0..3).map(|votes| to_ssz(&signed_block(votes))).collect()
}

fn data(slot: u64) -> AttestationData {
    let checkpoint =
        |slot| Checkpoint { root: Root::new([u8::try_from(slot).unwrap_or(0); 32]), slot };
    AttestationData { slot, head: checkpoint(slot), target: checkpoint(2), source: checkpoint(1) }
}

fn signed_block(votes: u64) -> SignedBlock {
    let vote = |slot| AggregatedAttestation {
        aggregation_bits: BitList::from_indices([0, slot, 9]).unwrap_or_default(),
        data: data(slot),
    };
    let body = BlockBody::new((0..votes).map(vote).collect()).unwrap_or_default();
    let proof = ProofBytes::new(vec![5; 100]).unwrap_or_default();
    let block = Block { slot: 12, proposer_index: 3, body, ..Block::default() };
    SignedBlock { block, proof: MultiMessageAggregate { proof } }
}

pub fn votes(bytes: &[u8]) {
    one_encoding::<SignedAggregatedAttestation>(bytes);
    if let Ok(vote) = SignedAttestation::from_ssz(bytes, SIGNATURE_BYTES) {
        assert_eq!(vote.signature.len(), SIGNATURE_BYTES);
        assert_eq!(vote.to_ssz(), bytes, "one encoding for each value");
    }
}

pub fn votes_seeds() -> Vec<Vec<u8>> {
    let signature = vec![6; SIGNATURE_BYTES];
    let vote = SignedAttestation { validator_index: 3, data: data(4), signature };
    let mut aggregate = SignedAggregatedAttestation { data: data(4), ..Default::default() };
    aggregate.proof.participants = BitList::from_indices([1, 5]).unwrap_or_default();
    vec![vote.to_ssz(), to_ssz(&aggregate)]
}

pub fn record(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(node) = Bootnode::parse(text) {
        assert_eq!(
            Bootnode::parse(&node.enr).as_ref(),
            Ok(&node),
            "a record reads as it is written"
        );
    }
}

pub fn record_seeds() -> Vec<Vec<u8>> {
    let record = "enr:-IW4QGGifTt9ypyMtChDISUNX3z4z5iPdiEPOmBoILvnDuWIKbWVmKXxZERPnw0piQyaBNCENFEPoIi-vxsnsrBig9MBg\
                  mlkgnY0gmlwhH8AAAGEcXVpY4IjKYlzZWNwMjU2azGhAhMMnGF1rmIPQ9tWgqfkNmvsG-aIyc9EJU5JFo3Tegys";
    vec![record.as_bytes().to_vec()]
}
