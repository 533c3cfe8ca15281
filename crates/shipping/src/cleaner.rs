//! What in an archive can go: objects that are not what their names say.
//!
//! The hard idea: an archive is never deleted from to save room, since its segments are what it is for. What can go is what
//! nobody can use and what stands in the way: a put that was torn and stays visible takes the name of the object that
//! should be there, and objects are never replaced. Each candidate is fetched and judged now, not looked up in a list of
//! failures. Names that say nothing are not ours, and stay.
//!
//! And tails expire: what a verified frontier covers with one whole segment more nobody has to read from them, once an hour
//! has passed in which somebody may have been reading. A writer's go from its first one on, and its newest stays.

use std::ops::ControlFlow;

use lamella_archive::{
    ArchiveError, Fault, Frontier, Network, ObjectName, SegmentFile, TailFile, WriterId,
    decode_registry,
};
use lamella_chain::Progress;
use lamella_types::{Slot, Validators};

use crate::{
    error::ShippingError,
    remote::{Inventory, Remote, first_slot},
    sidecar::Sidecar,
    store::StoreError,
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
    let mut cleaned = Cleaned { deleted: delete, ..Cleaned::default() };
    cleaned.left = inventory.unknown.len() as u64;
    let (network, segments) = network(remote, &inventory)?;
    let mut expiring = Expiring::new(first_slot(segments.saturating_sub(SEGMENTS_BEYOND)));
    let total = inventory.objects.len() as u64;
    for (done, (name, listed)) in (0..).zip(&inventory.objects) {
        if progress(Progress { stage: "objects", done, total }).is_break() {
            return Err(ShippingError::Stopped);
        }
        let path = remote.path(name);
        let unusable = |why: String| Unusable { path: path.clone(), bytes: listed.bytes, why };
        if matches!(name, ObjectName::Proofs { .. }) {
            cleaned.judged += 1;
            cleaned.unusable.extend(judge_sidecar(remote, name)?.map(unusable));
            continue;
        }
        let bytes = match remote.get(name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => continue,
            Err(ShippingError::Store(error @ StoreError::TooLong { .. })) => {
                cleaned.unusable.push(unusable(error.to_string()));
                continue;
            }
            Err(error) => return Err(error),
        };
        if let ObjectName::Tail { writer, .. } = *name {
            cleaned.judged += 1;
            let newest = inventory.newest_tail(writer) == Some(name);
            match remote.decode_tail(name, &bytes) {
                Err(error) => cleaned.unusable.push(unusable(error.to_string())),
                Ok(file)
                    if !newest && listed.age_s >= TAIL_KEPT_S && expiring.takes(writer, &file) =>
                {
                    let why = format!("its blocks are in segments, slots below {}", expiring.below);
                    cleaned.expired.push(unusable(why));
                }
                Ok(_) => expiring.stays(writer),
            }
            continue;
        }
        match judge(&path, name, &bytes, network.as_ref()) {
            None => cleaned.left += 1,
            Some(Ok(())) => cleaned.judged += 1,
            Some(Err(error)) => {
                cleaned.judged += 1;
                cleaned.unusable.push(unusable(error.to_string()));
            }
        }
    }
    if delete {
        for unusable in cleaned.unusable.iter().chain(&cleaned.expired) {
            remote.store().delete(&unusable.path)?;
        }
    }
    Ok(cleaned)
}

/// Which tail objects a frontier covers: of each writer a run from its oldest one on.
struct Expiring {
    /// Blocks at lower slots are in segments, and so is a whole segment more.
    below: Slot,
    /// The writer whose objects from here on stay.
    staying: Option<WriterId>,
}

impl Expiring {
    const fn new(below: Slot) -> Self {
        Self { below, staying: None }
    }

    fn takes(&self, writer: WriterId, file: &TailFile) -> bool {
        let is_covered = file.tail().blocks.iter().all(|signed| signed.block.slot < self.below);
        self.staying != Some(writer) && is_covered
    }

    fn stays(&mut self, writer: WriterId) {
        self.staying = Some(writer);
    }
}

/// The network and how many of its segments are proven, if registry and a frontier say it: without it a segment is judged
/// by its digest alone.
fn network(
    remote: &Remote,
    inventory: &Inventory,
) -> Result<(Option<Network>, u64), ShippingError> {
    for block in inventory.frontiers() {
        let read = remote.read_frontier(block).and_then(|frontier| {
            let segments = frontier.segment_roots();
            let are_there = (0..).zip(segments).take_while(|(index, root)| {
                let name = ObjectName::Segment { index: *index, root: **root };
                inventory.objects.contains_key(&name)
            });
            let segments = are_there.count() as u64;
            let network = remote.read_network(frontier.genesis_time(), frontier.registry_root())?;
            Ok((network, segments))
        });
        match read {
            Ok((network, segments)) => return Ok((Some(network), segments)),
            Err(ShippingError::Damaged { .. } | ShippingError::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok((None, 0))
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
