//! What in an archive can go: objects that are not what their names say.
//!
//! The hard idea: an archive is never deleted from to save room, since its segments are what it is for. What can go is what
//! nobody can use and what stands in the way: a put that was torn and stays visible takes the name of the object that
//! should be there, and objects are never replaced. Each candidate is fetched and judged now, not looked up in a list of
//! failures, and again until two readings are the same bytes: what the way there flipped is not what lies there. Before it
//! goes it is judged once more: hours may have passed, and somebody may have put it again, whole. Names that say nothing are
//! not ours, and stay; so does what a later lamella wrote, which says its version under a digest that is right.
//!
//! And tails expire: what a verified frontier covers with one whole segment more nobody has to read from them, once an hour
//! has passed in which somebody may have been reading. A writer's go from its first one on, and its newest stays. Covered
//! is what lies in segments that were fetched just now and are what the frontier names: one that is gone or rotten, and
//! all after it, cover nothing, since the tail is what they may be made of again. Where objects are of two chains nobody can
//! say whose blocks a segment has, and no tail expires.

use std::{collections::BTreeSet, mem::take, ops::ControlFlow};

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
const TAIL_KEPT_S: i64 = 3_600;

/// Whole segments that must cover a tail object's blocks beyond the one that holds them.
const SEGMENTS_BEYOND: u64 = 1;

/// Readings of an object that is not what its name says, of which two in a row must be the same for it to go.
const READINGS_MAX: usize = 4;

/// An object that can go, or that nobody here can read, and why.
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
    /// Those that are not what their names say; where they were to be deleted, those that still were not right before.
    pub unusable: Vec<Unusable>,
    /// Tail objects whose blocks are in segments for long enough.
    pub expired: Vec<Unusable>,
    /// Undamaged objects of a later lamella, which alone can judge them: they stay.
    pub newer: Vec<Unusable>,
    /// Objects that were not judged: of a kind that is never deleted here, with names that say nothing, other bytes at each
    /// reading, or a later lamella's.
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
    let mut job = Job {
        remote,
        network,
        proven,
        usable: BTreeSet::new(),
        is_of_two_chains: false,
        cleaned,
        unusable: Vec::new(),
        expired: Vec::new(),
    };
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
    /// Whether there is a segment like that in the place of one of these.
    is_of_two_chains: bool,
    cleaned: Cleaned,
    /// Unusable ones that were not dealt with yet.
    unusable: Vec<(ObjectName, Unusable)>,
    /// Expired ones that were not.
    expired: Vec<Unusable>,
}

