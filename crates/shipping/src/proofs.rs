//! Block proofs, shipped beside the segments that the archive holds.
//!
//! The hard idea: no root covers a proof, so nothing can be proven of one, and two nodes may have different proofs of one
//! block. A sidecar is what one node had when it shipped: a proof that was pruned, or that nobody has checked, is not in
//! it, and one that is there already stays as it is, whoever put it. So a sidecar is put once, after the audit of what
//! catch-up left unchecked has passed its segment; and none is put that would be empty, since another node may have
//! more.

use std::ops::ControlFlow;

use lamella_archive::{ObjectName, SidecarIndex};
use lamella_block_store::{self as block_store, UncheckedProofs};
use lamella_chain::Progress;
use lamella_inspect::{InspectError, ends, walk::Walk};
use lamella_tables::DatabaseView;
use lamella_types::{BlockHashes, Root, Slot};

use crate::{
    error::ShippingError,
    remote::{NOT_SHOWN, READ_ATTEMPTS, Remote, SEGMENT_SLOTS, first_slot},
    seal::Shipped,
    sidecar::Sidecar,
    store::Put,
};

/// Blocks whose proofs are read in one transaction: 32 MiB at most.
const CHUNK_BLOCKS: usize = 64;

/// What was shipped of proofs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProofShipment {
    /// Segments, from the first on, of which the archive has what it can get here.
    pub segments: u64,
    /// Sidecars that this run put.
    pub put: u64,
    /// Sidecars that were there, and whose every digest was compared.
    pub there: u64,
    /// Proofs in both.
    pub proofs: u64,
    /// Blocks of the segments that were looked at which have no proof in the archive: pruned here, or never checked.
    pub absent: u64,
    /// Bytes put.
    pub bytes: u64,
    /// The segment whose proofs wait to be checked first, if it stopped there.
    pub waits: Option<u64>,
}

/// Ships the proofs of segments that the archive was confirmed to hold, from the one after `done` on. `confirmed` is called
/// after each.
///
/// # Errors
/// [`ShippingError`]. What was confirmed before holds.
///
/// # Cost
/// The proofs of a segment are in memory once: 13 MB at four validators, 512 MiB at the most that a block may have.
pub fn ship_proofs(
    database: &DatabaseView,
    shipped: Shipped<'_>,
    remote: &Remote,
    done: u64,
    segments: u64,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    confirmed: &mut dyn FnMut(u64) -> Result<(), ShippingError>,
) -> Result<ProofShipment, ShippingError> {
    let mut shipment = ProofShipment { segments: done, ..ProofShipment::default() };
    let settled = shipped.settled()?;
    let held = shipped.held()?;
    let history = &settled.state.historical_block_hashes;
    for (index, segment) in (0..).zip(history.segments()) {
        let (told, total) = (u64::from(index), segments);
        if told < done || told >= segments {
            continue;
        }
        let mut go_on = || progress(Progress { stage: "proofs", done: told, total });
        if go_on().is_break() {
            return Err(ShippingError::Stopped);
        }
        let slots = first_slot(told)..first_slot(told + 1);
        // Genesis has no proof and needs none.
        let slots = slots.skip_while(|slot| *slot == 0);
        let is_block = |slot: &Slot| history.get(*slot).is_some_and(|root| !root.is_zero());
        let blocks = slots.filter(is_block).count() as u64;
        let job = Job { database, remote, history, index, root: segment.root() };
        let can_seal = held.can_seal(told);
        match job.ship(can_seal, &mut go_on)? {
            Outcome::Waits => {
                shipment.waits = Some(told);
                return Ok(shipment);
            }
            Outcome::None => shipment.absent += blocks,
            Outcome::Put { proofs, bytes } => {
                (shipment.put, shipment.bytes) = (shipment.put + 1, shipment.bytes + bytes);
                shipment.proofs += proofs;
                shipment.absent += blocks.saturating_sub(proofs);
            }
            Outcome::There { proofs } => {
                (shipment.there, shipment.proofs) = (shipment.there + 1, shipment.proofs + proofs);
                shipment.absent += blocks.saturating_sub(proofs);
            }
        }
        shipment.segments += 1;
        confirmed(shipment.segments)?;
    }
    Ok(shipment)
}

