//! Chains that the state transition made, with forks, empty slots, stalls, late and foreign votes; and their archives.

use std::sync::Arc;

use lamella_archive::{
    Frontier, Network, ObjectName, PostState, SealedSegment, SegmentBuilder, SegmentFile,
};
use lamella_state_diff::{DiffBase, StateDiff};
use lamella_state_transition::compute_post_state;
use lamella_types::{
    AggregatedAttestation, AggregationBits, AttestationData, Block, BlockBody, BlockHeader,
    Checkpoint, PublicKeyBytes, Root, SEGMENT_ROOTS, Slot, State, Validator, Validators,
    slot::is_justifiable_after,
};
use proptest::{collection::vec, prelude::*};

pub const SEGMENT_SLOTS: u64 = SEGMENT_ROOTS as u64;

/// A canonical block and its post-state.
#[derive(Debug, Clone)]
pub struct Stored {
    pub header: BlockHeader,
    pub root: Root,
    pub body: BlockBody,
    pub state: Arc<State>,
}

/// Who votes, and for what, in a block on the head.
#[derive(Debug, Clone)]
pub enum Vote {
    /// For the head, by all but those whose bit is set here: justifies, if enough.
    InTime { absent: u64 },
    /// For the block before the head, by those whose bit is set here.
    Late { voters: u64 },
    /// For blocks that nobody here has.
    Foreign { seed: u8, voters: u64 },
    /// For a target far back, of a list of voters as long as this.
    Old { back: u64, bits: usize },
}

/// The next block: so many empty slots before it, and its votes.
#[derive(Debug, Clone)]
pub struct Step {
    pub skipped: u64,
    pub votes: Vec<Vote>,
}

#[derive(Debug)]
pub struct Chain {
    pub network: Network,
    /// Genesis first.
    pub blocks: Vec<Stored>,
}

pub fn validators(count: u64) -> Validators {
    let key = |byte: u64, index: u64| {
        let mut key = PublicKeyBytes([byte as u8; 52]);
        key.0[..8].copy_from_slice(&index.to_le_bytes());
        key
    };
    let entries = (0..count).map(|index| Validator {
        attestation_public_key: key(1, index),
        proposal_public_key: key(2, index),
        index,
    });
    Validators::new(&entries.collect::<Vec<_>>()).unwrap()
}

impl Chain {
    pub fn new(validator_count: u64) -> Self {
        let network = Network::new(1_700_000_000, validators(validator_count));
        let (header, state) = network.genesis();
        let (body, state) = (BlockBody::default(), Arc::new(state));
        let genesis = Stored { header, root: header.root(), body, state };
        Self { network, blocks: vec![genesis] }
    }

    pub fn of(validator_count: u64, steps: &[Step]) -> Self {
        let mut chain = Self::new(validator_count);
        steps.iter().for_each(|step| chain.grow(step));
        chain
    }

    pub fn head(&self) -> &Stored {
        self.blocks.last().unwrap()
    }

    pub fn grow(&mut self, step: &Step) {
        let parent = self.head();
        let slot = parent.header.slot + 1 + step.skipped;
        let votes = step.votes.iter().filter_map(|vote| self.vote(vote)).collect();
        let block = Block {
            slot,
            proposer_index: slot % self.network.validators().len() as u64,
            parent_root: parent.root,
            state_root: Root::ZERO,
            body: BlockBody::new(votes).unwrap(),
        };
        let (state, state_root) = compute_post_state(&parent.state, &block).unwrap();
        let header = BlockHeader { state_root, ..block.header() };
        let state = Arc::new(state);
        self.blocks.push(Stored { header, root: header.root(), body: block.body, state });
    }

