//! What in an archive can go: objects that are not what their names say.
//!
//! The hard idea: an archive is never deleted from to save room, since its segments are what it is for. What can go is what
//! nobody can use and what stands in the way: a put that was torn and stays visible takes the name of the object that
//! should be there, and objects are never replaced. Each candidate is fetched and judged now, not looked up in a list of
//! failures. Names that say nothing are not ours, and stay.
//!
//! And tails expire: what a verified frontier covers with one whole segment more nobody has to read from them, once an hour
//! has passed in which somebody may have been reading. A writer's go from its first one on, and its newest stays. Covered
//! is what lies in segments that were fetched just now and are what the frontier names: one that is gone or rotten, and
//! all after it, cover nothing, since the tail is what they may be made of again.

use std::{collections::BTreeSet, ops::ControlFlow};

use lamella_archive::{
    ArchiveError, Fault, Frontier, Network, ObjectName, SegmentFile, TailFile, decode_registry,
};
use lamella_chain::Progress;
use lamella_types::{Root, Slot, Validators};

use crate::{
    error::ShippingError,
    remote::{Inventory, Remote, first_slot},
    sidecar::Sidecar,
    store::{Listed, StoreError},
};

/// Seconds that a tail object is kept at least: a restoration or a follower may be reading it.
const TAIL_KEPT_S: u64 = 3_600;

/// Whole segments that must cover a tail object's blocks beyond the one that holds them.
const SEGMENTS_BEYOND: u64 = 1;

/// An object that can go, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable {
    /// Its path in the store.
    pub path: String,
    /// Its bytes, as listed.
    pub bytes: u64,
    /// Why.
    pub why: String,
}

/// What was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Objects fetched and judged.
    pub judged: u64,
    /// Those that are not what their names say.
    pub unusable: Vec<Unusable>,
    /// Tail objects whose blocks are in segments for long enough.
    pub expired: Vec<Unusable>,
    /// Objects that were not judged: of a kind that is never deleted here, or with names that say nothing.
    pub left: u64,
    /// Whether the unusable and expired ones were deleted.
    pub deleted: bool,
}

/// Finds the objects that are not what their names say, and deletes them if told to.
///
/// # Errors
/// The store does not answer. What was deleted before was unusable.
pub fn clean(
    remote: &Remote,
    delete: bool,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Cleaned, ShippingError> {
    let inventory = remote.inventory()?;
    let cleaned =
        Cleaned { deleted: delete, left: inventory.unknown.len() as u64, ..Cleaned::default() };
    let (network, proven) = network(remote, &inventory)?;
    let mut job =
        Job { remote, network, proven, usable: BTreeSet::new(), cleaned, deleted: (0, 0) };
    let mut tell = |done: usize, total: usize| {
        let (done, total) = (done as u64, total as u64);
        match progress(Progress { stage: "objects", done, total }).is_break() {
            true => Err(ShippingError::Stopped),
            false => Ok(()),
        }
    };
    for (done, (name, listed)) in inventory.objects.iter().enumerate() {
        tell(done, inventory.objects.len())?;
        job.judge(name, listed)?;
    }
    job.delete_if(delete)?;
    // Tails last: by now it is known which segments hold what they do. One writer's list at a time: all of them together
    // nobody has to hold.
    let below = job.covered_below();
    let mut strange = Vec::new();
    for writer in remote.writers_and(&mut strange)? {
        let tail = remote.tail(writer)?;
        job.cleaned.left += tail.unknown.len() as u64;
        let newest = tail.objects.keys().next_back();
        let mut expiring = Expiring { below, is_over: false };
        for (done, (name, listed)) in tail.objects.iter().enumerate() {
            tell(done, tail.objects.len())?;
            job.judge_tail(name, listed, newest == Some(name), &mut expiring)?;
        }
        job.delete_if(delete)?;
    }
    job.cleaned.left += strange.len() as u64;
    Ok(job.cleaned)
}

struct Job<'a> {
    remote: &'a Remote,
    network: Option<Network>,
    /// Roots of the segments under the frontier.
    proven: Vec<Root>,
    /// Of these, the segments that were fetched and are what their names say.
    usable: BTreeSet<u32>,
    cleaned: Cleaned,
    /// How many of the unusable and of the expired ones were dealt with.
    deleted: (usize, usize),
}

