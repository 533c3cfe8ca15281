//! Block proofs of a segment, to be read by range.
//!
//! ```text
//! file   = version | index | digest of all before: 32 | proofs, one after the other | digest
//! index  = format version: u8 = 1 | flags: u8 = 0 | network: 8 | index: u32 LE | segment root: 32 | presence: 128
//!        | for each slot present: length: u32 LE | SHA-256 of the proof: 32
//! ```
//!
//! The segment's root does not cover signatures, so a proof here is undamaged, never proven: that takes the proof scheme.
//! The index has a digest of its own, so a reader fetches the first [`SIDECAR_INDEX_BYTES_MAX`] bytes, then single proofs.

use std::ops::Range;

use lamella_types::{
    MultiMessageAggregate, ProofBytes, Root, SEGMENT_ROOTS, Slot, bits::ones,
    limits::PROOF_BYTES_MAX, root::ROOT_BYTES,
};
use sha2::{Digest as _, Sha256};

use crate::{
    container::{
        Container, RECORD_HEADER_BYTES, Section, digest_of, digest_record, record_at,
        record_header, version_record,
    },
    error::{ArchiveError, BuildError, Fault},
    limits::{SEGMENT_SLOTS, SEGMENTS_MAX, SIDECAR_BYTES_MAX},
    network_id::NetworkId,
    object_name::ObjectName,
    version::{VERSION, check_version},
};

/// Types of records.
const INDEX: u16 = 0x4c31;
const INDEX_DIGEST: u16 = 0x4c32;
const PROOFS: u16 = 0x4c33;

/// Bytes of an index before its presence bits, of these, and of an entry.
const FIXED_BYTES: usize = 1 + 1 + 8 + 4 + ROOT_BYTES;
const PRESENCE_BYTES: usize = SEGMENT_ROOTS / 8;
const ENTRY_BYTES: usize = 4 + ROOT_BYTES;

/// Bytes at the beginning of a sidecar that hold its index, whatever its size: 37 KB.
pub const SIDECAR_INDEX_BYTES_MAX: usize = 4 * RECORD_HEADER_BYTES
    + FIXED_BYTES
    + PRESENCE_BYTES
    + SEGMENT_ROOTS * ENTRY_BYTES
    + ROOT_BYTES;

/// Which proofs a sidecar has, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SidecarIndex {
    network: NetworkId,
    index: u32,
    segment_root: Root,
    entries: Vec<Entry>,
    /// Where the first proof begins.
    proofs_offset: u64,
}

/// A proof of the sidecar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    slot: Slot,
    length: u32,
    digest: Root,
}

impl SidecarIndex {
    /// The index of these proofs of a segment's blocks, by slot.
    ///
    /// # Errors
    /// [`BuildError::Range`] for a slot outside of the segment or not after the one before, or a proof beyond its limit.
    pub fn build<B: AsRef<[u8]>>(
        network: NetworkId,
        index: u32,
        segment_root: Root,
        proofs: impl IntoIterator<Item = (Slot, B)>,
    ) -> Result<Self, BuildError> {
        let within = |what, got, low, high| {
            let is_within = (low..=high).contains(&got);
            if is_within { Ok(()) } else { Err(BuildError::Range { what, got, low, high }) }
        };
        within("segment", u64::from(index), 0, u64::from(SEGMENTS_MAX) - 1)?;
        let mut next_slot = u64::from(index) * SEGMENT_SLOTS;
        let last_slot = next_slot + SEGMENT_SLOTS - 1;
        let mut entries = Vec::new();
        for (slot, proof) in proofs {
            let proof = proof.as_ref();
            within("slot", slot, next_slot, last_slot)?;
            within("bytes of a proof", proof.len() as u64, 0, PROOF_BYTES_MAX as u64)?;
            #[expect(clippy::cast_possible_truncation, reason = "at most 512 KiB")]
            let length = proof.len() as u32;
            entries.push(Entry { slot, length, digest: digest_of(proof) });
            next_slot = slot + 1;
        }
        let proofs_offset = proofs_offset(entries.len());
        Ok(Self { network, index, segment_root, entries, proofs_offset })
    }

    /// The whole sidecar, of the proofs that the index was built of, again. [`SidecarIndex::begin`] does without having them
    /// all in memory.
    ///
    /// # Errors
    /// [`BuildError::OtherProofs`] for others.
    pub fn encode<B: AsRef<[u8]>>(
        &self,
        proofs: impl IntoIterator<Item = B>,
    ) -> Result<Vec<u8>, BuildError> {
        let (mut bytes, mut writer) = self.begin();
        for proof in proofs {
            writer.push(proof.as_ref())?;
            bytes.extend_from_slice(proof.as_ref());
        }
        bytes.extend(writer.finish()?);
        Ok(bytes)
    }

    /// What a sidecar begins with. The proofs follow, each told to the writer, then what [`SidecarWriter::finish`] gives.
    #[must_use]
    pub fn begin(&self) -> (Vec<u8>, SidecarWriter<'_>) {
        let (start, mut hasher) = (self.start_bytes(), Sha256::new());
        hasher.update(&start);
        (start, SidecarWriter { entries: self.entries.iter(), hasher })
    }