    /// A chain that no transition judged, in which validators propose out of turn.
    pub fn out_of_turn() -> Self {
        let mut chain = Self::new(5);
        for (slot, proposer) in
            [(1, 1), (2, 4), (3, 3), (4, 300), (5, 0), (6, 0), (9, 4), (1030, 1)]
        {
            let parent = chain.head();
            let mut state = State::clone(&parent.state);
            let skipped = slot - parent.header.slot - 1;
            state.historical_block_hashes.push_parent(parent.root, skipped).unwrap();
            state.slot = slot;
            let block = Block {
                slot,
                proposer_index: proposer,
                parent_root: parent.root,
                ..Block::default()
            };
            state.latest_block_header = block.header();
            let header = BlockHeader { state_root: state.root(), ..block.header() };
            let state = Arc::new(state);
            chain.blocks.push(Stored { header, root: header.root(), body: block.body, state });
        }
        chain
    }

    fn vote(&self, vote: &Vote) -> Option<AggregatedAttestation> {
        let count = self.network.validators().len();
        let among =
            |voters: u64| (0..count as u64).filter(move |index| voters >> (index % 64) & 1 == 1);
        let head = self.head();
        let (data, voters): (AttestationData, Vec<u64>) = match vote {
            Vote::InTime { absent } => {
                (self.honest(self.blocks.len() - 1), among(!absent).collect())
            }
            Vote::Late { voters } => {
                (self.honest(self.blocks.len().checked_sub(2)?), among(*voters).collect())
            }
            Vote::Foreign { seed, voters } => {
                let root = Root::new([*seed; 32]);
                let slot = head.header.slot.saturating_sub(u64::from(*seed % 3));
                let data = AttestationData {
                    slot,
                    head: Checkpoint { root, slot },
                    ..self.honest(self.blocks.len() - 1)
                };
                (data, among(*voters).collect())
            }
            Vote::Old { back, bits } => {
                let index = self.blocks.len().saturating_sub(1 + *back as usize);
                let mut voters: Vec<u64> = among(0x5555_5555_5555_5555).collect();
                voters.retain(|index| (*index as usize) < (*bits).max(1));
                (self.honest(index), voters)
            }
        };
        // A vote that counts needs a voter.
        let voters = if voters.is_empty() { vec![0] } else { voters };
        Some(AggregatedAttestation {
            aggregation_bits: AggregationBits::from_indices(voters)?,
            data,
        })
    }

    /// The vote for the block at `index`, as a state on the head would count it.
    fn honest(&self, index: usize) -> AttestationData {
        let (head, state) = (&self.blocks[index], &self.head().state);
        let finalized_slot = state.latest_finalized.slot;
        let at = |block: &Stored| Checkpoint { root: block.root, slot: block.header.slot };
        let may_be_target = |block: &&Stored| {
            let slot = block.header.slot;
            slot <= finalized_slot || is_justifiable_after(slot, finalized_slot)
        };
        let target = self.blocks[..=index].iter().rev().find(may_be_target).unwrap();
        // Genesis counts as justified from its child on.
        let source = match state.latest_justified {
            Checkpoint { root, .. } if root.is_zero() => at(&self.blocks[0]),
            justified => justified,
        };
        AttestationData { slot: head.header.slot, head: at(head), target: at(target), source }
    }

    /// Segments that a block at or after their end proves.
    pub fn complete_segments(&self) -> u32 {
        (self.head().header.slot / SEGMENT_SLOTS) as u32
    }

    pub fn frontier(&self) -> Frontier {
        Frontier::of(&self.head().header, &self.head().state).unwrap()
    }

    /// The position of the last block before a segment (genesis for segment 0), and the blocks in it besides.
    pub fn positions(&self, index: u32) -> (usize, std::ops::Range<usize>) {
        let first = u64::from(index) * SEGMENT_SLOTS;
        let begin = self.blocks.partition_point(|block| block.header.slot < first).max(1);
        let end = self.blocks.partition_point(|block| block.header.slot < first + SEGMENT_SLOTS);
        (begin - 1, begin..end.max(begin))
    }

    /// The segment, from what a store has: anchors where a multiple of 1,024 is crossed, diffs elsewhere.
    pub fn seal(&self, index: u32) -> SealedSegment {
        let (entry, inside) = self.positions(index);
        let entry = &self.blocks[entry];
        let has_blocks = index == 0 || !inside.is_empty();
        let entry = has_blocks.then_some((&entry.header, &*entry.state));
        let mut builder = SegmentBuilder::new(&self.network, index, entry).unwrap();
        let mut rows = self.rows(index);
        for position in inside {
            let Stored { header, body, state, .. } = &self.blocks[position];
            let row = rows.remove(0);
            let post = row.as_ref().map_or(PostState::State(state), PostState::Diff);
            builder.push(header, body, post).unwrap();
        }
        builder.finish().unwrap()
    }

