//! The follower: another's chain, taken over from its segments and then from its tail, object by object.
//!
//! The hard idea: it imports blocks, as any node does, so it can be late and never wrong; forks and reorgs are ordinary
//! imports. What it must not do is go on over something that is missing. So its place is (writer, sequence, digest of the
//! object before), kept in the transaction of the rows that it stands for; an object that does not continue it is refused
//! whole and named with both positions. Then what is served stays as it is, until another writer's tail, or segments under a
//! newer frontier that proves our own finalized block, lead past the hole. If that frontier proves another block there, or
//! the writer has finalized another one, the two chains have parted: that is final, and no word of it is written.
//!
//! It asks no clock: its caller says when it is late.

mod begin;
mod end;
mod fill;
mod trouble;

use lamella_archive::{ObjectName, TailFile, TailLink, WriterId};
use lamella_chain::{Chain, TailPosition};
use lamella_inspect::which;
use lamella_tables::{Read as _, Slots};
use lamella_types::{Block, Checkpoint, Root, SignedBlock};

use crate::{
    error::ShippingError,
    proven::Proven,
    remote::{Remote, first_slot},
};

pub use begin::{Begun, begin, beginning};
pub use end::TailEnd;
use fill::fill;
pub use trouble::{Divergence, Theirs, Trouble};

/// How often an object is absent while later ones are listed before that is a gap: a store may show it late.
const GAP_LOOKS: u32 = 3;

/// How often an object does not read as it should before that is the object's fault, and not the reading's.
const BAD_READS: u32 = 3;

/// Absences of the next object between two looks at what the store lists.
const LIST_EVERY: u32 = 8;

/// Writers that are remembered, as leading nowhere or as read so far; of more, the oldest begins anew.
const WRITERS_MAX: usize = 16;

/// What a follower imports into.
pub trait Replica {
    /// Why it could not import: a failure of its own store.
    type Error;

    /// Its chain.
    fn chain(&self) -> &Chain;

    /// Imports the blocks of one object, in order, and keeps the position with the last of them. Blocks that it has, and those
    /// whose parents it has not, are left out.
    ///
    /// # Errors
    /// Its own; the position is not kept then.
    fn take(&self, blocks: Vec<SignedBlock>, position: &TailPosition)
    -> Result<Taken, Self::Error>;

    /// Imports a run of blocks that a frontier proves, without their proofs.
    ///
    /// # Errors
    /// Its own.
    fn take_proven(&self, blocks: Vec<Block>) -> Result<Taken, Self::Error>;
}

/// What a replica did with blocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// So many were new.
    Imported(u64),
    /// This one is invalid, which no honest writer imports. The position was not kept.
    Refused {
        /// The block.
        root: Root,
        /// Why.
        reason: String,
    },
}

/// Why a step of a follower failed. It may be taken again.
#[derive(Debug)]
pub enum FollowError<E> {
    /// The source.
    Source(ShippingError),
    /// The replica.
    Replica(E),
}