/// What became of a segment's proofs.
enum Outcome {
    Put {
        proofs: u64,
        bytes: u64,
    },
    There {
        proofs: u64,
    },
    /// This directory has no proof of it.
    None,
    /// Some are not checked yet.
    Waits,
}

/// Proofs by slot.
type Proofs = Vec<(Slot, Vec<u8>)>;

struct Job<'a> {
    database: &'a DatabaseView,
    remote: &'a Remote,
    /// Of the finalized chain.
    history: &'a BlockHashes,
    index: u32,
    root: Root,
}

impl Job<'_> {
    fn ship(
        &self,
        can_seal: bool,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Outcome, ShippingError> {
        let name = ObjectName::Proofs { index: self.index, root: self.root };
        if let Some(sidecar) = Sidecar::open(self.remote, &name)? {
            sidecar.check()?;
            self.remote.settle(&name)?;
            return Ok(Outcome::There { proofs: sidecar.count() });
        }
        if !can_seal {
            return Ok(Outcome::None);
        }
        let Some(proofs) = self.collect(go_on)? else { return Ok(Outcome::Waits) };
        if proofs.is_empty() {
            return Ok(Outcome::None);
        }
        let build = |source| {
            let index = self.index.into();
            ShippingError::Seal { index, source: Box::new(source) }
        };
        let pairs = proofs.iter().map(|(slot, proof)| (*slot, proof));
        let index = SidecarIndex::build(self.remote.network(), self.index, self.root, pairs);
        let index = index.map_err(build)?;
        let (start, mut writer) = index.begin();
        for (_, proof) in &proofs {
            writer.push(proof).map_err(build)?;
        }
        let mut parts = vec![start];
        let last = writer.finish().map_err(build)?;
        parts.extend(proofs.into_iter().map(|(_, proof)| proof));
        parts.push(last);
        let put = self.remote.store().put_new_parts(&self.remote.path(&name), parts)?;
        let found = self.read_back(&name)?;
        found.check()?;
        let proofs = found.count();
        // Somebody else's, if it is not ours.
        if put == Put::New && *found.index() == index {
            return Ok(Outcome::Put { proofs, bytes: found.bytes() });
        }
        Ok(Outcome::There { proofs })
    }

    /// A sidecar that was put. A store may show it late, so it is asked for more than once.
    fn read_back(&self, name: &ObjectName) -> Result<Sidecar<'_>, ShippingError> {
        for _ in 0..READ_ATTEMPTS {
            if let Some(found) = Sidecar::open(self.remote, name)? {
                return Ok(found);
            }
            self.remote.store().pause();
        }
        Err(ShippingError::Missing { url: self.remote.url(), name: *name, hint: NOT_SHOWN })
    }

    /// The proofs of the segment's blocks that were checked; `None` while some wait for that.
    fn collect(
        &self,
        go_on: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Proofs>, ShippingError> {
        let first = first_slot(self.index.into());
        let last = first + SEGMENT_SLOTS - 1;
        let mut walk = Walk::new(first, last);
        let mut proofs = Vec::new();
        while !walk.is_done() {
            if go_on().is_break() {
                return Err(ShippingError::Stopped);
            }
            let txn = self.database.read()?;
            let unchecked = UncheckedProofs::read(&txn)?;
            let waiting = unchecked.slots();
            if !waiting.is_empty() && waiting.start <= last && waiting.end > first {
                return Ok(None);
            }
            if block_store::signature_floor(&txn)?.key.slot > last {
                break;
            }
            for block in walk.next_blocks(&txn, CHUNK_BLOCKS)? {
                let slot = block.key.slot;
                if slot == 0 {
                    continue;
                }
                if self.history.get(slot) != Some(block.key.root) {
                    let finalized = ends::fork_choice_row(&txn)?.finalized.slot;
                    return Err(InspectError::Reorganized { slot, finalized }.into());
                }
                if let Some(proof) = block_store::checked_proof(&txn, &unchecked, &block.key)? {
                    proofs.push((slot, proof));
                }
            }
        }
        Ok(Some(proofs))
    }
}