impl Job<'_> {
    fn judge(&mut self, name: &ObjectName, listed: &Listed) -> Result<(), ShippingError> {
        if matches!(name, ObjectName::Proofs { .. }) {
            self.cleaned.judged += 1;
            if let Some(why) = judge_sidecar(self.remote, name)? {
                self.cleaned.unusable.push(self.candidate(name, listed, why));
            }
            return Ok(());
        }
        let Some(bytes) = self.fetch(name, listed)? else { return Ok(()) };
        match judge(&self.remote.path(name), name, &bytes, self.network.as_ref()) {
            None => self.cleaned.left += 1,
            Some(judged) => {
                self.cleaned.judged += 1;
                if let Err(error) = judged {
                    let unusable = self.candidate(name, listed, error.to_string());
                    self.cleaned.unusable.push(unusable);
                } else if let ObjectName::Segment { index, root } = name
                    && self.proven.get(*index as usize) == Some(root)
                {
                    self.usable.insert(*index);
                }
            }
        }
        Ok(())
    }

    fn judge_tail(
        &mut self,
        name: &ObjectName,
        listed: &Listed,
        is_newest: bool,
        expiring: &mut Expiring,
    ) -> Result<(), ShippingError> {
        let Some(bytes) = self.fetch(name, listed)? else { return Ok(()) };
        self.cleaned.judged += 1;
        match self.remote.decode_tail(name, &bytes) {
            Err(error) => {
                let unusable = self.candidate(name, listed, error.to_string());
                self.cleaned.unusable.push(unusable);
            }
            Ok(file) if !is_newest && listed.age_s >= TAIL_KEPT_S && expiring.takes(&file) => {
                let why = format!("its blocks are in segments, slots below {}", expiring.below);
                self.cleaned.expired.push(self.candidate(name, listed, why));
            }
            Ok(_) => expiring.is_over = true,
        }
        Ok(())
    }

    /// An object's bytes; `None` if it is gone, or so long that nobody has to read it.
    fn fetch(
        &mut self,
        name: &ObjectName,
        listed: &Listed,
    ) -> Result<Option<Vec<u8>>, ShippingError> {
        match self.remote.get(name) {
            Err(ShippingError::Store(error @ StoreError::TooLong { .. })) => {
                let unusable = self.candidate(name, listed, error.to_string());
                self.cleaned.unusable.push(unusable);
                Ok(None)
            }
            found => found,
        }
    }

    fn candidate(&self, name: &ObjectName, listed: &Listed, why: String) -> Unusable {
        Unusable { path: self.remote.path(name), bytes: listed.bytes, why }
    }

    /// Deletes what was found since the last time.
    fn delete_if(&mut self, delete: bool) -> Result<(), ShippingError> {
        let (unusable, expired) = self.deleted;
        self.deleted = (self.cleaned.unusable.len(), self.cleaned.expired.len());
        let found =
            self.cleaned.unusable[unusable..].iter().chain(&self.cleaned.expired[expired..]);
        for object in found.filter(|_| delete) {
            self.remote.store().delete(&object.path)?;
        }
        Ok(())
    }

    /// Blocks at slots below this are in segments that can be read, from the first on without a gap, and so is one whole
    /// segment more.
    fn covered_below(&self) -> Slot {
        let run = (0..).zip(&self.usable).take_while(|(expected, index)| expected == *index);
        first_slot((run.count() as u64).saturating_sub(SEGMENTS_BEYOND))
    }
}

/// Which objects of a writer's tail segments cover: a run from its oldest one on.
struct Expiring {
    /// Blocks at lower slots are in segments, and so is a whole segment more.
    below: Slot,
    /// Its objects from here on stay.
    is_over: bool,
}

impl Expiring {
    fn takes(&self, file: &TailFile) -> bool {
        let is_covered = file.tail().blocks.iter().all(|signed| signed.block.slot < self.below);
        !self.is_over && is_covered
    }
}

/// The network and the roots of its segments, if registry and a frontier say it: without it a segment is judged by its
/// digest alone.
fn network(
    remote: &Remote,
    inventory: &Inventory,
) -> Result<(Option<Network>, Vec<Root>), ShippingError> {
    for block in inventory.frontiers() {
        let read = remote.read_frontier(block).and_then(|frontier| {
            let network = remote.read_network(frontier.genesis_time(), frontier.registry_root())?;
            Ok((network, frontier.segment_roots().to_vec()))
        });
        match read {
            Ok((network, proven)) => return Ok((Some(network), proven)),
            Err(ShippingError::Damaged { .. } | ShippingError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, Vec::new()))
}

/// Why a sidecar cannot be used, if so. It is read by parts.
fn judge_sidecar(remote: &Remote, name: &ObjectName) -> Result<Option<String>, ShippingError> {
    let found = Sidecar::open(remote, name);
    match found.and_then(|found| found.map_or(Ok(()), |found| found.check())) {
        Ok(()) => Ok(None),
        Err(ShippingError::Damaged { source, .. }) => Ok(Some(source.to_string())),
        Err(ShippingError::Store(error @ StoreError::TooLong { .. })) => {
            Ok(Some(error.to_string()))
        }
        Err(error) => Err(error),
    }
}

/// Whether an object is what its name says; `None` where nobody can tell here.
fn judge(
    path: &str,
    name: &ObjectName,
    bytes: &[u8],
    network: Option<&Network>,
) -> Option<Result<(), ArchiveError>> {
    match name {
        ObjectName::Registry { root } => Some(decode_registry(path, bytes, root).map(|_| ())),
        ObjectName::Frontier { root, .. } => Some(Frontier::verify(path, bytes, root).map(|_| ())),
        ObjectName::Segment { .. } => {
            // What is torn or flipped shows by the container alone, whatever the network.
            let unknown = Network::new(0, Validators::default());
            let found = SegmentFile::decode(path, bytes, network.unwrap_or(&unknown));
            let judged = found.and_then(|found| found.check_name(name));
            let is_of_another =
                |error: &ArchiveError| matches!(*error.fault, Fault::OtherNetwork { .. });
            let is_open = network.is_none() && judged.as_ref().is_err_and(is_of_another);
            (!is_open).then_some(judged)
        }
        ObjectName::Format | ObjectName::Proofs { .. } | ObjectName::Tail { .. } => None,
    }
}