impl<E> From<ShippingError> for FollowError<E> {
    fn from(error: ShippingError) -> Self {
        Self::Source(error)
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// An object was imported; there may be more.
    Took {
        /// Whose.
        writer: WriterId,
        /// Its number.
        sequence: u64,
        /// Blocks that were new.
        blocks: u64,
    },
    /// Segments led past a hole.
    Filled {
        /// Blocks that were new.
        blocks: u64,
    },
    /// There is nothing new.
    Nothing,
    /// Going on is not possible for now.
    Waiting(Trouble),
    /// Going on is not possible.
    Diverged(Divergence),
}

/// What the last object said of its writer's chain.
#[derive(Debug, Clone, Copy)]
struct Told {
    writer: WriterId,
    sequence: u64,
    head: Checkpoint,
    finalized: Checkpoint,
}

/// What is in the place of the object that was taken last.
enum Before {
    /// That object.
    Told(Told),
    /// Nothing that could be read.
    Unknown,
    /// Another one.
    Replaced(Trouble),
}

/// A follower of one archive.
#[derive(Debug)]
pub struct Follower {
    remote: Remote,
    position: Option<TailPosition>,
    told: Option<Told>,
    /// What the last object told is not known, since an earlier life took it.
    is_resumed: bool,
    trouble: Option<Trouble>,
    /// What another writer's tail is to lead past, and where.
    passed: Option<(Trouble, TailPosition)>,
    /// Something that was new came of that.
    is_led_on: bool,
    diverged: Option<Divergence>,
    /// Writers whose tails led nowhere since the last success.
    avoided: Vec<WriterId>,
    /// How far other writers' tails were read before.
    left: Vec<TailPosition>,
    /// Whose tail to begin with.
    wanted: Option<WriterId>,
    /// Objects of this writer before this number are behind a hole.
    not_before: Option<(WriterId, u64)>,
    /// The frontier that led past the last hole: it leads past no other.
    mended_by: Option<Checkpoint>,
    absences: u32,
    gap_looks: u32,
    bad_reads: u32,
    troubles: u64,
}

impl Follower {
    /// Goes on where this directory's rows stand.
    ///
    /// # Errors
    /// A damaged row.
    pub fn resume(remote: Remote, chain: &Chain) -> Result<Self, ShippingError> {
        let position = TailPosition::followed(&chain.read()?)?;
        Ok(Self {
            remote,
            position,
            told: None,
            is_resumed: true,
            trouble: None,
            passed: None,
            is_led_on: false,
            diverged: None,
            avoided: Vec::new(),
            left: Vec::new(),
            wanted: None,
            not_before: None,
            mended_by: None,
            absences: LIST_EVERY,
            gap_looks: 0,
            bad_reads: 0,
            troubles: 0,
        })
    }

    /// Where it is; `None` before the first object.
    #[must_use]
    pub const fn position(&self) -> Option<TailPosition> {
        self.position
    }

    /// How often it could not go on.
    #[must_use]
    pub const fn troubles(&self) -> u64 {
        self.troubles
    }

    /// One step: an object, or a look for a way to the next one. `is_late`: nothing came for longer than it should, so other
    /// writers are looked for.
    ///
    /// # Errors
    /// The source does not answer, or the replica's store fails; the step may be taken again.
    pub fn step<R: Replica>(
        &mut self,
        replica: &R,
        is_late: bool,
    ) -> Result<Step, FollowError<R::Error>> {
        if let Some(diverged) = self.diverged {
            return Ok(Step::Diverged(diverged));
        }
        let Some(position) = self.position else { return self.adopt(replica) };
        let name = name_of(&position);
        match self.remote.get(&name)? {
            Some(bytes) => self.read(replica, &name, &bytes, link_before(&position)),
            None if self.trouble.is_some() => self.mend(replica),
            None => self.absent(replica, position, is_late),
        }
    }

    /// An object that is there. `before` is `None` for a writer's first one.
    fn read<R: Replica>(
        &mut self,
        replica: &R,
        name: &ObjectName,
        bytes: &[u8],
        before: Option<TailLink>,
    ) -> Result<Step, FollowError<R::Error>> {
        let file = match self.remote.decode_tail(name, bytes) {
            Ok(file) => file,
            Err(error) => return self.bad_read(replica, Trouble::Damaged(Box::new(error))),
        };
        if let Err(error) = file.check_follows(before) {
            return self.bad_read(replica, Trouble::Mismatch(Box::new(error)));
        }
        self.take(replica, file)
    }