    /// Reads the index from the first bytes of a sidecar, [`SIDECAR_INDEX_BYTES_MAX`] of them or all there are.
    ///
    /// # Errors
    /// [`ArchiveError`] for an index that is damaged or of another network.
    pub fn decode(file: &str, start: &[u8], network: NetworkId) -> Result<Self, ArchiveError> {
        let mut position = 0;
        let mut next = |kind, name| -> Result<Section<'_>, ArchiveError> {
            let (got, bytes) = record_at(file, start, position)?;
            let offset = position + RECORD_HEADER_BYTES;
            let section = Section { file, name, offset, bytes };
            position = offset + bytes.len();
            let right = got == kind;
            if right {
                Ok(section)
            } else {
                Err(section.refuse(Fault::Record { got, expected: kind }))
            }
        };
        let version = next(u16::from_le_bytes([0x65, 0x32]), "version record")?;
        if !version.bytes.is_empty() {
            return Err(version.refuse(Fault::NotE2store));
        }
        let section = next(INDEX, "index")?;
        let digest = next(INDEX_DIGEST, "digest of the index")?;
        let covered = digest.offset - RECORD_HEADER_BYTES;
        if digest.bytes != digest_of(&start[..covered]).as_bytes() {
            return Err(digest.refuse(Fault::Digest));
        }
        let index = read(&section, network)?;
        let header = &start[position.min(start.len())..];
        let name = "proofs";
        let proofs = Section { file, name, offset: position, bytes: header };
        let expected = record_header(PROOFS, index.proofs_bytes());
        if header.get(..RECORD_HEADER_BYTES) != Some(&expected[..]) {
            return Err(proofs.refuse(Fault::NotCanonical));
        }
        Ok(index)
    }

    /// Reads a whole sidecar, and compares every digest in it.
    ///
    /// # Errors
    /// [`ArchiveError`] for one that is damaged or of another network.
    pub fn check_all(file: &str, bytes: &[u8], network: NetworkId) -> Result<Self, ArchiveError> {
        let mut container = Container::open(file, bytes, SIDECAR_BYTES_MAX as u64)?;
        let index = Self::decode(file, bytes, network)?;
        for (kind, name) in
            [(INDEX, "index"), (INDEX_DIGEST, "digest of the index"), (PROOFS, "proofs")]
        {
            container.section(kind, name)?;
        }
        container.end()?;
        for slot in index.slots() {
            let range = index.range(slot).unwrap_or_default();
            #[expect(
                clippy::cast_possible_truncation,
                reason = "within the file, which is in memory"
            )]
            let proof = bytes.get(range.start as usize..range.end as usize).unwrap_or_default();
            index.check(file, slot, proof)?;
        }
        Ok(index)
    }

    /// What the sidecar is called.
    #[must_use]
    pub const fn name(&self) -> ObjectName {
        ObjectName::Proofs { index: self.index, root: self.segment_root }
    }

    /// Refuses a sidecar that was found under another's name.
    ///
    /// # Errors
    /// [`Fault::NotTheName`].
    pub fn check_name(&self, file: &str, name: &ObjectName) -> Result<(), ArchiveError> {
        let content = self.name();
        if content == *name {
            return Ok(());
        }
        let fault = Fault::NotTheName { name: *name, content };
        Err(ArchiveError::new(file, "index", 2 * RECORD_HEADER_BYTES as u64, fault))
    }

    /// Slots whose proofs it has, ascending.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.entries.iter().map(|entry| entry.slot)
    }

    /// Where in the file the proof of a slot is; `None` if it has none.
    #[must_use]
    pub fn range(&self, slot: Slot) -> Option<Range<u64>> {
        let mut start = self.proofs_offset;
        for entry in &self.entries {
            let end = start + u64::from(entry.length);
            if entry.slot == slot {
                return Some(start..end);
            }
            start = end;
        }
        None
    }

    /// The proof of a slot in the bytes of its range.
    ///
    /// # Errors
    /// [`Fault::Digest`] for other bytes than were written, or a slot that has none.
    pub fn check(
        &self,
        file: &str,
        slot: Slot,
        bytes: &[u8],
    ) -> Result<MultiMessageAggregate, ArchiveError> {
        let offset = self.range(slot).map_or(0, |range| range.start);
        let refused = |fault| ArchiveError::new(file, "proof", offset, fault);
        let entry = self.entries.iter().find(|entry| entry.slot == slot);
        if !entry.is_some_and(|entry| entry.is_of(bytes)) {
            return Err(refused(Fault::Digest));
        }
        let proof = ProofBytes::new(bytes.to_vec()).map_err(|error| refused(error.into()))?;
        Ok(MultiMessageAggregate { proof })
    }

    fn proofs_bytes(&self) -> usize {
        self.entries.iter().map(|entry| entry.length as usize).sum()
    }

    /// All before the proofs.
    fn start_bytes(&self) -> Vec<u8> {
        let mut index = vec![VERSION, 0];
        index.extend_from_slice(&self.network.0);
        index.extend_from_slice(&self.index.to_le_bytes());
        index.extend_from_slice(self.segment_root.as_bytes());
        let mut presence = [0; PRESENCE_BYTES];
        for slot in self.slots() {
            let offset = (slot % SEGMENT_SLOTS) as usize;
            presence[offset / 8] |= 1 << (offset % 8);
        }
        index.extend_from_slice(&presence);
        for entry in &self.entries {
            index.extend_from_slice(&entry.length.to_le_bytes());
            index.extend_from_slice(entry.digest.as_bytes());
        }
        let mut bytes = version_record().to_vec();
        bytes.extend_from_slice(&record_header(INDEX, index.len()));
        bytes.extend_from_slice(&index);
        let digest = digest_of(&bytes);
        bytes.extend_from_slice(&record_header(INDEX_DIGEST, ROOT_BYTES));
        bytes.extend_from_slice(digest.as_bytes());
        bytes.extend_from_slice(&record_header(PROOFS, self.proofs_bytes()));
        bytes
    }
}

