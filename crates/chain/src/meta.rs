//! The fork choice row of `Meta`: what the last commit acknowledged.

use lamella_fork_choice::ForkChoice;
use lamella_tables::{Bytes, Damage, Fault, Key, Meta, MetaName, Read, ReadError, Table, WriteTxn};
use lamella_types::{Checkpoint, Decode, Root, to_ssz};

/// Name of the row.
const FORK_CHOICE: &str = "fork_choice";

/// Every name that this version writes. Others are left alone: a later version may have written them.
pub(crate) const META_NAMES: &[&str] = &["schema", "identity", FORK_CHOICE, "signature_floor"];

/// `[head: 32 | safe target: 32 | justified: 40 | finalized: 40 | time: u64 LE]`, 152 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkChoiceRow {
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
        Self {
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

    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        txn.put::<Meta>(&MetaName::new(FORK_CHOICE), &Bytes(self.encode()))?;
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.head.as_bytes().to_vec();
        bytes.extend_from_slice(self.safe_target.as_bytes());
        bytes.extend(to_ssz(&self.justified));
        bytes.extend(to_ssz(&self.finalized));
        bytes.extend_from_slice(&self.time.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
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

/// A row that proves itself but does not say what it should.
pub(crate) fn content<T: Table>(key: &T::Key, what: &str) -> ReadError {
    let fault = Fault::Content(what.to_owned());
    Damage::new::<T>(Key::encode(key), fault).into()
}
