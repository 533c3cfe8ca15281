//! The fork choice row of `Meta`: what the last commit acknowledged.

use lamella_fork_choice::ForkChoice;
use lamella_tables::{
    Bytes, Damage, Fault, Key, Meta, MetaName, Read, ReadError, Slots, Table, WriteTxn,
};
use lamella_types::{Checkpoint, Decode, Root, to_ssz};

/// Name of the row.
pub(crate) const FORK_CHOICE: &str = "fork_choice";

/// Name of the row that counts the blocks: `[format: u8 = 1 | blocks: u64 BE]`. With it a start sees a lost row of Slots
/// without looking for it.
pub(crate) const BLOCKS: &str = "blocks";

/// Every name that this version writes. Others are left alone: a later version may have written them.
pub(crate) const META_NAMES: &[&str] = &[
    "schema",
    "identity",
    FORK_CHOICE,
    "extent",
    "unchecked_proofs",
    BLOCKS,
    "migration",
    "restoration",
    "archived",
    "tail_shipped",
    "followed",
    "backup",
    "pruning",
];

/// First byte of the row. A later version may append to what stands behind it; this one reads what it knows.
const FORMAT: u8 = 1;

/// `[format: u8 = 1 | tree root: 40 | head: 32 | safe target: 32 | justified: 40 | finalized: 40 | time: u64 LE]`, 193
/// bytes. The live tree is its root and all stored descendants of that (L1), so the root is all that is kept of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkChoiceRow {
    /// Root of the live tree.
    pub tree_root: Checkpoint,
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

impl ForkChoiceRow {
    /// What a view would store.
    #[must_use]
    pub fn of(view: &ForkChoice) -> Self {
        let root = view.tree_root();
        Self {
            tree_root: Checkpoint { root: root.root, slot: root.slot },
            head: view.head(),
            safe_target: view.safe_target(),
            justified: view.latest_justified(),
            finalized: view.latest_finalized(),
            time: view.time(),
        }
    }

    /// The stored row; `None` before the first import of a directory.
    ///
    /// # Errors
    /// A damaged row, or the engine.
    pub fn read(txn: &impl Read) -> Result<Option<Self>, ReadError> {
        let name = MetaName::new(FORK_CHOICE);
        let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else {
            return Ok(None);
        };
        let decoded = Self::decode(&bytes);
        decoded.map(Some).ok_or_else(|| content::<Meta>(&name, "not a fork choice row"))
    }

    /// Writes the row, and how many blocks there are with it.
    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        txn.put::<Meta>(&MetaName::new(FORK_CHOICE), &Bytes(self.encode()))?;
        put_block_count(txn)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend(to_ssz(&self.tree_root));
        bytes.extend_from_slice(self.head.as_bytes());
        bytes.extend_from_slice(self.safe_target.as_bytes());
        bytes.extend(to_ssz(&self.justified));
        bytes.extend(to_ssz(&self.finalized));
        bytes.extend_from_slice(&self.time.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (tree_root, rest) =
            bytes.strip_prefix(&[FORMAT])?.split_at_checked(Checkpoint::SSZ_BYTES)?;
        let (head, rest) = rest.split_first_chunk()?;
        let (safe_target, rest) = rest.split_first_chunk()?;
        let (justified, rest) = rest.split_at_checked(Checkpoint::SSZ_BYTES)?;
        let (finalized, rest) = rest.split_at_checked(Checkpoint::SSZ_BYTES)?;
        let (time, _) = rest.split_first_chunk()?;
        Some(Self {
            tree_root: Checkpoint::from_ssz(tree_root).ok()?,
            head: Root::new(*head),
            safe_target: Root::new(*safe_target),
            justified: Checkpoint::from_ssz(justified).ok()?,
            finalized: Checkpoint::from_ssz(finalized).ok()?,
            time: u64::from_le_bytes(*time),
        })
    }
}

/// Writes how many blocks there are now.
pub(crate) fn put_block_count(txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
    let stats = txn.table_stats()?;
    let blocks = stats.iter().find(|table| table.name == Slots::NAME).map(|table| table.rows);
    let row = [&[FORMAT], &blocks.unwrap_or_default().to_be_bytes()[..]].concat();
    Ok(txn.put::<Meta>(&MetaName::new(BLOCKS), &Bytes(row))?)
}

/// How many blocks the last commit left; `None` if no row says.
///
/// # Errors
/// A damaged row, or the engine.
pub fn block_count(txn: &impl Read) -> Result<Option<u64>, ReadError> {
    let name = MetaName::new(BLOCKS);
    let Some(Bytes(bytes)) = txn.get::<Meta>(&name)? else { return Ok(None) };
    let count = bytes.strip_prefix(&[FORMAT]).and_then(|count| count.split_first_chunk());
    let (count, _) = count.ok_or_else(|| content::<Meta>(&name, "not a count"))?;
    Ok(Some(u64::from_be_bytes(*count)))
}

/// A row that proves itself but does not say what it should.
pub(crate) fn content<T: Table>(key: &T::Key, what: &str) -> ReadError {
    let fault = Fault::Content(what.to_owned());
    Damage::new::<T>(Key::encode(key), fault).into()
}