    fn take<R: Replica>(
        &mut self,
        replica: &R,
        file: TailFile,
    ) -> Result<Step, FollowError<R::Error>> {
        let TailLink { sequence, digest } = file.link();
        let tail = file.into_tail();
        let writer = tail.writer;
        let position = TailPosition { writer: writer.0, next: sequence + 1, digest };
        let told = Told { writer, sequence, head: tail.head, finalized: tail.finalized };
        let blocks = match replica.take(tail.blocks, &position).map_err(FollowError::Replica)? {
            Taken::Imported(blocks) => blocks,
            Taken::Refused { root, reason } => {
                let trouble = Trouble::Refused { writer, sequence, root, reason };
                return self.bad_read(replica, trouble);
            }
        };
        self.position = Some(position);
        (self.told, self.is_resumed) = (Some(told), false);
        self.trouble = None;
        self.is_led_on |= blocks > 0;
        self.avoided.retain(|avoided| *avoided != writer);
        (self.absences, self.gap_looks, self.bad_reads) = (0, 0, 0);
        Ok(Step::Took { writer, sequence, blocks })
    }

    /// An object that cannot be taken as it was read: it is read some times more before that is its fault.
    fn bad_read<R: Replica>(
        &mut self,
        replica: &R,
        trouble: Trouble,
    ) -> Result<Step, FollowError<R::Error>> {
        self.bad_reads += 1;
        if self.bad_reads < BAD_READS {
            return Ok(Step::Nothing);
        }
        if self.trouble.is_some() {
            return self.mend(replica);
        }
        Ok(self.meet(trouble))
    }

    fn meet(&mut self, trouble: Trouble) -> Step {
        self.troubles += 1;
        self.absences = LIST_EVERY;
        self.trouble = Some(trouble.clone());
        Step::Waiting(trouble)
    }

    /// The next object is not there.
    fn absent<R: Replica>(
        &mut self,
        replica: &R,
        position: TailPosition,
        is_late: bool,
    ) -> Result<Step, FollowError<R::Error>> {
        if self.is_resumed {
            match self.told_before(&position)? {
                Before::Told(told) => self.told = Some(told),
                Before::Unknown => {}
                Before::Replaced(trouble) => return Ok(self.meet(trouble)),
            }
            self.is_resumed = false;
        }
        if let Some(step) = self.check_told(replica.chain())? {
            return Ok(step);
        }
        self.absences += 1;
        if self.absences < LIST_EVERY {
            return Ok(Step::Nothing);
        }
        self.absences = 0;
        let writer = WriterId(position.writer);
        let own = self.remote.tails([(writer, position.next)])?;
        let later = own.get(&writer).and_then(|own| own.first_from(position.next));
        if let Some(found) = later.filter(|found| *found > position.next) {
            self.gap_looks += 1;
            // The next look is not far.
            self.absences = LIST_EVERY;
            if self.gap_looks >= GAP_LOOKS {
                return Ok(self.meet(Trouble::Gap { writer, next: position.next, found }));
            }
            return Ok(Step::Nothing);
        }
        let writers = self.remote.writers()?;
        if !is_late && writers.contains(&writer) {
            return Ok(Step::Nothing);
        }
        if let Some(other) = self.unread(writers, writer)? {
            self.turn_to(other);
        } else if let Some((trouble, at)) = self.passed.take() {
            if self.is_led_on {
                self.turn_back(&trouble, at);
            } else {
                // This one leads nowhere either: what is left are segments.
                self.trouble = Some(trouble.clone());
                return Ok(Step::Waiting(trouble));
            }
        }
        Ok(Step::Nothing)
    }

    /// Another writer that has told what was not read: the one that did so last.
    fn unread(
        &self,
        writers: Vec<WriterId>,
        but: WriterId,
    ) -> Result<Option<WriterId>, ShippingError> {
        let left = |writer: WriterId| {
            let left = self.left.iter().find(|left| left.writer == writer.0);
            (writer, left.map_or(0, |left| left.next))
        };
        let others = writers
            .into_iter()
            .filter(|writer| *writer != but && !self.avoided.contains(writer))
            .map(left);
        Ok(self.remote.tails(others)?.newest())
    }

