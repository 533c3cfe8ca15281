//! `State`: leanSpec `containers/state.py`, with its large fields shared between the states of a branch.
//!
//! SSZ bytes and root are those of the plain container (kept in `tests/plain.rs` as the oracle). The fixed part
//! has 228 bytes: `config 8 | slot 8 | latest_block_header 112 | latest_justified 40 | latest_finalized 40 |
//! 5 offsets`, then `historical_block_hashes | justified_slots | validators | justifications_roots |
//! justifications_validators`.

use crate::{
    attestation::Checkpoint,
    block::BlockHeader,
    decode::{Decode, DecodeError, Fields, fixed_list_count},
    glue::fixed_container,
    hash_tree_root,
    history::BlockHashes,
    justification::{JustificationValidators, Justifications, JustifiedSlots},
    limits::HISTORICAL_ROOTS_LIMIT,
    merkle::{hash_pair, merkleize, merkleize_roots, zero_hash},
    registry::Validators,
    root::{ROOT_BYTES, Root},
    slot::Slot,
};
use ssz_rs::prelude::*;

/// Chain parameters inside the state. `[genesis_time: u64 LE]`, Unix seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, SimpleSerialize)]
pub struct Config {
    /// Unix seconds at which slot 0 began.
    pub genesis_time: u64,
}
fixed_container!(Config, 8);

/// The consensus state. Cloning costs the same at any history length and registry size.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    /// Chain parameters.
    pub config: Config,
    /// The state's slot.
    pub slot: Slot,
    /// Header of the latest block; its `state_root` is zero until the next slot begins.
    pub latest_block_header: BlockHeader,
    /// Latest justified checkpoint.
    pub latest_justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub latest_finalized: Checkpoint,
    /// Block root of every slot before the latest block's.
    pub historical_block_hashes: BlockHashes,
    /// Justified slots after the finalized one.
    pub justified_slots: JustifiedSlots,
    /// The registry.
    pub validators: Validators,
    /// `justifications_roots` and `justifications_validators`.
    pub justifications: Justifications,
}

/// Bytes of the fixed part, offsets included.
const FIXED_BYTES: usize = 228;

impl State {
    /// `hash_tree_root` of the state.
    ///
    /// # Cost
    /// About 60 hashes, plus one for each 64 bytes of justified slots and of a tally that changed.
    #[must_use]
    pub fn root(&self) -> Root {
        let (justifications_roots, justifications_validators) = self.justifications.field_roots();
        merkleize_roots(
            &[
                u64_root(self.config.genesis_time),
                u64_root(self.slot),
                header_root(&self.latest_block_header),
                checkpoint_root(&self.latest_justified),
                checkpoint_root(&self.latest_finalized),
                self.historical_block_hashes.root(),
                self.justified_slots.root(),
                self.validators.root(),
                justifications_roots,
                justifications_validators,
            ],
            4,
        )
    }

    /// The SSZ encoding.
    ///
    /// # Cost
    /// One copy of each field; no hashing.
    #[must_use]
    pub fn to_ssz(&self) -> Vec<u8> {
        let roots = self.justifications.roots();
        let lengths = [
            self.historical_block_hashes.len() * ROOT_BYTES,
            self.justified_slots.len() / 8 + 1,
            self.validators.as_ssz().len(),
            roots.len() * ROOT_BYTES,
        ];
        let votes_bytes = self.justifications.votes().len() / 8 + 1;
        let total = FIXED_BYTES + lengths.iter().sum::<usize>() + votes_bytes;
        let mut bytes = Vec::with_capacity(total);
        bytes.extend_from_slice(&self.config.genesis_time.to_le_bytes());
        bytes.extend_from_slice(&self.slot.to_le_bytes());
        bytes.extend(crate::to_ssz(&self.latest_block_header));
        bytes.extend(crate::to_ssz(&self.latest_justified));
        bytes.extend(crate::to_ssz(&self.latest_finalized));
        let mut offset = FIXED_BYTES;
        for length in lengths.into_iter().chain([0]) {
            #[expect(clippy::cast_possible_truncation, reason = "the largest state has 143 MB")]
            bytes.extend_from_slice(&(offset as u32).to_le_bytes());
            offset += length;
        }
        self.historical_block_hashes.write_ssz(&mut bytes);
        self.justified_slots.write_ssz(&mut bytes);
        bytes.extend_from_slice(self.validators.as_ssz());
        for root in roots {
            bytes.extend_from_slice(root.as_bytes());
        }
        self.justifications.votes().write_ssz(&mut bytes);
        bytes
    }
}

impl Decode for State {
    fn from_ssz(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields::new("State", bytes, FIXED_BYTES)?;
        let config = Config { genesis_time: fields.u64() };
        let slot = fields.u64();
        let latest_block_header = BlockHeader::from_ssz(fields.take(BlockHeader::SSZ_BYTES))?;
        let latest_justified = Checkpoint::from_ssz(fields.take(Checkpoint::SSZ_BYTES))?;
        let latest_finalized = Checkpoint::from_ssz(fields.take(Checkpoint::SSZ_BYTES))?;
        for _ in 0..5 {
            fields.offset()?;
        }
        let [history, justified_slots, validators, roots, votes] = fields.parts();
        fixed_list_count("JustificationRoots", roots, ROOT_BYTES, HISTORICAL_ROOTS_LIMIT)?;
        let roots = roots.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice).collect();
        let justified_slots = JustifiedSlots::from_ssz(justified_slots)?;
        let votes = JustificationValidators::from_ssz(votes)?;
        Ok(Self {
            config,
            slot,
            latest_block_header,
            latest_justified,
            latest_finalized,
            historical_block_hashes: BlockHashes::from_ssz(history)?,
            justified_slots,
            validators: Validators::from_ssz(validators)?,
            justifications: Justifications::new(roots, votes),
        })
    }
}

fn u64_root(value: u64) -> Root {
    merkleize(&value.to_le_bytes(), 0)
}

fn checkpoint_root(checkpoint: &Checkpoint) -> Root {
    hash_pair(&checkpoint.root, &u64_root(checkpoint.slot))
}

/// The header's root without `ssz_rs`' allocations: it is hashed at every read of a header.
pub(crate) fn header_root(header: &BlockHeader) -> Root {
    let left = hash_pair(
        &hash_pair(&u64_root(header.slot), &u64_root(header.proposer_index)),
        &hash_pair(&header.parent_root, &header.state_root),
    );
    let right = hash_pair(&hash_pair(&header.body_root, &Root::ZERO), &zero_hash(1));
    hash_pair(&left, &right)
}

impl BlockHeader {
    /// `hash_tree_root` of the header: the root of its block.
    #[must_use]
    pub fn root(&self) -> Root {
        debug_assert_eq!(header_root(self), hash_tree_root(self), "the container's own root");
        header_root(self)
    }
}
