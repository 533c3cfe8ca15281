//! A segment of the archive, in the middle of the longest chain: 1,024 slots with a block each, and votes of which 3% are absent from
//! the block that they are for and come with the next.

use std::sync::Arc;

use lamella_archive::{Network, PostState, SealedSegment, SegmentBuilder, SegmentFile};
use lamella_types::{Block, BlockHeader, Root, Slot, State, to_ssz};

use crate::{BlockSource, Finality, synthetic::anchor};

/// Slots of a segment.
pub const SEGMENT_SLOTS: u64 = lamella_archive::limits::SEGMENT_SLOTS;

/// The segment: half of a chain's segments are before it, so what a full state takes here is the mean over the chain.
const INDEX: u32 = lamella_archive::limits::SEGMENTS_MAX / 2;

/// Slot before the segment's first.
const ENTRY_SLOT: Slot = INDEX as Slot * SEGMENT_SLOTS - 1;

/// Level of the baselines: our own.
const LEVEL: i32 = 3;

/// A block with its header, whose body need not be hashed again, and its post-state.
type Made = (BlockHeader, Block, State);

/// A segment and what it was made of.
#[derive(Debug)]
pub struct Archived {
    network: Network,
    entry: (BlockHeader, Arc<State>),
    blocks: Vec<Made>,
    /// Roots of the segments before it.
    before: Vec<Root>,
    /// The object.
    pub sealed: SealedSegment,
}

impl Archived {
    /// The segment of a healthy chain of so many validators.
    ///
    /// # Cost
    /// A transition for each slot: 6 s at 4,096 validators.
    #[must_use]
    pub fn new(validators: u64) -> Self {
        let bootstrap = anchor(validators, ENTRY_SLOT, Finality::Healthy);
        let mut source = BlockSource::new(&bootstrap.state, Finality::Healthy);
        let entry = (bootstrap.block.block.header(), Arc::clone(&bootstrap.state));
        let network = Network::new(entry.1.config.genesis_time, bootstrap.state.validators.clone());
        let blocks: Vec<_> = (0..SEGMENT_SLOTS)
            .map(|_| {
                let block = source.next_block();
                (block.header(), block, source.state().clone())
            })
            .collect();
        let last = source.state().historical_block_hashes.segments();
        let before = last.iter().map(|segment| segment.root()).collect();
        let sealed = seal(&network, &entry, &blocks);
        Self { network, entry, blocks, before, sealed }
    }

    /// The object, made again.
    #[must_use]
    pub fn seal(&self) -> SealedSegment {
        seal(&self.network, &self.entry, &self.blocks)
    }

    /// Reads the object and rebuilds and hashes every state. Gives the number of states, the entry's among them.
    #[must_use]
    pub fn verify(&self) -> u64 {
        let file = SegmentFile::decode("segment", &self.sealed.bytes, &self.network).unwrap();
        file.check_name(&self.sealed.name()).unwrap();
        assert_eq!(file.blocks().last().unwrap().root, self.blocks.last().unwrap().0.root());
        file.verify_states(&self.before).unwrap()
    }

    /// Bytes of the object.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.sealed.bytes.len()
    }

    /// Bytes of the same blocks as SSZ, one after the other, compressed as a whole.
    #[must_use]
    pub fn baseline_blocks(&self) -> usize {
        let blocks = self.blocks.iter().flat_map(|(_, block, _)| to_ssz(block));
        zstd::bulk::compress(&blocks.collect::<Vec<u8>>(), LEVEL).unwrap().len()
    }

    /// Bytes of one full state, compressed: what proves the 1,024 blocks in an era file.
    #[must_use]
    pub fn baseline_state(&self) -> usize {
        zstd::bulk::compress(&self.entry.1.to_ssz(), LEVEL).unwrap().len()
    }
}

fn seal(network: &Network, entry: &(BlockHeader, Arc<State>), blocks: &[Made]) -> SealedSegment {
    let entry = Some((&entry.0, &*entry.1));
    let mut builder = SegmentBuilder::new(network, INDEX, entry).unwrap();
    for (header, block, state) in blocks {
        builder.push(header, &block.body, PostState::State(state)).unwrap();
    }
    builder.finish().unwrap()
}
