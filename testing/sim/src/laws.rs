//! What must hold, whatever befalls the nodes.
//!
//! | law | looked at |
//! |---|---|
//! | one finality: whatever any node has ever finalized is on one chain | after each step |
//! | one signature: no key signs two things for one slot, in all lives of its node | with each message |
//! | committed first: a block that a node publishes is a row of its database | with each message |
//! | nothing lost: a node that was killed has every block, its head and its checkpoints again (lazy, after a power cut: the flushed) | at each start |
//! | honest: no node calls a message bad, or a peer at fault, that is not | with each verdict |
//! | going on: no node ends by itself | after each step |
//! | invariants: `lamella db verify` finds nothing | at each start, and at the end |
//! | back: once the faults are over all agree and finalize again | after each slot |

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    ops::ControlFlow,
};

use lamella_chain::{Chain, verify};
use lamella_fork_choice::ForkChoice;
use lamella_network::service::GossipMessage;
use lamella_tables::{Headers, Read as _, SlotRoot};
use lamella_types::{Checkpoint, Root, Slot, ValidatorIndex, hash_tree_root};

/// A law that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// When, in milliseconds since the beginning.
    pub at_ms: u64,
    /// By which node.
    pub node: usize,
    /// Which.
    pub law: &'static str,
    /// How.
    pub said: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at_ms, node, law, said } = self;
        write!(formatter, "at {at_ms} ms, node {node}: {law}: {said}")
    }
}

/// A law, and how it was broken.
pub(crate) type Broken = (&'static str, String);

/// What a node had when it was killed.
pub(crate) struct Had {
    standing: Standing,
    blocks: BTreeSet<Root>,
}

/// Where a node's view is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) head: Checkpoint,
    pub(crate) justified: Checkpoint,
    pub(crate) finalized: Checkpoint,
}

impl Standing {
    pub(crate) fn of(view: &ForkChoice) -> Self {
        Self {
            head: view.head_summary().checkpoint(),
            justified: view.latest_justified(),
            finalized: view.latest_finalized(),
        }
    }
}

impl Had {
    pub(crate) fn of(view: &ForkChoice) -> Self {
        Self {
            standing: Standing::of(view),
            blocks: view.nodes().map(|block| block.root).collect(),
        }
    }
}

/// What was said and finalized so far.
#[derive(Default)]
pub(crate) struct Laws {
    /// The parents of all blocks that were on a head's chain.
    parents: HashMap<Root, (Slot, Root)>,
    /// What each key signed, by validator, kind and slot.
    signed: HashMap<(ValidatorIndex, bool, Slot), Root>,
    /// The highest checkpoint that was ever finalized.
    finalized: Checkpoint,
}

impl Laws {
    /// A node publishes this.
    pub(crate) fn published(
        &mut self,
        chain: &Chain,
        message: &GossipMessage,
    ) -> Result<(), Broken> {
        let (key, root) = match message {
            GossipMessage::Block(signed) => {
                let (block, root) = (&signed.block, hash_tree_root(&signed.block));
                let txn = chain.read().map_err(|error| ("committed first", error.to_string()))?;
                let row = txn.get::<Headers>(&SlotRoot::new(block.slot, root));
                if !row.is_ok_and(|row| row == Some(block.header())) {
                    return Err(("committed first", format!("block {root} has no row")));
                }
                ((block.proposer_index, true, block.slot), root)
            }
            GossipMessage::Attestation { attestation, .. } => {
                let data = &attestation.data;
                ((attestation.validator_index, false, data.slot), hash_tree_root(data))
            }
            GossipMessage::Aggregate(_) => return Ok(()),
        };
        let first = *self.signed.entry(key).or_insert(root);
        if first == root {
            return Ok(());
        }
        let (validator, is_block, slot) = key;
        let what = if is_block { "blocks" } else { "votes" };
        Err(("one signature", format!("validator {validator} signed two {what} for slot {slot}")))
    }

    /// A node has this head. Not every block of its chain was published: its proposer may have died first, and served it later.
    pub(crate) fn sees(&mut self, view: &ForkChoice) {
        let mut root = view.head_summary().checkpoint().root;
        while let Some(block) = view.get(&root) {
            if self.parents.insert(root, (block.slot, block.parent_root)).is_some() {
                return;
            }
            root = block.parent_root;
        }
    }

    /// A node has finalized this.
    pub(crate) fn finalizes(&mut self, checkpoint: Checkpoint) -> Result<(), Broken> {
        let (low, high) = if checkpoint.slot < self.finalized.slot {
            (checkpoint, self.finalized)
        } else {
            (self.finalized, checkpoint)
        };
        self.finalized = high;
        if low.slot == 0 || self.ancestor(high.root, low.slot) == Some(low.root) {
            return Ok(());
        }
        Err(("one finality", format!("{low:?} and {high:?}")))
    }

    /// The block of this slot on the chain that ends here.
    fn ancestor(&self, mut root: Root, slot: Slot) -> Option<Root> {
        loop {
            let (its_slot, parent) = *self.parents.get(&root)?;
            if its_slot <= slot {
                return (its_slot == slot).then_some(root);
            }
            root = parent;
        }
    }
}

/// A node that was killed is back.
pub(crate) fn is_back(view: &ForkChoice, had: &Had) -> Result<(), Broken> {
    let standing = Standing::of(view);
    if standing != had.standing {
        return Err(("nothing lost", format!("{:?}, and now {standing:?}", had.standing)));
    }
    match had.blocks.iter().find(|root| !view.contains(root)) {
        Some(root) => Err(("nothing lost", format!("block {root} is gone"))),
        None => Ok(()),
    }
}

/// Checks every invariant of a node's directory.
pub(crate) fn invariants(chain: &Chain) -> Result<(), Broken> {
    let report = verify(chain.database(), &mut |_| ControlFlow::Continue(()));
    match report {
        Ok(report) if report.findings.is_empty() => Ok(()),
        Ok(report) => Err(("invariants", format!("{:?}", report.findings))),
        Err(error) => Err(("invariants", error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(byte: u8) -> Root {
        Root::new([byte; 32])
    }

    /// Blocks 1, 2 and 3 follow each other, and 4 follows 1.
    fn laws() -> Laws {
        let parents = [(1, 0), (2, 1), (3, 2), (4, 1)];
        let parents = parents.map(|(slot, parent)| (root(slot), (slot.into(), root(parent))));
        Laws { parents: parents.into(), ..Laws::default() }
    }

    #[test]
    fn finality_on_one_chain_is_one_and_on_two_it_is_not() {
        let at = |slot: u8| Checkpoint { root: root(slot), slot: slot.into() };
        let mut laws = laws();
        for slot in [2, 1, 3, 2] {
            assert_eq!(laws.finalizes(at(slot)), Ok(()), "{slot}");
        }
        assert_eq!(laws.finalizes(at(4)).map_err(|(law, _)| law), Err("one finality"));
    }
}
