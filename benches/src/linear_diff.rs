//! The diff that one would write first: history entries repeated, the tally whole.

use lamella_types::{
    BlockHeader, Checkpoint, Decode as _, JustificationValidators, Justifications, JustifiedSlots,
    Root, State, latest_block_root, root::ROOT_BYTES, to_ssz,
};

/// Bytes of a diff's fixed part: three checkpoints and the header.
pub(crate) const FIXED_BYTES: usize = 3 * Checkpoint::SSZ_BYTES + BlockHeader::SSZ_BYTES;

/// What a block changed in its parent's state.
#[derive(Debug, Clone)]
pub struct LinearDiff {
    /// The parent.
    pub base: Checkpoint,
    /// Header of the block, its state root zero.
    pub header: BlockHeader,
    /// Latest justified checkpoint.
    pub justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub finalized: Checkpoint,
    /// History entries that are new.
    pub history: Vec<Root>,
    /// All justified slots.
    pub justified_slots: JustifiedSlots,
    /// The whole tally.
    pub justifications: Justifications,
}

impl LinearDiff {
    /// The change from `base` to its child's post-state.
    #[must_use]
    pub fn between(base: &State, target: &State) -> Self {
        let history = &target.historical_block_hashes;
        let new = base.historical_block_hashes.len() as u64..target.slot;
        Self {
            base: Checkpoint { root: latest_block_root(base), slot: base.slot },
            header: target.latest_block_header,
            justified: target.latest_justified,
            finalized: target.latest_finalized,
            history: new.map(|slot| history.get(slot).unwrap()).collect(),
            justified_slots: target.justified_slots.clone(),
            justifications: target.justifications.clone(),
        }
    }

    /// The bytes of the diff.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = to_ssz(&self.base);
        bytes.extend(to_ssz(&self.header));
        bytes.extend(to_ssz(&self.justified));
        bytes.extend(to_ssz(&self.finalized));
        put_run(&mut bytes, &concatenated(&self.history));
        put_run(&mut bytes, &to_ssz(&self.justified_slots));
        put_run(&mut bytes, &concatenated(self.justifications.roots()));
        put_run(&mut bytes, &to_ssz(self.justifications.votes()));
        bytes
    }

    pub(crate) fn decode(mut bytes: &[u8]) -> Self {
        let mut take = |count: usize| bytes.split_off(..count).unwrap();
        let checkpoint = |bytes| Checkpoint::from_ssz(bytes).unwrap();
        let base = checkpoint(take(Checkpoint::SSZ_BYTES));
        let header = BlockHeader::from_ssz(take(BlockHeader::SSZ_BYTES)).unwrap();
        let justified = checkpoint(take(Checkpoint::SSZ_BYTES));
        let finalized = checkpoint(take(Checkpoint::SSZ_BYTES));
        let mut run = || {
            let length = u32::from_le_bytes(take(4).try_into().unwrap());
            take(length as usize)
        };
        let history = roots(run());
        let justified_slots = JustifiedSlots::from_ssz(run()).unwrap();
        let tracked = roots(run());
        let votes = JustificationValidators::from_ssz(run()).unwrap();
        let justifications = Justifications::new(tracked, votes);
        Self { base, header, justified, finalized, history, justified_slots, justifications }
    }

    /// Turns a state whose history is the target's into the target.
    pub(crate) fn finish(self, state: &mut State) {
        state.slot = self.header.slot;
        state.latest_block_header = self.header;
        state.latest_justified = self.justified;
        state.latest_finalized = self.finalized;
        state.justified_slots = self.justified_slots;
        state.justifications = self.justifications;
    }
}

fn put_run(bytes: &mut Vec<u8>, run: &[u8]) {
    bytes.extend_from_slice(&u32::try_from(run.len()).unwrap().to_le_bytes());
    bytes.extend_from_slice(run);
}

fn concatenated(roots: &[Root]) -> Vec<u8> {
    roots.iter().flat_map(|root| root.as_bytes()).copied().collect()
}

pub(crate) fn roots(bytes: &[u8]) -> Vec<Root> {
    bytes.chunks_exact(ROOT_BYTES).map(|root| Root::from_slice(root).unwrap()).collect()
}
