//! What schema 2 stored, for as long as its directories are to be read: its trees, and the rows whose bytes are others
//! now. Everything else (headers, bodies, proofs, slot index, canonical index, anchors, history, registries, sign guard)
//! has the same key and the same bytes, seal included, and only lies in another tree.
//!
//! | schema 2 | schema 3 |
//! |---|---|
//! | a tree for each table, keys as they are | three tables share the tree `Blocks`, keys end in two bytes more |
//! | tree `LiveChain` | the tree's root in the fork choice row: the first row of `LiveChain` |
//! | `Meta` rows and vote rows begin at once | they begin with a format byte |
//! | `Meta` row `signature_floor` | part of the row `extent` |
//! | diffs name base, anchor and checkpoints by slot and root | by slot, where the branch gives the root |
//! | an identity without slot length | with it: whoever migrates has to say it |
//!
//! Frozen: these bytes lie on disks. Nothing here changes; it goes when the last such directory has. What is read here is
//! written too, for directories that go back.

mod alone;
mod diff;

use lamella_fork_choice::VoteRow;
use lamella_tables::{Key as _, SlotRoot};
use lamella_types::{Checkpoint, Decode as _, Root, Slot, to_ssz};

use crate::vote_rows;

pub use alone::{Alone, LiveChain};
pub use diff::OldDiff;

/// The version that its schema row says.
pub const VERSION: u32 = 2;

/// Name of the row of `Meta` that says how far proofs have been pruned.
pub const FLOOR: &str = "signature_floor";

/// Its trees, one for each table, in the order of their declaration.
pub const TREES: [&str; 13] = [
    "Headers",
    "Bodies",
    "Signatures",
    "Slots",
    "Canonical",
    "Anchors",
    "Diffs",
    "History",
    "Registries",
    "LiveChain",
    "Votes",
    "SignGuard",
    "Meta",
];

/// Row `identity` of `Meta`: `[genesis time: u64 BE | registry root: 32 | proof scheme: UTF-8]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldIdentity {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the registry.
    pub registry_root: Root,
    /// Name of the proof scheme.
    pub proof_scheme: String,
}

impl OldIdentity {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let Self { genesis_time, registry_root, proof_scheme } = self;
        [&genesis_time.to_be_bytes()[..], registry_root.as_bytes(), proof_scheme.as_bytes()]
            .concat()
    }

    /// The identity in a row's value.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (genesis_time, rest) = bytes.split_first_chunk()?;
        let (registry_root, scheme) = rest.split_first_chunk()?;
        Some(Self {
            genesis_time: u64::from_be_bytes(*genesis_time),
            registry_root: Root::new(*registry_root),
            proof_scheme: String::from_utf8(scheme.to_vec()).ok()?,
        })
    }
}

/// Row `fork_choice` of `Meta`: `[head: 32 | safe target: 32 | justified: 40 | finalized: 40 | time: u64 LE]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OldForkChoice {
    /// Root of the head.
    pub head: Root,
    /// Root of the block that is safe to attest to.
    pub safe_target: Root,
    /// Latest justified checkpoint.
    pub justified: Checkpoint,
    /// Latest finalized checkpoint.
    pub finalized: Checkpoint,
    /// Intervals since genesis.
    pub time: u64,
}

impl OldForkChoice {
    /// The row's value.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let roots = [self.head, self.safe_target].map(|root| root.as_bytes().to_vec());
        let checkpoints = [to_ssz(&self.justified), to_ssz(&self.finalized)];
        [roots.concat(), checkpoints.concat(), self.time.to_le_bytes().to_vec()].concat()
    }

    /// The view in a row's value.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk()?;
        let (safe_target, rest) = rest.split_first_chunk()?;
        let (justified, rest) = rest.split_at_checked(Checkpoint::SSZ_BYTES)?;
        let (finalized, time) = rest.split_at_checked(Checkpoint::SSZ_BYTES)?;
        Some(Self {
            head: Root::new(*head),
            safe_target: Root::new(*safe_target),
            justified: Checkpoint::from_ssz(justified).ok()?,
            finalized: Checkpoint::from_ssz(finalized).ok()?,
            time: u64::from_le_bytes(time.try_into().ok()?),
        })
    }
}

/// Row `signature_floor` of `Meta`, which a directory that never pruned lacks: `[key: 40 | finalized slot: u64 BE]`.
#[must_use]
pub fn floor(bytes: &[u8]) -> Option<(SlotRoot, Slot)> {
    let (key, finalized) = bytes.split_last_chunk()?;
    Some((SlotRoot::decode(key)?, u64::from_be_bytes(*finalized)))
}

/// A row of `Votes`: today's without its format byte, and nothing behind it.
#[must_use]
pub fn vote(bytes: &[u8]) -> Option<VoteRow> {
    let row = vote_rows::decode(&[&[vote_rows::FORMAT], bytes].concat())?;
    (vote_rows::encode(&row).len() == bytes.len() + 1).then_some(row)
}
