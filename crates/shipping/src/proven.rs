//! What an archive proves: its frontier, and under it the segments without a gap.
//!
//! The hard idea: one root proves it all, so trust is one comparison. With a root that the caller trusts, the answer says
//! up to which slot it reaches; without one, the archive is only shown to agree with itself, and the answer says that.

use lamella_archive::{Frontier, Network, SegmentFile};
use lamella_tables::SlotRoot;
use lamella_types::{Checkpoint, Root, Slot};

use crate::{
    error::ShippingError,
    remote::{Inventory, Remote, SEGMENT_SLOTS, first_slot},
};

/// An archive whose frontier is proven.
pub struct Proven<'a> {
    pub(crate) remote: &'a Remote,
    pub(crate) inventory: Inventory,
    pub(crate) network: Network,
    pub(crate) frontier: Frontier,
    /// Frontier objects that did not verify.
    pub(crate) bad_frontiers: Vec<String>,
}

impl<'a> Proven<'a> {
    /// As [`Proven::find`], without its inventory.
    pub(crate) fn of(
        remote: &'a Remote,
        inventory: &Inventory,
        trusted: Option<Root>,
    ) -> Result<Self, ShippingError> {
        inventory.check_one_chain(remote)?;
        let blocks = inventory.frontiers();
        let named = blocks.iter().find(|block| trusted == Some(block.root)).copied();
        let (mut bad_frontiers, mut last) = (Vec::new(), None);
        let mut found = None;
        for block in named.into_iter().chain(blocks) {
            match remote.read_frontier(block) {
                Ok(frontier) => {
                    found = Some(frontier);
                    break;
                }
                // Another one may do; this one is told of.
                Err(error @ ShippingError::Damaged { .. }) => {
                    bad_frontiers.push(error.to_string());
                    last = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        let Some(frontier) = found else {
            let what =
                "it has no frontier, so nothing is proven; was an export broken off? Run it again";
            let none = ShippingError::Zero { url: remote.url(), what: what.to_owned() };
            return Err(last.unwrap_or(none));
        };
        inventory.check_under(remote, &frontier)?;
        Self::under(remote, Inventory::default(), frontier, bad_frontiers)
    }

    /// What a frontier proves, whatever else is there.
    pub(crate) fn under(
        remote: &'a Remote,
        inventory: Inventory,
        frontier: Frontier,
        bad_frontiers: Vec<String>,
    ) -> Result<Self, ShippingError> {
        let network = remote.read_network(frontier.genesis_time(), frontier.registry_root())?;
        Ok(Self { remote, inventory, network, frontier, bad_frontiers })
    }

    /// The block whose root proves everything.
    #[must_use]
    pub fn block(&self) -> Checkpoint {
        self.frontier.block()
    }

    /// Segments that it proves.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.frontier.segment_roots().len() as u64
    }

    /// The network.
    #[must_use]
    pub const fn network(&self) -> &Network {
        &self.network
    }

    /// A segment under the frontier, whose content has the root that it names.
    pub(crate) fn segment(&self, index: u32) -> Result<SegmentFile, ShippingError> {
        let roots = self.frontier.segment_roots();
        let no_such = || ShippingError::NoTarget {
            url: self.remote.url(),
            what: format!(
                "segment {index} is not proven: the frontier at slot {} proves {} segments, slots below {}",
                self.block().slot,
                roots.len(),
                first_slot(self.segments())
            ),
        };
        let root = *roots.get(index as usize).ok_or_else(no_such)?;
        let segment = self.remote.read_segment(&self.network, index, root)?;
        segment.check_root(&root).map_err(|error| self.remote.damaged(error))?;
        Ok(segment)
    }

    /// What it proves at the slot of a block that is not after its own: zero for an empty slot.
    pub(crate) fn root_at(&self, block: Checkpoint) -> Result<Root, ShippingError> {
        if block.slot == self.block().slot {
            return Ok(self.block().root);
        }
        let (index, within) = (block.slot / SEGMENT_SLOTS, block.slot % SEGMENT_SLOTS);
        if index == self.segments() {
            let within = usize::try_from(within).unwrap_or(usize::MAX);
            return Ok(self.frontier.tail_roots().get(within).copied().unwrap_or_default());
        }
        let segment = self.segment(u32::try_from(index).unwrap_or(u32::MAX))?;
        let found = keys(&segment).find(|key| key.slot == block.slot);
        Ok(found.map(|key| key.root).unwrap_or_default())
    }

    /// The roots of the segments before one.
    pub(crate) fn before(&self, index: u32) -> &[Root] {
        let roots = self.frontier.segment_roots();
        &roots[..roots.len().min(index as usize)]
    }

    /// The canonical block at a slot.
    ///
    /// # Errors
    /// The slot is empty, or behind what is sealed.
    pub fn block_at(&self, slot: Slot) -> Result<SlotRoot, ShippingError> {
        let none = |what: String| ShippingError::NoTarget { url: self.remote.url(), what };
        let index = u32::try_from(slot / SEGMENT_SLOTS);
        let index = index.map_err(|_| none(format!("no chain reaches slot {slot}")))?;
        let segment = self.segment(index)?;
        if let Some(key) = keys(&segment).find(|key| key.slot == slot) {
            return Ok(key);
        }
        let before = keys(&segment).take_while(|key| key.slot < slot).last();
        let after = keys(&segment).find(|key| key.slot > slot);
        let around = [before, after].into_iter().flatten().map(|key| format!("slot {}", key.slot));
        let around: Vec<_> = around.collect();
        let around =
            if around.is_empty() { "none in its segment".to_owned() } else { around.join(" and ") };
        Err(none(format!("slot {slot} is empty; the blocks next to it: {around}")))
    }

    /// The newest block of the sealed segments.
    ///
    /// # Errors
    /// No segment has a block.
    pub fn newest(&self) -> Result<SlotRoot, ShippingError> {
        self.search(|segment| keys(segment).last())?.ok_or_else(|| ShippingError::Zero {
            url: self.remote.url(),
            what:
                "no segment is sealed yet: one is when a block of the next one's slots is finalized"
                    .to_owned(),
        })
    }

    /// The block of a root.
    ///
    /// # Errors
    /// No sealed segment has it.
    pub fn block_of(&self, root: Root) -> Result<SlotRoot, ShippingError> {
        let found = self.search(|segment| keys(segment).find(|key| key.root == root))?;
        found.ok_or_else(|| ShippingError::UnknownRoot {
            url: self.remote.url(),
            root,
            segments: self.segments(),
            below: first_slot(self.segments()),
        })
    }

    /// What is found in the newest segment that has it.
    fn search<T>(
        &self,
        find: impl Fn(&SegmentFile) -> Option<T>,
    ) -> Result<Option<T>, ShippingError> {
        for index in (0..self.frontier.segment_roots().len()).rev() {
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            if let Some(found) = find(&self.segment(index)?) {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

/// The canonical blocks of a segment, genesis too.
pub(crate) fn keys(segment: &SegmentFile) -> impl Iterator<Item = SlotRoot> {
    let genesis = segment.entry().filter(|header| segment.index() == 0 && header.slot == 0);
    let genesis = genesis.map(|header| SlotRoot::new(0, header.root()));
    let blocks = segment.blocks().iter();
    genesis.into_iter().chain(blocks.map(|block| SlotRoot::new(block.header.slot, block.root)))
}