    /// Goes on with another writer's tail: where it was left, or from its oldest object on. What of it is here already is
    /// left out.
    fn turn_to(&mut self, writer: WriterId) {
        if let Some(position) = self.position.take() {
            remember(&mut self.left, position);
        }
        let left = self.left.iter().position(|left| left.writer == writer.0);
        self.position = left.map(|at| self.left.swap_remove(at));
        self.wanted = Some(writer);
        (self.absences, self.gap_looks) = (0, 0);
    }

    /// Goes on behind the hole that another writer's tail led past: whoever told what was in it may have stopped, and whoever
    /// left it not. Whether all of it was told shows at the end, where the last head must be here.
    fn turn_back(&mut self, trouble: &Trouble, at: TailPosition) {
        let writer = WriterId(at.writer);
        self.avoided.retain(|avoided| *avoided != writer);
        if !trouble.is_of_object() {
            self.not_before = behind(trouble, Some(at));
            self.left.retain(|left| left.writer != at.writer);
        }
        self.turn_to(writer);
    }

    /// What the object before this position told, which nobody who has just started knows: it may be what the two chains parted
    /// by.
    fn told_before(&self, position: &TailPosition) -> Result<Before, ShippingError> {
        let Some(before) = link_before(position) else { return Ok(Before::Unknown) };
        let (writer, sequence) = (WriterId(position.writer), before.sequence);
        let name = ObjectName::Tail { writer, sequence };
        let Some(bytes) = self.remote.get(&name)? else { return Ok(Before::Unknown) };
        let Ok(file) = self.remote.decode_tail(&name, &bytes) else { return Ok(Before::Unknown) };
        if file.link() != before {
            // It was deleted, and its writer put what it had to tell then in its place.
            return Ok(Before::Replaced(Trouble::Replaced { writer, sequence }));
        }
        let tail = file.tail();
        Ok(Before::Told(Told { writer, sequence, head: tail.head, finalized: tail.finalized }))
    }

    /// Everything of the writer's was imported: its head must be here, and what it has finalized must not contradict us.
    fn check_told(&mut self, chain: &Chain) -> Result<Option<Step>, ShippingError> {
        let Some(told) = self.told.take() else { return Ok(None) };
        let (ours, txn) = (chain.fork_choice().latest_finalized(), chain.read()?);
        if told.finalized.slot <= ours.slot && which::contradicts(&txn, &told.finalized)? {
            return Ok(Some(self.part(ours, Theirs::Finalized(told.finalized))));
        }
        if txn.get::<Slots>(&told.head.root)?.is_some() {
            return Ok(None);
        }
        let Told { writer, sequence, head, .. } = told;
        Ok(Some(self.meet(Trouble::Hole { writer, sequence, head })))
    }

    fn part(&mut self, ours: Checkpoint, theirs: Theirs) -> Step {
        let divergence = Divergence { ours, theirs };
        self.diverged = Some(divergence);
        Step::Diverged(divergence)
    }

    /// Begins with a writer's tail: the one that shipped last, from its oldest object on.
    fn adopt<R: Replica>(&mut self, replica: &R) -> Result<Step, FollowError<R::Error>> {
        if let Some(trouble) = &self.trouble {
            self.absences += 1;
            if self.absences < LIST_EVERY {
                return Ok(Step::Waiting(trouble.clone()));
            }
        }
        let mut writers = match self.wanted {
            Some(wanted) => vec![wanted],
            None => self.remote.writers()?,
        };
        writers.retain(|writer| self.wanted.is_some() || !self.avoided.contains(writer));
        let tails = self.remote.tails(writers.into_iter().map(|writer| (writer, 0)))?;
        let Some(writer) = self.wanted.take().or_else(|| tails.newest()) else {
            self.trouble.get_or_insert(Trouble::NoTail);
            self.absences = LIST_EVERY;
            return self.mend(replica);
        };
        let from = self.not_before.filter(|(behind, _)| *behind == writer).map_or(0, |(_, at)| at);
        let first = tails.get(&writer).and_then(|tail| tail.first_from(from));
        let Some(sequence) = first else {
            self.avoid(writer);
            return Ok(Step::Nothing);
        };
        let name = ObjectName::Tail { writer, sequence };
        // What was listed may be shown late.
        let Some(bytes) = self.remote.get(&name)? else { return Ok(Step::Nothing) };
        let file = match self.remote.decode_tail(&name, &bytes) {
            Ok(file) => file,
            Err(error) => {
                self.bad_reads += 1;
                if self.bad_reads >= BAD_READS {
                    self.avoid(writer);
                    return Ok(self.meet(Trouble::Damaged(Box::new(error))));
                }
                return Ok(Step::Nothing);
            }
        };
        self.take(replica, file)
    }

