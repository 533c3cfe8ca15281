//! The tail that a node tells to whoever asks it, and ships nowhere.
//!
//! The hard idea: nothing of it is kept but which blocks were in which object. An object is made of the database when it is
//! asked for, and is the one that was told if it has its digest. One that cannot be made again, because a proof in it was
//! pruned or has come since, breaks the chain of objects; then the tail begins again under another writer's id, and whoever
//! follows finds that writer, with all that it may lack. A process is a writer of its own for the same reason.
//!
//! Telling is lazy and in small steps: each request tells one object at most, so a node that nobody follows does nothing, and
//! a backlog is made by those who read it.

use std::{
    collections::VecDeque,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use lamella_archive::{NetworkId, ObjectName, WriterId};
use lamella_chain::Chain;
use lamella_types::{Root, Slot, limits::SEGMENT_ROOTS};
use parking_lot::Mutex;

use super::{
    error::LookupError,
    tails::{NextTail, TailError, TailLog, TailPlan},
};

/// Blocks of an object: at half a megabyte each 17 MB, which one client's part of all answers holds.
const BLOCKS_MAX: usize = 32;

/// Objects that are remembered: two segments' worth, if each slot had two. With one block each 1 MB, with all 6 MB.
const OBJECTS_MAX: usize = 4_096;

/// A node's tail. Nothing is told before somebody asks.
#[derive(Debug, Default)]
pub struct ServedTail(Mutex<Option<Telling>>);

/// What one writer has told.
#[derive(Debug)]
struct Telling {
    writer: WriterId,
    log: TailLog,
    /// Number of the first of the objects.
    first: u64,
    objects: VecDeque<Object>,
    /// The last object, which all who follow ask for at once.
    newest: Vec<u8>,
}

#[derive(Debug)]
struct Object {
    plan: TailPlan,
    digest: Root,
    bytes: u64,
}

impl ServedTail {
    /// Its objects, with their bytes.
    ///
    /// # Errors
    /// Damage of what has to be told.
    ///
    /// # Cost
    /// One object is told, if there is something new.
    pub fn list(&self, chain: &Chain) -> Result<Vec<(ObjectName, u64)>, TailError> {
        let mut telling = self.0.lock();
        let telling = telling.get_or_insert_with(|| Telling::begin(chain));
        telling.tell(chain)?;
        let (writer, sequences) = (telling.writer, telling.first..);
        let objects = sequences.zip(&telling.objects);
        Ok(objects
            .map(|(sequence, object)| (ObjectName::Tail { writer, sequence }, object.bytes))
            .collect())
    }

    /// An object; `None` if it is not told yet, or not any more.
    ///
    /// # Errors
    /// Damage of its blocks, or of what has to be told.
    ///
    /// # Cost
    /// The newest is in memory; of another its blocks are read and hashed. The next one is told, if there is something new.
    pub fn get(
        &self,
        chain: &Chain,
        writer: WriterId,
        sequence: u64,
    ) -> Result<Option<Vec<u8>>, TailError> {
        let mut telling = self.0.lock();
        let Some(told) = telling.as_mut().filter(|told| told.writer == writer) else {
            return Ok(None);
        };
        if sequence == told.log.position().next {
            told.tell(chain)?;
        }
        let at = sequence.checked_sub(told.first).and_then(|at| usize::try_from(at).ok());
        let Some(at) = at.filter(|at| *at < told.objects.len()) else { return Ok(None) };
        if at + 1 == told.objects.len() {
            return Ok(Some(told.newest.clone()));
        }
        let Object { plan, digest, .. } = &told.objects[at];
        let sealed = plan.seal(network_of(chain), &chain.read().map_err(LookupError::from)?)?;
        if sealed.link.digest == *digest {
            return Ok(Some(sealed.bytes));
        }
        *telling = Some(Telling::begin(chain));
        Ok(None)
    }
}

impl Telling {
    /// A writer that nobody has heard of.
    fn begin(chain: &Chain) -> Self {
        // Two of one id would only confuse their followers, who see that by the digests: std's random state will do.
        let writer = WriterId(RandomState::new().build_hasher().finish().to_le_bytes());
        let log = TailLog::new(network_of(chain), writer, chain).with_blocks_max(BLOCKS_MAX);
        Self { writer, log, first: 0, objects: VecDeque::new(), newest: Vec::new() }
    }

    /// Tells what is new, one object, and forgets what the segments but the newest cover.
    fn tell(&mut self, chain: &Chain) -> Result<(), TailError> {
        let Some(next) = self.log.next(chain)? else { return Ok(()) };
        self.log.told(&next, chain);
        let NextTail { sealed, plan, .. } = next;
        let (digest, bytes) = (sealed.link.digest, sealed.bytes.len() as u64);
        self.objects.push_back(Object { plan, digest, bytes });
        self.newest = sealed.bytes;
        let sealed = chain.fork_choice().latest_finalized().slot / SEGMENT_ROOTS as u64;
        let below: Slot = sealed.saturating_sub(1) * SEGMENT_ROOTS as u64;
        let is_covered = |object: &Object| object.plan.last_slot() < below;
        // The newest stays: it is what the next one names.
        while self.objects.len() > OBJECTS_MAX
            || self.objects.len() > 1 && self.objects.front().is_some_and(is_covered)
        {
            self.objects.pop_front();
            self.first += 1;
        }
        Ok(())
    }
}

fn network_of(chain: &Chain) -> NetworkId {
    NetworkId::of(chain.identity().genesis_time, &chain.identity().registry_root)
}
