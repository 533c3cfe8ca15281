//! Single parts of an archive's history, for whoever repairs a directory: everything is proven by its hash there, so that
//! an archive that lies gives nothing.

use std::collections::BTreeMap;

use lamella_archive::{ObjectName, SegmentFile};
use lamella_tables::{SegmentKey, SlotRoot};
use lamella_types::{BlockBody, BlockHeader, MultiMessageAggregate, Root, Segment, Validators};

use crate::{
    error::ShippingError,
    proven::Proven,
    remote::{Remote, SEGMENT_SLOTS},
    sidecar::Sidecar,
};

/// Failures that are kept for whoever asks; further ones are the same store's.
const FAILURES_MAX: usize = 16;

/// An archive to ask for parts.
pub struct Parts<'a> {
    proven: Proven<'a>,
    /// The segment last read: what is asked for lies together.
    segment: Option<(u32, SegmentFile)>,
    failures: BTreeMap<u32, ShippingError>,
}

impl<'a> Parts<'a> {
    /// The parts of an archive.
    ///
    /// # Errors
    /// Nothing in it verifies.
    pub fn of(remote: &'a Remote) -> Result<Self, ShippingError> {
        let proven = Proven::find(remote, None)?;
        Ok(Self { proven, segment: None, failures: BTreeMap::new() })
    }

    /// Header and body of a block of a sealed segment.
    pub fn block(&mut self, key: &SlotRoot) -> Option<(BlockHeader, BlockBody)> {
        let segment = self.at(u32::try_from(key.slot / SEGMENT_SLOTS).ok()?)?;
        if let Some(genesis) = segment.entry().filter(|header| header.slot == 0 && key.slot == 0) {
            return Some((*genesis, BlockBody::default()));
        }
        let block = segment.blocks().iter().find(|block| block.root == key.root)?;
        Some((block.header, block.body.clone()))
    }

    /// A sealed segment's block roots.
    pub fn segment(&mut self, key: &SegmentKey) -> Option<Segment> {
        let roots = self.at(key.index)?.roots();
        Segment::new(roots.as_bytes().to_vec())
    }

    /// The proof that was shipped of a block of a sealed segment, as its digest has it; nobody has checked it here.
    pub fn proof(&mut self, key: &SlotRoot) -> Option<MultiMessageAggregate> {
        self.block(key)?;
        let index = u32::try_from(key.slot / SEGMENT_SLOTS).ok()?;
        let root = *self.proven.frontier.segment_roots().get(index as usize)?;
        let name = ObjectName::Proofs { index, root };
        // A sidecar that cannot be read is as good as none: a node asks its peers.
        let sidecar = Sidecar::open(self.proven.remote, &name).ok().flatten()?;
        let proofs = sidecar.proofs(&[key.slot]).ok()?;
        proofs.into_iter().next().map(|(_, proof)| proof)
    }

    /// The validators of the archive's network.
    #[must_use]
    pub fn validators(&self) -> &Validators {
        self.proven.network().validators()
    }

    /// The registry of the archive's network.
    #[must_use]
    pub fn registry(&self, root: &Root) -> Option<Validators> {
        let network = self.proven.network();
        (network.registry_root() == *root).then(|| network.validators().clone())
    }

    /// Segments that could not be read, and why.
    pub fn failures(&self) -> impl Iterator<Item = &ShippingError> {
        self.failures.values()
    }

    fn at(&mut self, index: u32) -> Option<&SegmentFile> {
        if self.segment.as_ref().is_none_or(|(read, _)| *read != index) {
            if u64::from(index) >= self.proven.segments() || self.failures.contains_key(&index) {
                return None;
            }
            match self.proven.segment(index) {
                Ok(segment) => self.segment = Some((index, segment)),
                Err(error) => {
                    if self.failures.len() < FAILURES_MAX {
                        self.failures.insert(index, error);
                    }
                    return None;
                }
            }
        }
        self.segment.as_ref().map(|(_, segment)| segment)
    }
}