impl Job<'_> {
    fn judge(&mut self, name: &ObjectName, listed: &Listed) -> Result<(), ShippingError> {
        let look = self.look(name)?;
        if self.note(name, listed, look).is_some() {
            self.take_in(name);
        }
        Ok(())
    }

    fn look(&self, name: &ObjectName) -> Result<Look<()>, ShippingError> {
        match name {
            ObjectName::Format => Ok(Look::Unknown),
            ObjectName::Proofs { .. } => look_at_sidecar(self.remote, name),
            _ => look_at(self.remote, name, |bytes| {
                judge(self.remote, name, bytes, self.network.as_ref())
            }),
        }
    }

    /// What a sound object says of the chain.
    fn take_in(&mut self, name: &ObjectName) {
        if let ObjectName::Segment { index, root } = name
            && let Some(proven) = self.proven.get(*index as usize)
        {
            if proven == root {
                self.usable.insert(*index);
            } else {
                self.is_of_two_chains = true;
            }
        }
    }

    fn judge_tail(
        &mut self,
        name: &ObjectName,
        listed: &Listed,
        is_newest: bool,
        expiring: &mut Expiring,
    ) -> Result<(), ShippingError> {
        let decode = |bytes: &[u8]| self.remote.decode_tail(name, bytes).map(Some);
        let look = look_at(self.remote, name, decode)?;
        // It may be sound, and then what is after it stands on it.
        expiring.is_over |= matches!(look, Look::Unknown | Look::Newer(_));
        match self.note(name, listed, look) {
            Some(file) if !is_newest && listed.age_s >= TAIL_KEPT_S && expiring.takes(&file) => {
                let why = format!("its blocks are in segments, slots below {}", expiring.below);
                self.expired.push(self.candidate(name, listed, why));
            }
            Some(_) => expiring.is_over = true,
            None => {}
        }
        Ok(())
    }

    /// Counts what was seen of an object; what it is, if that is sound.
    fn note<T>(&mut self, name: &ObjectName, listed: &Listed, look: Look<T>) -> Option<T> {
        match look {
            Look::Gone => None,
            Look::Unknown => {
                self.cleaned.left += 1;
                None
            }
            Look::Newer(why) => {
                self.cleaned.left += 1;
                let newer = self.candidate(name, listed, why);
                self.cleaned.newer.push(newer);
                None
            }
            Look::Sound(found) => {
                self.cleaned.judged += 1;
                Some(found)
            }
            Look::Unusable(why) => {
                self.cleaned.judged += 1;
                let unusable = self.candidate(name, listed, why);
                self.unusable.push((*name, unusable));
                None
            }
        }
    }

    fn candidate(&self, name: &ObjectName, listed: &Listed, why: String) -> Unusable {
        Unusable { path: self.remote.path(name), bytes: listed.bytes, why }
    }

    /// Deletes what was found since the last time, and of the unusable ones what still is.
    fn delete_if(&mut self, delete: bool) -> Result<(), ShippingError> {
        for (name, object) in take(&mut self.unusable) {
            if delete {
                match self.look(&name)? {
                    Look::Unusable(_) => self.remote.store().delete(&object.path)?,
                    Look::Sound(()) => {
                        self.take_in(&name);
                        continue;
                    }
                    Look::Gone | Look::Unknown | Look::Newer(_) => continue,
                }
            }
            self.cleaned.unusable.push(object);
        }
        for object in take(&mut self.expired) {
            if delete {
                self.remote.store().delete(&object.path)?;
            }
            self.cleaned.expired.push(object);
        }
        Ok(())
    }

    /// Blocks at slots below this are in segments that can be read, from the first on without a gap, and so is one whole
    /// segment more.
    fn covered_below(&self) -> Slot {
        if self.is_of_two_chains {
            return 0;
        }
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

/// What was seen of an object.
enum Look<T> {
    /// It is not there any more.
    Gone,
    /// Nobody can tell here what it is, or each reading gave other bytes.
    Unknown,
    /// A later lamella wrote it, by what refuses it here.
    Newer(String),
    /// It is what its name says.
    Sound(T),
    /// It is not, and why.
    Unusable(String),
}

/// Fetches an object until it is what its name says, or twice the same and is not. `judge` knows some kinds.
fn look_at<T>(
    remote: &Remote,
    name: &ObjectName,
    judge: impl Fn(&[u8]) -> Result<Option<T>, ArchiveError>,
) -> Result<Look<T>, ShippingError> {
    let mut before = None;
    for _ in 0..READINGS_MAX {
        let bytes = match remote.get(name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Look::Gone),
            Err(ShippingError::Store(error @ StoreError::TooLong { .. })) => {
                return Ok(Look::Unusable(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        match judge(&bytes) {
            Ok(found) => return Ok(found.map_or(Look::Unknown, Look::Sound)),
            Err(error) if is_newer(&error) => return Ok(Look::Newer(error.to_string())),
            Err(error) if before.as_ref() == Some(&bytes) => {
                return Ok(Look::Unusable(error.to_string()));
            }
            Err(_) => before = Some(bytes),
        }
    }
    Ok(Look::Unknown)
}

/// As [`look_at`], of a sidecar, which is read by parts: what is wrong must be the same twice.
fn look_at_sidecar(remote: &Remote, name: &ObjectName) -> Result<Look<()>, ShippingError> {
    let mut before = None;
    for _ in 0..READINGS_MAX {
        let why = match Sidecar::open(remote, name) {
            Ok(None) => return Ok(Look::Gone),
            Ok(Some(found)) => found.check(),
            Err(error) => Err(error),
        };
        let why = match why {
            Ok(()) => return Ok(Look::Sound(())),
            Err(ShippingError::Damaged { source, .. }) if is_newer(&source) => {
                return Ok(Look::Newer(source.to_string()));
            }
            Err(ShippingError::Damaged { source, .. }) => source.to_string(),
            Err(ShippingError::Store(error @ StoreError::TooLong { .. })) => error.to_string(),
            Err(error) => return Err(error),
        };
        if before.as_ref() == Some(&why) {
            return Ok(Look::Unusable(why));
        }
        before = Some(why);
    }
    Ok(Look::Unknown)
}

/// Whether a later lamella wrote an object: what says so was read under a digest that is right.
const fn is_newer(error: &ArchiveError) -> bool {
    matches!(*error.fault, Fault::Version(_) | Fault::Flags(_) | Fault::Codec(_))
}

/// Whether an object is what its name says; `None` where nobody can tell here.
fn judge(
    remote: &Remote,
    name: &ObjectName,
    bytes: &[u8],
    network: Option<&Network>,
) -> Result<Option<()>, ArchiveError> {
    let path = &remote.path(name);
    match name {
        ObjectName::Registry { root } => decode_registry(path, bytes, root).map(|_| Some(())),
        ObjectName::Frontier { root, .. } => Frontier::verify(path, bytes, root).map(|_| Some(())),
        ObjectName::Segment { .. } => {
            // What is torn or flipped shows by the container alone, whatever the network.
            let unknown = Network::new(0, Validators::default());
            let found = SegmentFile::decode(path, bytes, network.unwrap_or(&unknown));
            let judged = found.and_then(|found| found.check_name(name));
            let is_of_another =
                |error: &ArchiveError| matches!(*error.fault, Fault::OtherNetwork { .. });
            let is_open = network.is_none() && judged.as_ref().is_err_and(is_of_another);
            if is_open { Ok(None) } else { judged.map(Some) }
        }
        ObjectName::Tail { .. } => remote.decode_tail(name, bytes).map(|_| Some(())),
        ObjectName::Format | ObjectName::Proofs { .. } => Ok(None),
    }
}