    /// What a store has of the states of a segment's blocks: `None` is an anchor.
    fn rows(&self, index: u32) -> Vec<Option<StateDiff>> {
        let (entry, inside) = self.positions(index);
        let at = |block: &Stored| Checkpoint { root: block.root, slot: block.header.slot };
        let (mut anchor, mut deltas) = (at(&self.blocks[entry]), 0);
        let mut rows = Vec::new();
        for position in inside {
            let (parent, block) = (&self.blocks[position - 1], &self.blocks[position]);
            let base = DiffBase::capture(at(parent), anchor, deltas, Arc::clone(&parent.state));
            let diff = StateDiff::build(&base, &block.state).unwrap();
            if block.header.slot / SEGMENT_SLOTS > parent.header.slot / SEGMENT_SLOTS {
                (anchor, deltas) = (at(block), 0);
                rows.push(None);
            } else {
                deltas = diff.tally.number();
                rows.push(Some(StateDiff::decode(&diff.encode(), block.header.slot).unwrap()));
            }
        }
        rows
    }

    /// Every object of the archive of this chain.
    pub fn objects(&self) -> Vec<(ObjectName, Vec<u8>)> {
        let root = self.network.registry_root();
        let frontier = self.frontier();
        let mut objects = vec![
            (ObjectName::Format, lamella_archive::FORMAT.as_bytes().to_vec()),
            (ObjectName::Registry { root }, self.network.validators().as_ssz().to_vec()),
            (frontier.name(), frontier.encode()),
        ];
        for index in 0..self.complete_segments() {
            let sealed = self.seal(index);
            objects.push((sealed.name(), sealed.bytes));
        }
        objects
    }
}

/// Reads a segment, and proves all of it under its frontier.
pub fn read(chain: &Chain, sealed: &SealedSegment) -> SegmentFile {
    let file = SegmentFile::decode("segment", &sealed.bytes, &chain.network).unwrap();
    let frontier = chain.frontier();
    file.check_name(&sealed.name()).unwrap();
    file.check_root(&frontier.segment_roots()[sealed.index as usize]).unwrap();
    assert!(file.verify_states(frontier.segment_roots()).unwrap() >= file.block_count());
    file
}

fn any_vote() -> impl Strategy<Value = Vote> {
    prop_oneof![
        4 => prop_oneof![Just(0), any::<u64>()].prop_map(|absent| Vote::InTime { absent }),
        2 => any::<u64>().prop_map(|voters| Vote::Late { voters }),
        1 => (any::<u8>(), any::<u64>()).prop_map(|(seed, voters)| Vote::Foreign { seed, voters }),
        1 => (0..40_u64, 0..100_usize).prop_map(|(back, bits)| Vote::Old { back, bits }),
    ]
}

/// Mostly a block a slot; now and then a few empty slots, or whole segments of them.
pub fn any_step() -> impl Strategy<Value = Step> {
    let skipped = prop_oneof![
        30 => Just(0_u64),
        8 => 1..4_u64,
        4 => 100..400_u64,
        1 => 1000..2100_u64,
    ];
    (skipped, vec(any_vote(), 0..4)).prop_map(|(skipped, votes)| Step { skipped, votes })
}

/// Chains of few and of many validators.
pub fn any_chain() -> impl Strategy<Value = Chain> {
    (prop_oneof![1..10_u64, 60..70_u64], vec(any_step(), 1..90), 1..2100_u64).prop_map(
        |(validators, mut steps, last)| {
            steps.push(Step { skipped: last, votes: Vec::new() });
            Chain::of(validators, &steps)
        },
    )
}

/// The slots of a chain's blocks.
pub fn slots(chain: &Chain) -> Vec<Slot> {
    chain.blocks.iter().map(|block| block.header.slot).collect()
}
