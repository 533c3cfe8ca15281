//! What can be asked while blocks are imported. Each call is one snapshot of what some commit left.

use lamella_inspect::{LookupError, served::Served, which::Located};
use lamella_types::to_ssz;

use crate::{
    answer::{Answer, Block, BlockId, Checkpoint, Heads, Proof, Root},
    error::ReadError,
};

/// Reads the store, on any thread. Clones are cheap, and of the same store.
#[derive(Clone)]
pub struct Reader(pub(crate) Served);

impl Reader {
    /// Head and checkpoints. In memory.
    #[must_use]
    pub fn heads(&self) -> Heads {
        Heads::of(&self.0.chain().fork_choice())
    }

    /// A block without its proof, as SSZ of `Block`.
    ///
    /// # Errors
    /// Damage that lies on the way to it, or the engine's refusal.
    pub fn block(&self, id: BlockId) -> Result<Answer<Block>, ReadError> {
        answer(|| {
            let snapshot = self.0.snapshot()?;
            let located = snapshot.locate(id.into())?;
            Ok(ssz_of(&located, to_ssz(&snapshot.block(&located)?)))
        })
    }

    /// A block with its proof, as SSZ of `SignedBlock`.
    ///
    /// # Errors
    /// As [`Reader::block`].
    pub fn signed_block(&self, id: BlockId) -> Result<Answer<Block>, ReadError> {
        answer(|| {
            let snapshot = self.0.snapshot()?;
            let located = snapshot.locate(id.into())?;
            Ok(ssz_of(&located, to_ssz(&snapshot.signed_block(&located)?)))
        })
    }

    /// The state after a block, as SSZ of `State`; it was hashed, and is what the block commits to.
    ///
    /// # Errors
    /// As [`Reader::block`].
    ///
    /// # Cost
    /// From memory if it is recent. Else an anchor, one scan of block roots and at most 32 diffs, whatever the height.
    pub fn state(&self, id: BlockId) -> Result<Answer<Block>, ReadError> {
        answer(|| {
            let snapshot = self.0.snapshot()?;
            let located = snapshot.locate(id.into())?;
            Ok(ssz_of(&located, snapshot.state(&located)?.to_ssz()))
        })
    }

    /// Proves to whoever trusts one block what the chain before it has at a slot. [`Answer::BeyondHead`] names the
    /// trusted block's slot if the slot is after it.
    ///
    /// # Errors
    /// As [`Reader::block`].
    ///
    /// # Cost
    /// The trusted block's state, then about 1,300 hashes.
    pub fn proof(&self, trusted: Root, slot: u64) -> Result<Answer<Proof>, ReadError> {
        answer(|| {
            let snapshot = self.0.snapshot()?;
            let located = snapshot.locate(BlockId::Root(trusted).into())?;
            let Some(proven) = snapshot.prove(&located, slot)? else {
                let head_slot = located.key.slot;
                let forks = Vec::new();
                return Err(
                    lamella_inspect::NotStored::BeyondHead { slot, head_slot, forks }.into()
                );
            };
            Ok(Proof {
                trusted_header: to_ssz(&proven.proof.trusted),
                slot,
                root: proven.proof.root.0.0,
                header: proven.header.as_ref().map(to_ssz),
                generalized_index: proven.proof.generalized_index(),
                branch: proven.proof.branch.iter().map(|sibling| sibling.0.0).collect(),
            })
        })
    }
}

fn answer<T>(look: impl FnOnce() -> Result<T, LookupError>) -> Result<Answer<T>, ReadError> {
    Ok(Answer::of(look())?)
}

fn ssz_of(located: &Located, ssz: Vec<u8>) -> Block {
    Block { block: Checkpoint { root: located.key.root.0.0, slot: located.key.slot }, ssz }
}
