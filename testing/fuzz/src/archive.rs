//! Objects of an archive. The digest that ends each of them is put on here, for no fuzzer would guess it.

use lamella_archive::{
    Frontier, Network, ObjectName, PostState, SegmentBuilder, SegmentFile, SidecarIndex, Tail,
    TailFile, WriterId,
};
use lamella_types::{
    AggregatedAttestation, AttestationData, Block, BlockBody, BlockHeader, Checkpoint,
    MultiMessageAggregate, ProofBytes, Root, SignedBlock, State, Validator, Validators,
    bits::BitList,
};
use sha2::{Digest as _, Sha256};

/// Type, length and reserved field of the record that ends an object.
const DIGEST_HEADER: [u8; 8] = [0x7f, 0x4c, 32, 0, 0, 0, 0, 0];

fn with_digest(bytes: &[u8]) -> Vec<u8> {
    [bytes, &DIGEST_HEADER, &Sha256::digest(bytes)].concat()
}

fn without_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.truncate(bytes.len().saturating_sub(40));
    bytes
}

fn network() -> Network {
    let entries: Vec<_> =
        (0..12).map(|index| Validator { index, ..Validator::default() }).collect();
    Network::new(7, Validators::new(&entries).unwrap_or_default())
}

pub fn segment(bytes: &[u8]) {
    let (network, bytes) = (network(), with_digest(bytes));
    let Ok(file) = SegmentFile::decode("segment", &bytes, &network) else { return };
    let mut parent_root = file.entry().map_or(Root::ZERO, BlockHeader::root);
    for block in file.blocks() {
        assert_eq!(block.header.parent_root, parent_root, "one chain");
        assert_eq!(block.block().header(), block.header, "a body of its header");
        parent_root = block.header.root();
    }
    assert_eq!(file.name().to_string().parse(), Ok(file.name()));
    let before = vec![Root::ZERO; file.index() as usize];
    if let Ok(states) = file.verify_states(&before) {
        assert_eq!(states > 0, file.entry().is_some(), "a state for each block");
    }
}

pub fn segment_seeds() -> Vec<Vec<u8>> {
    let network = network();
    let chain = chain(&network);
    let (header, state) = network.genesis();
    let builder = SegmentBuilder::new(&network, 0, Some((&header, &state))).ok();
    let whole = builder.and_then(|mut builder| {
        for (header, body, state) in &chain {
            builder.push(header, body, PostState::State(state)).ok()?;
        }
        builder.finish().ok()
    });
    let empty =
        SegmentBuilder::new(&network, 3, None).ok().and_then(|builder| builder.finish().ok());
    whole.into_iter().chain(empty).map(|sealed| without_digest(sealed.bytes)).collect()
}

/// Whether a seed is a segment, with blocks or without, and its states those of its blocks.
#[cfg(test)]
pub fn is_segment(seed: &[u8]) -> bool {
    let file = SegmentFile::decode("segment", &with_digest(seed), &network()).unwrap();
    let count = file.block_count();
    file.verify_states(&[Root::ZERO; 3]).unwrap() == count && [0, 5].contains(&count)
}

/// Frontier, tail, proof sidecar, or the name of any object.
pub fn archive(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(name) = text.parse::<ObjectName>()
    {
        assert_eq!(name.to_string(), text, "one name for each object");
    }
    let (id, bytes) = (network().id(), with_digest(bytes));
    if let Ok(frontier) = Frontier::decode("frontier", &bytes) {
        assert_eq!(frontier.encode(), bytes, "one encoding for each frontier");
    }
    if let Ok(tail) = TailFile::decode("tail", &bytes, id) {
        let again = tail.tail().seal().map(|sealed| (sealed.link, sealed.bytes));
        assert_eq!(again, Ok((tail.link(), bytes.clone())), "one encoding for each tail");
    }
    if let Ok(index) = SidecarIndex::check_all("sidecar", &bytes, id) {
        let range = |slot| index.range(slot).unwrap_or_default();
        let bounds = |slot| (usize::try_from(range(slot).start), usize::try_from(range(slot).end));
        let proofs = index.slots().filter_map(|slot| match bounds(slot) {
            (Ok(start), Ok(end)) => bytes.get(start..end),
            _ => None,
        });
        assert_eq!(index.encode(proofs).as_ref(), Ok(&bytes), "one encoding for each sidecar");
    }
}

pub fn archive_seeds() -> Vec<Vec<u8>> {
    let network = network();
    let chain = chain(&network);
    let frontier = chain.last().and_then(|(header, _, state)| Frontier::of(header, state).ok());
    let proof = MultiMessageAggregate { proof: ProofBytes::new(vec![5; 9]).unwrap_or_default() };
    let signed = |(header, body, _): &(BlockHeader, BlockBody, State)| SignedBlock {
        block: Block::from_parts(header, body.clone()),
        proof: proof.clone(),
    };
    let tail = Tail {
        network: network.id(),
        writer: WriterId([1; 8]),
        sequence: 1,
        previous: Root::new([2; 32]),
        head: Checkpoint::default(),
        justified: Checkpoint::default(),
        finalized: Checkpoint::default(),
        blocks: chain.iter().map(signed).collect(),
    };
    let proofs = [(1, [3_u8; 5]), (9, [4; 5])];
    let index = SidecarIndex::build(network.id(), 0, Root::new([6; 32]), proofs);
    let sidecar = index.and_then(|index| index.encode(proofs.map(|(_, proof)| proof)));
    let name = frontier.as_ref().map(|frontier| frontier.name().to_string().into_bytes());
    let files = [
        frontier.map(|frontier| frontier.encode()),
        tail.seal().ok().map(|sealed| sealed.bytes),
        sidecar.ok(),
    ];
    files.into_iter().flatten().map(without_digest).chain(name).collect()
}

/// Blocks with votes on genesis. No transition judged them: a segment does not either.
fn chain(network: &Network) -> Vec<(BlockHeader, BlockBody, State)> {
    let (mut parent, mut state) = network.genesis();
    let mut chain = Vec::new();
    for slot in [1, 2, 5, 6] {
        let root = parent.root();
        let at = |slot| Checkpoint { root, slot };
        let votes = (0..slot % 4).map(|back| AggregatedAttestation {
            aggregation_bits: BitList::from_indices((0..12).filter(|index| index % 3 != back % 2))
                .unwrap_or_default(),
            data: AttestationData {
                slot: slot - back,
                head: at(parent.slot),
                target: at(parent.slot + back),
                source: state.latest_justified,
            },
        });
        let body = BlockBody::new(votes.collect()).unwrap_or_default();
        let block =
            Block { slot, proposer_index: slot % 5, parent_root: root, body, ..Block::default() };
        let is_pushed =
            state.historical_block_hashes.push_parent(root, slot - parent.slot - 1).is_ok();
        assert!(is_pushed, "far below the limit");
        state.slot = slot;
        state.latest_block_header = block.header();
        state.latest_justified = at(parent.slot);
        parent = BlockHeader { state_root: state.root(), ..block.header() };
        chain.push((parent, block.body, state.clone()));
    }
    chain
}
