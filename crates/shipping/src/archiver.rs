//! The archiver: what is finalized of a chain becomes objects, each confirmed before it counts.
//!
//! The hard idea: an upload is done when what the store gives back is what was meant, not when the store says so. So a
//! segment is read, encoded, decoded and verified, put if there is none of its name, and read back; one that is there
//! already is held to its meaning, since equal content may have other bytes. Only then the next one, only after all of
//! them the frontier. The cursor moves by what is contiguous, and past the last segment only once the frontier is there:
//! before that nobody could prove what the cursor stands for. A failure stops it where it is.
//!
//! No transaction is open while the store is asked.

use std::ops::ControlFlow;

use lamella_archive::{FORMAT, Frontier, Network, ObjectName};
use lamella_chain::Progress;
use lamella_inspect::seal::{Settled, Shipped};
use lamella_types::{Checkpoint, Root};

use crate::{
    ahead::Ahead,
    error::ShippingError,
    remote::{Inventory, Remote},
    store::{Put, Store, StoreError},
};

/// What was shipped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shipment {
    /// Segments that the archive holds now without a gap from the first on, each confirmed.
    pub segments: u64,
    /// Of these, those that this run put.
    pub put: u64,
    /// Of these, those that were there, and whose every state was verified.
    pub verified: u64,
    /// Bytes put.
    pub bytes: u64,
    /// The block that the frontier proves everything before.
    pub frontier: Option<Checkpoint>,
}

/// What an archiver is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Known {
    /// Segments that this directory has confirmed there before: they must be there, and are not read again.
    pub confirmed: u64,
    /// Whether the next segment is sealed on a second thread while one is verified and put: for who has nothing else to do.
    /// A node beside it would feel it.
    pub is_hurried: bool,
}

/// Ships what is finalized of a chain. `progress` is called for each segment, and may stop it; `confirmed` after each one
/// that counts: the last one does once the frontier is there.
///
/// # Errors
/// [`ShippingError`]. What was confirmed before holds.
pub fn ship(
    shipped: Shipped<'_>,
    store: Store,
    known: Known,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    confirmed: &mut dyn FnMut(u64) -> Result<(), ShippingError>,
) -> Result<(Remote, Shipment), ShippingError> {
    let network = shipped.network()?;
    let remote = Remote::of(store, network.id());
    let settled = shipped.settled()?;
    let roots = settled.segment_roots();
    let inventory = remote.inventory()?;
    inventory.check_one_chain(&remote)?;
    let total = roots.len() as u64;
    let mut job = Job { remote: &remote, network: &network, progress, total };
    job.check_listed(&inventory, &settled, &roots, known)?;
    job.put_describing()?;
    let mut shipment = Shipment { segments: known.confirmed, ..Shipment::default() };
    let held = shipped.held()?;
    let is_wanted = |index: u32, root: &Root| {
        let name = ObjectName::Segment { index, root: *root };
        held.can_seal(index.into()) && !inventory.objects.contains_key(&name)
    };
    Ahead::with(shipped, &network, |ahead| {
        let segments = (0..).zip(&roots).skip(usize::try_from(known.confirmed).unwrap_or(0));
        for (index, root) in segments {
            let next = roots.get(index as usize + 1).filter(|root| is_wanted(index + 1, root));
            ahead.next = next.filter(|_| known.is_hurried).map(|_| index + 1);
            let can_seal = held.can_seal(index.into());
            match job.ship_segment(index, *root, &roots[..index as usize], can_seal, ahead)? {
                Some(bytes) => {
                    shipment.put += 1;
                    shipment.bytes += bytes;
                }
                None => shipment.verified += 1,
            }
            shipment.segments += 1;
            if shipment.segments < total {
                confirmed(shipment.segments)?;
            }
        }
        Ok::<(), ShippingError>(())
    })?;
    // The first one also says where a chain without a segment begins.
    shipment.frontier = Some(job.ship_frontier(&settled, &inventory)?);
    if shipment.segments > known.confirmed {
        confirmed(shipment.segments)?;
    }
    Ok((remote, shipment))
}

struct Job<'a> {
    remote: &'a Remote,
    network: &'a Network,
    progress: &'a mut dyn FnMut(Progress) -> ControlFlow<()>,
    total: u64,
}