    fn avoid(&mut self, writer: WriterId) {
        self.bad_reads = 0;
        if !self.avoided.contains(&writer) {
            remember(&mut self.avoided, writer);
        }
    }

    /// Looks for a way past a hole: another writer, or segments under a frontier that was not used for it yet.
    fn mend<R: Replica>(&mut self, replica: &R) -> Result<Step, FollowError<R::Error>> {
        let Some(trouble) = self.trouble.clone() else { return Ok(Step::Nothing) };
        self.absences += 1;
        if self.absences < LIST_EVERY {
            return Ok(Step::Waiting(trouble));
        }
        self.absences = 0;
        if let Some(position) = self.position {
            let writer = WriterId(position.writer);
            self.avoid(writer);
            if let Some(other) = self.unread(self.remote.writers()?, writer)? {
                (self.passed, self.is_led_on) = (Some((trouble, position)), false);
                self.trouble = None;
                self.turn_to(other);
                return Ok(Step::Nothing);
            }
        }
        if self.position.is_none() {
            // What is damaged may have been cleaned away and put again.
            self.avoided.clear();
        }
        let proven = match Proven::find(&self.remote, None) {
            Ok(proven) => proven,
            // Nothing to mend it with yet.
            Err(ShippingError::Zero { .. } | ShippingError::Damaged { .. }) => {
                return Ok(Step::Waiting(trouble));
            }
            Err(error) => return Err(error.into()),
        };
        let (by, ours) = (proven.block(), replica.chain().fork_choice().latest_finalized());
        if by.slot < ours.slot {
            return Ok(Step::Waiting(trouble));
        }
        let there = proven.root_at(ours)?;
        if there != ours.root {
            drop(proven);
            return Ok(self.part(ours, Theirs::Proven(by, there)));
        }
        if self.mended_by == Some(by) || first_slot(proven.segments()) <= ours.slot {
            return Ok(Step::Waiting(trouble));
        }
        let blocks = fill(replica, &proven)?;
        drop(proven);
        self.mended_by = Some(by);
        self.not_before = behind(&trouble, self.position);
        self.avoided.clear();
        self.left.clear();
        (self.position, self.trouble, self.passed) = (None, None, None);
        Ok(Step::Filled { blocks })
    }
}

/// The object of a writer with which its tail goes on behind a hole; `None`: all of it may be needed, now that what it stands on
/// is here.
const fn behind(trouble: &Trouble, at: Option<TailPosition>) -> Option<(WriterId, u64)> {
    match (trouble, at) {
        (Trouble::Gap { writer, found, .. }, _) => Some((*writer, *found)),
        (Trouble::Hole { .. } | Trouble::NoTail | Trouble::Replaced { .. }, _) | (_, None) => None,
        (_, Some(at)) => Some((WriterId(at.writer), at.next)),
    }
}

/// Keeps the newest few.
fn remember<T>(kept: &mut Vec<T>, new: T) {
    if kept.len() >= WRITERS_MAX {
        kept.remove(0);
    }
    kept.push(new);
}

/// The object before this place.
fn link_before(position: &TailPosition) -> Option<TailLink> {
    let sequence = position.next.checked_sub(1)?;
    Some(TailLink { sequence, digest: position.digest })
}

const fn name_of(position: &TailPosition) -> ObjectName {
    ObjectName::Tail { writer: WriterId(position.writer), sequence: position.next }
}
