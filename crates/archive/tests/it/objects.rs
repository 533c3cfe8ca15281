//! Tails and sidecars.

use lamella_archive::{
    ArchiveError, BuildError, Fault, NetworkId, ObjectName, SIDECAR_INDEX_BYTES_MAX, SidecarIndex,
    Tail, TailFile, TailLink, WriterId,
};
use lamella_types::{
    Block, Checkpoint, MultiMessageAggregate, ProofBytes, Root, SignedBlock, Slot,
    limits::{PROOF_BYTES_MAX, SIGNED_BLOCK_BYTES_MAX},
};

use crate::chain::{Chain, SEGMENT_SLOTS, Stored};

const FILE: &str = "an-object";

pub fn tail_meaning(
    file: &str,
    network: NetworkId,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<String, ArchiveError> {
    let read = TailFile::decode(file, bytes, network)?;
    read.check_name(name)?;
    Ok(format!("{:?} {:?}", read.tail(), read.link()))
}

pub fn sidecar_meaning(
    file: &str,
    network: NetworkId,
    name: &ObjectName,
    bytes: &[u8],
) -> Result<String, ArchiveError> {
    let index = SidecarIndex::check_all(file, bytes, network)?;
    index.check_name(file, name)?;
    let start = &bytes[..bytes.len().min(SIDECAR_INDEX_BYTES_MAX)];
    assert_eq!(SidecarIndex::decode(file, start, network).as_ref(), Ok(&index));
    Ok(format!("{index:?}"))
}

pub fn tail_and_sidecar(chain: &Chain) -> Vec<(ObjectName, Vec<u8>)> {
    let sealed = tail(chain, 0, Root::ZERO).seal().unwrap();
    let (index, proofs) = sidecar(chain, 0);
    let bytes = index.encode(proofs.iter().map(|(_, proof)| proof)).unwrap();
    vec![(sealed.name, sealed.bytes), (index.name(), bytes)]
}

fn proof(slot: Slot) -> ProofBytes {
    ProofBytes::new(slot.to_le_bytes().repeat(1 + (slot % 3) as usize)).unwrap()
}

fn signed(block: &Stored) -> SignedBlock {
    let proof = MultiMessageAggregate { proof: proof(block.header.slot) };
    SignedBlock { block: Block::from_parts(&block.header, block.body.clone()), proof }
}

/// Two blocks in import order, the later slot first, as forks come.
fn tail(chain: &Chain, sequence: u64, previous: Root) -> Tail {
    let at = |block: &Stored| Checkpoint { root: block.root, slot: block.header.slot };
    Tail {
        network: chain.network.id(),
        writer: WriterId([7; 8]),
        sequence,
        previous,
        head: at(&chain.blocks[3]),
        justified: at(&chain.blocks[1]),
        finalized: at(&chain.blocks[0]),
        blocks: vec![signed(&chain.blocks[3]), signed(&chain.blocks[2])],
    }
}

fn sidecar(chain: &Chain, index: u32) -> (SidecarIndex, Vec<(Slot, Vec<u8>)>) {
    let (_, inside) = chain.positions(index);
    // The second block's proof was pruned.
    let blocks = chain.blocks[inside].iter().enumerate().filter(|(position, _)| *position != 1);
    let slots = blocks.map(|(_, block)| block.header.slot);
    let proofs: Vec<_> = slots.map(|slot| (slot, proof(slot).as_bytes().to_vec())).collect();
    let root = chain.seal(index).root;
    let of_index = proofs.iter().map(|(slot, proof)| (*slot, proof));
    let built = SidecarIndex::build(chain.network.id(), index, root, of_index).unwrap();
    (built, proofs)
}

#[test]
fn a_tail_comes_back_and_each_continues_the_one_before() {
    let chain = crate::damage::small();
    let mut before: Option<TailLink> = None;
    let mut files = Vec::new();
    for sequence in 0..3 {
        let tail = tail(&chain, sequence, before.map_or(Root::ZERO, |link| link.digest));
        let sealed = tail.seal().unwrap();
        let read = TailFile::decode(FILE, &sealed.bytes, chain.network.id()).unwrap();
        assert_eq!((read.tail(), read.link()), (&tail, sealed.link));
        read.check_follows(before).unwrap();
        before = Some(sealed.link);
        files.push(read);
    }
    // A gap, the first in the middle, a stale one of the same number, nothing before the second.
    let links: Vec<_> = files.iter().map(TailFile::link).collect();
    let stale = TailLink { digest: Root::new([1; 32]), ..links[0] };
    for (file, before) in [
        (&files[2], Some(links[0])),
        (&files[0], Some(links[2])),
        (&files[1], Some(stale)),
        (&files[1], None),
    ] {
        let error = file.check_follows(before).unwrap_err();
        let (sequence, names) = (file.tail().sequence, file.tail().previous);
        assert_eq!(*error.fault, Fault::NotTheNext { sequence, names, before });
    }
}

#[test]
fn a_tail_beyond_its_bounds_is_not_made() {
    let chain = crate::damage::small();
    let mut many = tail(&chain, 0, Root::ZERO);
    many.blocks = vec![many.blocks[0].clone(); 65];
    assert!(matches!(
        many.seal(),
        Err(BuildError::Range { what: "blocks", got: 65, high: 64, .. })
    ));
    let far = tail(&chain, 1_000_000_000_000, Root::ZERO);
    assert!(matches!(far.seal(), Err(BuildError::Range { what: "sequence", .. })));
    let previous = Root::new([1; 32]);
    assert_eq!(tail(&chain, 0, previous).seal(), Err(BuildError::NotTheFirst { previous }));
    // The longest valid block has room.
    let mut longest = tail(&chain, 0, Root::ZERO);
    longest.blocks[0].proof.proof = ProofBytes::new(vec![1; PROOF_BYTES_MAX]).unwrap();
    let sealed = longest.seal().unwrap();
    assert!(sealed.bytes.len() > PROOF_BYTES_MAX && PROOF_BYTES_MAX < SIGNED_BLOCK_BYTES_MAX);
    let read = TailFile::decode(FILE, &sealed.bytes, chain.network.id()).unwrap();
    assert_eq!(read.into_tail(), longest);
}

#[test]
fn proofs_are_read_by_range_and_a_missing_one_is_none() {
    let chain = crate::damage::small();
    let (index, proofs) = sidecar(&chain, 0);
    let bytes = index.encode(proofs.iter().map(|(_, proof)| proof)).unwrap();
    assert_eq!(SidecarIndex::check_all(FILE, &bytes, chain.network.id()).as_ref(), Ok(&index));
    assert_eq!(index.slots().collect::<Vec<_>>(), [1, 3]);
    for (slot, proof) in &proofs {
        let range = index.range(*slot).unwrap();
        let part = &bytes[range.start as usize..range.end as usize];
        let read = index.check(FILE, *slot, part).unwrap();
        assert_eq!(read.proof.as_bytes(), proof);
        let error = index.check(FILE, *slot, &part[1..]).unwrap_err();
        assert_eq!((*error.fault, error.offset), (Fault::Digest, range.start));
    }
    assert_eq!(index.range(2), None);
    // Neither other proofs nor too few are written.
    assert_eq!(index.encode([b"other"]), Err(BuildError::OtherProofs));
    let first = proofs[..1].iter().map(|(_, proof)| proof);
    assert_eq!(index.encode(first), Err(BuildError::OtherProofs));
}

#[test]
fn a_sidecar_of_slots_that_its_segment_does_not_have_is_not_made() {
    let network = crate::damage::small().network.id();
    let build = |slots: &[Slot]| {
        let proofs = slots.iter().map(|slot| (*slot, [1_u8]));
        SidecarIndex::build(network, 1, Root::ZERO, proofs).map(|index| index.slots().count())
    };
    assert_eq!(build(&[SEGMENT_SLOTS, 2 * SEGMENT_SLOTS - 1]), Ok(2));
    for slots in [&[SEGMENT_SLOTS - 1][..], &[2 * SEGMENT_SLOTS], &[1030, 1030], &[1031, 1030]] {
        assert!(matches!(build(slots), Err(BuildError::Range { what: "slot", .. })), "{slots:?}");
    }
}