impl Job<'_> {
    /// The archive is of our chain, and has what we confirmed.
    fn check_listed(
        &self,
        inventory: &Inventory,
        settled: &Settled,
        roots: &[Root],
        known: Known,
    ) -> Result<(), ShippingError> {
        inventory.check_under(self.remote, &settled.frontier()?)?;
        // A frontier below ours whose block is not on our chain is of another chain.
        for block in inventory.frontiers() {
            let own = settled.state.historical_block_hashes.get(block.slot);
            let own =
                own.or_else(|| (settled.block().slot == block.slot).then(|| settled.block().root));
            if own.is_some_and(|own| own != block.root) {
                let name = ObjectName::Frontier { slot: block.slot, root: block.root };
                return Err(ShippingError::TwoChains {
                    url: self.remote.url(),
                    one: self.remote.path(&name),
                    other: format!("this directory's finalized block {}", settled.block().root),
                });
            }
        }
        for (index, root) in (0..).zip(roots).take(usize::try_from(known.confirmed).unwrap_or(0)) {
            let name = ObjectName::Segment { index, root: *root };
            // A list may lag: the object itself is asked for before anybody is accused.
            if !inventory.objects.contains_key(&name) && self.remote.get(&name)?.is_none() {
                let (url, confirmed) = (self.remote.url(), known.confirmed);
                return Err(ShippingError::CursorAhead { url, confirmed, name });
            }
        }
        if known.confirmed > roots.len() as u64 {
            let what = format!(
                "this directory has confirmed {} segments, its finalized chain has {}: an older copy of it was put in its place",
                known.confirmed,
                roots.len()
            );
            return Err(ShippingError::NotShippable { what });
        }
        Ok(())
    }

    /// The page that says what the archive is, and the registry.
    fn put_describing(&self) -> Result<(), ShippingError> {
        self.put_format()?;
        let root = self.network.registry_root();
        let name = ObjectName::Registry { root };
        let bytes = self.network.validators().as_ssz();
        self.remote.store().put_new(&self.remote.path(&name), bytes)?;
        let found = self.remote.read_back(&name)?;
        if found != bytes {
            // Whatever it is, it does not hash to its name.
            self.remote.read_network(self.network.genesis_time(), root)?;
        }
        Ok(())
    }

    /// The one object that no digest covers and nobody decodes. A later version's is another text, and stays; one that is
    /// the beginning of ours was torn, and is the only object that is ever put again in the place of what was there.
    fn put_format(&self) -> Result<(), ShippingError> {
        let (path, name) = (self.remote.path(&ObjectName::Format), ObjectName::Format);
        let is_torn =
            |found: &[u8]| found.len() < FORMAT.len() && FORMAT.as_bytes().starts_with(found);
        match self.remote.get(&name) {
            Ok(None) => {}
            Ok(Some(found)) if is_torn(&found) => self.remote.store().delete(&path)?,
            Ok(Some(_)) | Err(ShippingError::Store(StoreError::TooLong { .. })) => return Ok(()),
            Err(error) => return Err(error),
        }
        self.remote.store().put_new(&path, FORMAT.as_bytes())?;
        if is_torn(&self.remote.read_back(&name)?) {
            let hint = "what is there is its beginning alone; the next run puts it again";
            return Err(ShippingError::Missing { url: self.remote.url(), name, hint });
        }
        Ok(())
    }

    /// Confirms a segment; says how many bytes were put, `None` if it was there.
    fn ship_segment(
        &mut self,
        index: u32,
        root: Root,
        before: &[Root],
        can_seal: bool,
        ahead: &mut Ahead<'_, '_>,
    ) -> Result<Option<u64>, ShippingError> {
        let (done, total) = (u64::from(index), self.total);
        if (self.progress)(Progress { stage: "segments", done, total }).is_break() {
            return Err(ShippingError::Stopped);
        }
        let name = ObjectName::Segment { index, root };
        if let Some(found) = self.remote.get(&name)? {
            self.verify(&name, &found, before)?;
            self.remote.settle(&name)?;
            return Ok(None);
        }
        if !can_seal {
            let hint = "this directory began later and cannot seal it: export from one that began at genesis first";
            return Err(ShippingError::Missing { url: self.remote.url(), name, hint });
        }
        let progress = &mut *self.progress;
        let mut go_on = || progress(Progress { stage: "segments", done, total });
        let sealed = ahead.seal(index, &mut go_on)?;
        if sealed.root != root {
            let what = format!(
                "segment {index} of the database has root {}, the finalized state says {root}; run `lamella db verify`",
                sealed.root
            );
            return Err(ShippingError::NotShippable { what });
        }
        self.verify(&name, &sealed.bytes, before)?;
        let put = self.remote.store().put_new(&self.remote.path(&name), &sealed.bytes)?;
        let found = self.remote.read_back(&name)?;
        if found != sealed.bytes {
            self.verify(&name, &found, before)?;
        }
        Ok((put == Put::New).then_some(sealed.bytes.len() as u64))
    }

    /// Puts the frontier, unless there is one of this block.
    fn ship_frontier(
        &self,
        settled: &Settled,
        inventory: &Inventory,
    ) -> Result<Checkpoint, ShippingError> {
        let frontier = settled.frontier()?;
        let (block, name) = (settled.block(), frontier.name());
        // One that proves the same segments is as good, and there is one more for each run otherwise.
        let segments = settled.state.historical_block_hashes.segments().len() as u64;
        for known in inventory.frontiers() {
            let proves = known.slot / crate::remote::SEGMENT_SLOTS;
            if proves == segments && known.slot <= block.slot {
                self.remote.read_frontier(known)?;
                self.remote.settle(&ObjectName::Frontier { slot: known.slot, root: known.root })?;
                return Ok(known);
            }
        }
        let bytes = frontier.encode();
        let path = self.remote.path(&name);
        let decode = |bytes: &[u8]| Frontier::verify(&path, bytes, &block.root);
        decode(&bytes).map_err(|error| self.remote.damaged(error))?;
        self.remote.store().put_new(&path, &bytes)?;
        let found = self.remote.read_back(&name)?;
        decode(&found).map_err(|error| self.remote.damaged(error))?;
        Ok(block)
    }

    /// That these bytes mean the segment of this name, every state hashed.
    fn verify(
        &self,
        name: &ObjectName,
        bytes: &[u8],
        before: &[Root],
    ) -> Result<(), ShippingError> {
        let segment = self.remote.decode_segment(self.network, name, bytes);
        let verified = segment.and_then(|segment| segment.verify_states(before));
        verified.map(|_| ()).map_err(|error| self.remote.damaged(error))
    }
}
