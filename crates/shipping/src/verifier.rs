//! Verifying a whole archive, and saying exactly what that showed.

use std::ops::ControlFlow;

use lamella_archive::{ObjectName, SegmentFile};
use lamella_chain::Progress;
use lamella_state_transition::state_transition;
use lamella_tables::SlotRoot;
use lamella_types::{Checkpoint, Root, Slot, State};

use crate::{
    error::ShippingError,
    proven::{Proven, keys},
    remote::{Remote, SEGMENT_SLOTS, first_slot},
    sidecar::Sidecar,
};

/// How much of each segment is verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Every header, body and empty slot.
    #[default]
    Content,
    /// Every state too, rebuilt and hashed.
    States,
    /// And made once more, by the state transition from genesis on, which asks no archived state.
    Transition,
}

/// What is to be verified.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verify {
    /// A root that the caller trusts: it proves everything up to its slot.
    pub trusted: Option<Root>,
    /// How much of each segment.
    pub depth: Depth,
    /// Whether the digests of block proofs are compared, which reads all of them.
    pub proofs: bool,
}

/// What was verified, and what was not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The block whose root everything was proven under.
    pub root: Checkpoint,
    /// Whether the caller named that root.
    pub is_trusted: bool,
    /// Segments whose content is proven.
    pub segments: u64,
    /// Slots below this are proven.
    pub below: Slot,
    /// Blocks, headers and bodies.
    pub blocks: u64,
    /// States that were rebuilt and hashed.
    pub states: u64,
    /// Of these, those that the state transition made too.
    pub transitions: u64,
    /// Block proofs that are the bytes that were written. Nothing says that they prove their blocks.
    pub proofs: u64,
    /// Blocks of these segments that have no proof in the archive. Zero if proofs were not asked for.
    pub without_proof: u64,
    /// Frontier objects that do not verify.
    pub bad_frontiers: Vec<String>,
    /// Segments that are there and that the frontier does not reach.
    pub beyond: u64,
    /// Objects that no root covers: block proofs and tails.
    pub unproven: u64,
    /// Objects whose names say nothing.
    pub unknown: u64,
}

/// Verifies every segment under the greatest frontier, each header, body and empty slot; `deep`: every state too. See
/// [`Verify`].
///
/// # Errors
/// As [`Verify::run`].
pub fn verify(
    remote: &Remote,
    trusted: Option<Root>,
    deep: bool,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Verified, ShippingError> {
    let depth = if deep { Depth::States } else { Depth::Content };
    Verify { trusted, depth, proofs: false }.run(remote, progress)
}

impl Verify {
    /// Verifies every segment under the greatest frontier, or what the trusted root proves.
    ///
    /// # Errors
    /// The first thing that is not as it should be: a gap, a damaged object, two chains. Nothing verified is an error too.
    pub fn run(
        &self,
        remote: &Remote,
        progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Verified, ShippingError> {
        let proven = Proven::find(remote, self.trusted)?;
        let mut root = proven.block();
        // A root within the segments proves what is before it only by its own state's history.
        let inner = self.trusted.filter(|trusted| *trusted != root.root);
        let inner = inner.map(|trusted| proven.block_of(trusted)).transpose()?;
        let mut depth = self.depth;
        if let Some(inner) = inner {
            root = Checkpoint { root: inner.root, slot: inner.slot };
            depth = depth.max(Depth::States);
        }
        let mut job = Job { proven: &proven, inner, depth, done: Done::default(), state: None };
        let total = inner.map_or(proven.segments(), |inner| inner.slot / SEGMENT_SLOTS + 1);
        for index in (0..).take_while(|index| u64::from(*index) < total) {
            if progress(Progress { stage: "segments", done: index.into(), total }).is_break() {
                return Err(ShippingError::Stopped);
            }
            let segment = proven.segment(index)?;
            job.verify(&segment)?;
            if self.proofs {
                job.compare_proofs(&segment)?;
            }
        }
        if total == 0 {
            let what = "0 segments verified: none is sealed yet".to_owned();
            return Err(ShippingError::Zero { url: remote.url(), what });
        }
        let Done { blocks, states, transitions, proofs, without_proof } = job.done;
        let mut unproven = proven.inventory.sidecars().count();
        let mut unknown = proven.inventory.unknown.clone();
        for writer in remote.writers_and(&mut unknown)? {
            let tail = remote.tail(writer)?;
            unproven += tail.objects.len();
            unknown.extend(tail.unknown);
        }
        let beyond = proven.inventory.segments();
        let beyond = beyond.filter(|(index, _)| u64::from(*index) >= proven.segments()).count();
        Ok(Verified {
            root,
            is_trusted: self.trusted.is_some(),
            segments: total,
            below: inner.map_or(first_slot(total), |inner| inner.slot + 1),
            blocks,
            states,
            transitions,
            proofs,
            without_proof,
            bad_frontiers: proven.bad_frontiers,
            beyond: beyond as u64,
            unproven: unproven as u64,
            unknown: unknown.len() as u64,
        })
    }
}

/// What was counted.
#[derive(Default)]
struct Done {
    blocks: u64,
    states: u64,
    transitions: u64,
    proofs: u64,
    without_proof: u64,
}

struct Job<'a> {
    proven: &'a Proven<'a>,
    /// The trusted block, if it lies within the segments: what is after it is not counted.
    inner: Option<SlotRoot>,
    depth: Depth,
    done: Done,
    /// What the transition made last.
    state: Option<State>,
}

impl Job<'_> {
    fn verify(&mut self, segment: &SegmentFile) -> Result<(), ShippingError> {
        let covered = keys(segment).filter(|key| self.is_covered(key.slot)).count() as u64;
        self.done.blocks += covered;
        if self.depth >= Depth::States {
            let verified = segment.verify_states(self.proven.before(segment.index()));
            verified.map_err(|error| self.proven.remote.damaged(error))?;
            self.done.states += covered;
        }
        if self.depth >= Depth::Transition {
            self.transition(segment)?;
            self.done.transitions += covered;
        }
        Ok(())
    }

    /// Makes each block's state from the one before. That it is the one that its header names the transition checks.
    fn transition(&mut self, segment: &SegmentFile) -> Result<(), ShippingError> {
        let mut state = match self.state.take() {
            Some(state) => state,
            None => self.proven.network().genesis().1,
        };
        for archived in segment.blocks() {
            state = state_transition(&state, &archived.block()).map_err(|reason| {
                let block = SlotRoot::new(archived.header.slot, archived.root);
                ShippingError::Transition { url: self.proven.remote.url(), block, reason }
            })?;
        }
        self.state = Some(state);
        Ok(())
    }

    fn compare_proofs(&mut self, segment: &SegmentFile) -> Result<(), ShippingError> {
        // Genesis has no proof and needs none.
        let blocks = keys(segment).filter(|key| key.slot > 0).count() as u64;
        let name = ObjectName::Proofs { index: segment.index(), root: segment.root() };
        let mut proofs = 0;
        if self.proven.inventory.objects.contains_key(&name)
            && let Some(sidecar) = Sidecar::open(self.proven.remote, &name)?
        {
            sidecar.check_blocks(segment)?;
            sidecar.check()?;
            proofs = sidecar.count();
        }
        self.done.proofs += proofs;
        self.done.without_proof += blocks.saturating_sub(proofs);
        Ok(())
    }

    fn is_covered(&self, slot: Slot) -> bool {
        self.inner.is_none_or(|inner| slot <= inner.slot)
    }
}
