//! A sidecar of block proofs in a store, read by range.
//!
//! The hard idea: a sidecar of a large network has a quarter of a gigabyte, and nobody needs it at once. Its index comes
//! first and has a digest of its own, so what is read after are runs of whole proofs, each compared with its digest; the
//! digest of the whole is made on the way. What that shows is that a proof is the one that was written. Whether it proves
//! its block only the proof scheme says.

use std::ops::Range;

use lamella_archive::{
    ArchiveError, Fault, ObjectName, SIDECAR_INDEX_BYTES_MAX, SegmentFile, SidecarIndex,
};
use lamella_tables::SlotRoot;
use lamella_types::{MultiMessageAggregate, Slot};

use crate::{error::ShippingError, proven::keys, remote::Remote, store::StoreError};

/// Bytes of proofs that are read together, but for a proof that is larger alone.
const RUN_BYTES_MAX: u64 = 8 << 20;

/// A sidecar whose index was read.
pub(crate) struct Sidecar<'a> {
    remote: &'a Remote,
    path: String,
    index: SidecarIndex,
    /// Bytes of the object.
    bytes: u64,
}

/// What the store shows no more.
const WITHDRAWN: &str = "it was there a moment ago";

impl<'a> Sidecar<'a> {
    /// Reads the index of a sidecar, held to its name; `None` if there is none.
    pub(crate) fn open(
        remote: &'a Remote,
        name: &ObjectName,
    ) -> Result<Option<Self>, ShippingError> {
        let path = remote.path(name);
        let Some(bytes) = remote.store().size(&path)? else { return Ok(None) };
        let bytes_max = name.bytes_max();
        if bytes > bytes_max {
            let url = remote.url();
            return Err(StoreError::TooLong { url, name: path, bytes, bytes_max }.into());
        }
        let start = 0..bytes.min(SIDECAR_INDEX_BYTES_MAX as u64);
        let Some(start) = remote.store().range(&path, start)? else { return Ok(None) };
        let index = SidecarIndex::decode(&path, &start, remote.network()).and_then(|index| {
            index.check_name(&path, name)?;
            Ok(index)
        });
        let index = index.map_err(|error| remote.damaged(error))?;
        Ok(Some(Self { remote, path, index, bytes }))
    }

    pub(crate) const fn index(&self) -> &SidecarIndex {
        &self.index
    }

    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many proofs it has.
    pub(crate) fn count(&self) -> u64 {
        self.index.slots().count() as u64
    }

    /// Refuses proofs of blocks that the segment does not have.
    pub(crate) fn check_blocks(&self, segment: &SegmentFile) -> Result<(), ShippingError> {
        let blocks: Vec<Slot> = keys(segment).map(|key: SlotRoot| key.slot).collect();
        match self.index.slots().find(|slot| blocks.binary_search(slot).is_err()) {
            None => Ok(()),
            Some(slot) => {
                let (low, high) = (slot / 1024 * 1024, slot / 1024 * 1024 + 1023);
                let fault = Fault::Range { what: "slot without a block", got: slot, low, high };
                Err(self.refuse(self.index.range(slot).map_or(0, |range| range.start), fault))
            }
        }
    }

    /// Compares every digest: of each proof, and of the whole.
    pub(crate) fn check(&self) -> Result<(), ShippingError> {
        let (start, mut writer) = self.index.begin();
        let mut end = start.len() as u64;
        if self.read(0..end)? != start {
            return Err(self.refuse(0, Fault::NotCanonical));
        }
        let slots: Vec<Slot> = self.index.slots().collect();
        for run in self.runs(&slots) {
            for (slot, proof) in self.proofs(run)? {
                let bytes = proof.proof.as_bytes();
                writer.push(bytes).map_err(|_| self.refuse(end, Fault::Digest))?;
                end = self.index.range(slot).map_or(end, |range| range.end);
            }
        }
        let last = writer.finish().map_err(|_| self.refuse(end, Fault::Digest))?;
        let (needed, left) = (last.len() as u64, self.bytes.saturating_sub(end));
        if left < needed {
            return Err(self.refuse(end, Fault::Truncated { needed, left }));
        }
        if left > needed {
            return Err(self.refuse(end, Fault::Trailing(left - needed)));
        }
        if self.read(end..self.bytes)? != last {
            return Err(self.refuse(end, Fault::Digest));
        }
        Ok(())
    }

    /// Slots that follow each other here, as many as are read together.
    pub(crate) fn runs<'s>(&self, slots: &'s [Slot]) -> Vec<&'s [Slot]> {
        let length =
            |slot: &Slot| self.index.range(*slot).map_or(0, |range| range.end - range.start);
        let (mut runs, mut from, mut bytes) = (Vec::new(), 0, 0);
        for (at, slot) in slots.iter().enumerate() {
            let more = length(slot);
            if at > from && bytes + more > RUN_BYTES_MAX {
                runs.push(&slots[from..at]);
                (from, bytes) = (at, 0);
            }
            bytes += more;
        }
        if from < slots.len() {
            runs.push(&slots[from..]);
        }
        runs
    }

    /// The proofs of slots that follow each other here, each with the digest that the index has.
    pub(crate) fn proofs(
        &self,
        run: &[Slot],
    ) -> Result<Vec<(Slot, MultiMessageAggregate)>, ShippingError> {
        let ends = [run.first(), run.last()].map(|slot| self.index.range(*slot?));
        let [Some(first), Some(last)] = ends else { return Ok(Vec::new()) };
        let bytes = self.read(first.start..last.end)?;
        let mut proofs = Vec::with_capacity(run.len());
        for slot in run {
            let Some(range) = self.index.range(*slot) else { continue };
            let place = |offset: u64| usize::try_from(offset - first.start).unwrap_or(usize::MAX);
            let proof = bytes.get(place(range.start)..place(range.end)).unwrap_or_default();
            let proof = self.index.check(&self.path, *slot, proof);
            proofs.push((*slot, proof.map_err(|error| self.remote.damaged(error))?));
        }
        Ok(proofs)
    }

    /// Bytes of the object; one that ends before is cut.
    fn read(&self, range: Range<u64>) -> Result<Vec<u8>, ShippingError> {
        if range.end > self.bytes {
            let (needed, left) = (range.end - range.start, self.bytes.saturating_sub(range.start));
            return Err(self.refuse(range.start, Fault::Truncated { needed, left }));
        }
        let found = self.remote.store().range(&self.path, range)?;
        let name = self.index.name();
        let missing = || ShippingError::Missing { url: self.remote.url(), name, hint: WITHDRAWN };
        found.ok_or_else(missing)
    }

    fn refuse(&self, offset: u64, fault: Fault) -> ShippingError {
        let (file, fault) = (self.path.clone(), Box::new(fault));
        self.remote.damaged(ArchiveError { file, section: "proofs", offset, fault })
    }
}
