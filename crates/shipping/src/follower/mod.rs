//! The follower: another's chain, taken over from its segments and then from its tail, object by object.
//!
//! The hard idea: it imports blocks, as any node does, so it can be late and never wrong; forks and reorgs are ordinary
//! imports. What it must not do is go on over something that is missing. So its place is (writer, sequence, digest of the
//! object before), kept in the transaction of the rows that it stands for; an object that does not continue it is refused
//! whole and named with both positions. Then what is served stays as it is, until another writer's tail, or segments under a
//! newer frontier that proves our own finalized block, lead past the hole. An object that is still damaged or invalid then is
//! left out, if a later one is there: what it told is in them, or its absence shows at the end, where the head that the writer
//! tells must be here. If that frontier proves another block there, or the writer has finalized another one, the two chains
//! have parted: that is final, and no word of it is written.
//!
//! It asks no clock: its caller says when it is late.

mod begin;
mod end;
mod fill;
mod place;
mod trouble;

use lamella_archive::{ArchiveError, ObjectName, TailFile, TailLink, WriterId};
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
use place::{beginning_at, link_before, name_of};
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
    /// Where other writers' tails go on: how far they were read before, or what is behind a hole in them.
    left: Vec<TailPosition>,
    /// Whose tail to begin with.
    wanted: Option<WriterId>,
    /// The frontier whose segments were imported last.
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
            mended_by: None,
            absences: LIST_EVERY,
            gap_looks: 0,
            bad_reads: 0,
            troubles: 0,
        })
    }

    /// Where it is; `None` before it has found a first object.
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
        match self.position {
            Some(position) => self.look(replica, position, is_late),
            None => self.adopt(replica, is_late),
        }
    }

    /// Looks for the next object.
    fn look<R: Replica>(
        &mut self,
        replica: &R,
        position: TailPosition,
        is_late: bool,
    ) -> Result<Step, FollowError<R::Error>> {
        match self.remote.get_or_damaged(&name_of(&position)) {
            Ok(Some(bytes)) => self.read(replica, &position, &bytes),
            Ok(None) if self.trouble.is_some() => self.mend(replica),
            Ok(None) => self.absent(replica, position, is_late),
            Err(ShippingError::Damaged { source, .. }) => {
                self.bad_read(replica, damaged(&position, source))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// An object that is there.
    fn read<R: Replica>(
        &mut self,
        replica: &R,
        position: &TailPosition,
        bytes: &[u8],
    ) -> Result<Step, FollowError<R::Error>> {
        let (writer, sequence) = (WriterId(position.writer), position.next);
        let file = match self.remote.decode_tail(&name_of(position), bytes) {
            Ok(file) => file,
            Err(error) => return self.bad_read(replica, damaged(position, Box::new(error))),
        };
        if let Some(before) = link_before(position)
            && let Err(error) = file.check_follows(Some(before))
        {
            let trouble = Trouble::Mismatch { writer, sequence, error: Box::new(error) };
            return self.bad_read(replica, trouble);
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
            return Ok(self.waiting());
        }
        if self.trouble.as_ref().is_some_and(|known| known.is_as(&trouble)) {
            return self.mend(replica);
        }
        Ok(self.meet(trouble))
    }

    /// Nothing was done: what is in the way stays there.
    fn waiting(&self) -> Step {
        self.trouble.clone().map_or(Step::Nothing, Step::Waiting)
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
        } else if let Some((trouble, at)) = self.passed.clone() {
            if self.is_led_on {
                self.turn_back(&trouble, at)?;
                self.passed = None;
            } else {
                // This one leads nowhere either: what is left are segments.
                (self.trouble, self.passed) = (Some(trouble.clone()), None);
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
        self.position = self.take_left(writer);
        self.wanted = self.position.is_none().then_some(writer);
        (self.absences, self.gap_looks) = (0, 0);
    }

    /// Goes on behind the hole that another writer's tail led past: whoever told what was in it may have stopped, and whoever
    /// left it not. Whether all of it was told shows at the end, where the last head must be here.
    fn turn_back(&mut self, trouble: &Trouble, at: TailPosition) -> Result<(), ShippingError> {
        let writer = WriterId(at.writer);
        self.avoided.retain(|avoided| *avoided != writer);
        if let Some(behind) = self.behind(trouble)? {
            self.go_on_at(behind);
            return Ok(());
        }
        if trouble.place().is_none() {
            // All of it may be needed.
            self.left.retain(|left| left.writer != at.writer);
        }
        self.turn_to(writer);
        Ok(())
    }

    /// The object of a writer with which its tail goes on behind what is in the way, once what that told need not come from there;
    /// `None`: there is none, or all of the tail may be needed. An object that cannot be taken is left out only for a later one:
    /// as long as it is the last, its writer may still put it again.
    fn behind(&self, trouble: &Trouble) -> Result<Option<TailPosition>, ShippingError> {
        let Some((writer, sequence)) = trouble.place() else { return Ok(None) };
        let from = sequence + u64::from(trouble.is_left_out());
        let tails = self.remote.tails([(writer, from)])?;
        let found = tails.get(&writer).and_then(|tail| tail.first_from(from));
        Ok(found.map(|found| beginning_at(writer, found)))
    }

    /// Goes on with this place of a writer's tail, wherever that was left.
    fn go_on_at(&mut self, place: TailPosition) {
        self.position = self.position.filter(|position| position.writer != place.writer);
        self.left.retain(|left| left.writer != place.writer);
        remember(&mut self.left, place);
        self.turn_to(WriterId(place.writer));
    }

    fn take_left(&mut self, writer: WriterId) -> Option<TailPosition> {
        let at = self.left.iter().position(|left| left.writer == writer.0)?;
        Some(self.left.swap_remove(at))
    }

    /// What the object before this position told, which nobody who has just started knows: it may be what the two chains parted
    /// by.
    fn told_before(&self, position: &TailPosition) -> Result<Before, ShippingError> {
        let Some(before) = link_before(position) else { return Ok(Before::Unknown) };
        let (writer, sequence) = (WriterId(position.writer), before.sequence);
        let name = ObjectName::Tail { writer, sequence };
        let bytes = match self.remote.get_or_damaged(&name) {
            Ok(Some(bytes)) => bytes,
            Ok(None) | Err(ShippingError::Damaged { .. }) => return Ok(Before::Unknown),
            Err(error) => return Err(error),
        };
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

    /// Begins with a writer's tail, the one that shipped last: where it was left, or from its oldest object on.
    fn adopt<R: Replica>(
        &mut self,
        replica: &R,
        is_late: bool,
    ) -> Result<Step, FollowError<R::Error>> {
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
        let oldest = tails.get(&writer).and_then(|tail| tail.first_from(0));
        let oldest = oldest.map(|sequence| beginning_at(writer, sequence));
        let Some(position) = self.take_left(writer).or(oldest) else {
            self.avoid(writer);
            return Ok(self.waiting());
        };
        (self.position, self.trouble) = (Some(position), None);
        self.look(replica, position, is_late)
    }

    fn avoid(&mut self, writer: WriterId) {
        self.bad_reads = 0;
        if !self.avoided.contains(&writer) {
            remember(&mut self.avoided, writer);
        }
    }

    /// Looks for a way past a hole: another writer, segments under a frontier that was not used for it yet, or what is behind it, if
    /// those segments are here.
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
        if first_slot(proven.segments()) <= ours.slot {
            return Ok(Step::Waiting(trouble));
        }
        let behind = self.behind(&trouble)?;
        if self.mended_by == Some(by) {
            drop(proven);
            if let Some(behind) = behind {
                // What it proves is here, so the next frontier, an hour later, would lead past this object no better.
                self.go_on_at(behind);
            }
            return Ok(Step::Waiting(trouble));
        }
        let blocks = fill(replica, &proven)?;
        drop(proven);
        self.mended_by = Some(by);
        self.avoided.clear();
        let place = trouble.place().map(|(writer, sequence)| beginning_at(writer, sequence));
        // All that was read may be needed again, now that what it stands on is here.
        self.left = behind.or(place).into_iter().collect();
        (self.position, self.trouble, self.passed) = (None, None, None);
        Ok(Step::Filled { blocks })
    }
}

/// That the object of this place cannot be read.
const fn damaged(position: &TailPosition, error: Box<ArchiveError>) -> Trouble {
    let (writer, sequence) = (WriterId(position.writer), position.next);
    Trouble::Damaged { writer, sequence, error }
}

/// Keeps the newest few.
fn remember<T>(kept: &mut Vec<T>, new: T) {
    if kept.len() >= WRITERS_MAX {
        kept.remove(0);
    }
    kept.push(new);
}