/// Follows a sidecar's proofs while they are written.
#[derive(Debug)]
pub struct SidecarWriter<'a> {
    entries: std::slice::Iter<'a, Entry>,
    hasher: Sha256,
}

impl SidecarWriter<'_> {
    /// The next proof.
    ///
    /// # Errors
    /// [`BuildError::OtherProofs`] if it is not the one of the index.
    pub fn push(&mut self, proof: &[u8]) -> Result<(), BuildError> {
        let entry = self.entries.next().filter(|entry| entry.is_of(proof));
        entry.ok_or(BuildError::OtherProofs)?;
        self.hasher.update(proof);
        Ok(())
    }

    /// What a sidecar ends with.
    ///
    /// # Errors
    /// [`BuildError::OtherProofs`] if some are missing.
    pub fn finish(mut self) -> Result<Vec<u8>, BuildError> {
        if self.entries.next().is_some() {
            return Err(BuildError::OtherProofs);
        }
        let digest: [u8; ROOT_BYTES] = self.hasher.finalize().into();
        Ok(digest_record(&Root::new(digest)))
    }
}

impl Entry {
    fn is_of(&self, proof: &[u8]) -> bool {
        proof.len() == self.length as usize && digest_of(proof) == self.digest
    }
}

/// Where the proofs of an index of so many entries begin.
const fn proofs_offset(entries: usize) -> u64 {
    let index = FIXED_BYTES + PRESENCE_BYTES + entries * ENTRY_BYTES;
    (4 * RECORD_HEADER_BYTES + index + ROOT_BYTES) as u64
}

fn read(section: &Section<'_>, network: NetworkId) -> Result<SidecarIndex, ArchiveError> {
    let refuse = |fault: Fault| section.refuse(fault);
    let left = section.bytes.len() as u64;
    let short = |needed: usize| Fault::Truncated { needed: needed as u64, left };
    let Some((fixed, entries)) =
        section.bytes.split_first_chunk::<{ FIXED_BYTES + PRESENCE_BYTES }>()
    else {
        return Err(refuse(short(FIXED_BYTES + PRESENCE_BYTES)));
    };
    check_version(fixed[0], fixed[1]).map_err(refuse)?;
    let got = NetworkId(fixed[2..10].try_into().unwrap_or_default());
    if got != network {
        return Err(refuse(Fault::OtherNetwork { expected: network, got }));
    }
    let index = u32::from_le_bytes(fixed[10..14].try_into().unwrap_or_default());
    if index >= SEGMENTS_MAX {
        let (got, high) = (u64::from(index), u64::from(SEGMENTS_MAX) - 1);
        return Err(refuse(Fault::Range { what: "segment", got, low: 0, high }));
    }
    let segment_root = Root::from_slice(&fixed[14..FIXED_BYTES]).unwrap_or_default();
    let offsets: Vec<usize> = ones(&fixed[FIXED_BYTES..]).collect();
    let expected = offsets.len() * ENTRY_BYTES;
    if entries.len() < expected {
        return Err(refuse(short(FIXED_BYTES + PRESENCE_BYTES + expected)));
    }
    if entries.len() > expected {
        return Err(refuse(Fault::Trailing((entries.len() - expected) as u64)));
    }
    let first_slot = u64::from(index) * SEGMENT_SLOTS;
    let mut read = Vec::with_capacity(offsets.len());
    for (offset, entry) in offsets.iter().zip(entries.chunks_exact(ENTRY_BYTES)) {
        let (length, digest) = entry.split_at(4);
        let length = u32::from_le_bytes(length.try_into().unwrap_or_default());
        if length as usize > PROOF_BYTES_MAX {
            let (length, limit) = (u64::from(length), PROOF_BYTES_MAX as u64);
            return Err(refuse(Fault::TooLong { length, limit }));
        }
        let digest = Root::from_slice(digest).unwrap_or_default();
        read.push(Entry { slot: first_slot + *offset as u64, length, digest });
    }
    let proofs_offset = proofs_offset(read.len());
    Ok(SidecarIndex { network, index, segment_root, entries: read, proofs_offset })
}
