//! The proof of everything before one block: the parts of its state that its history hangs on.
//!
//! ```text
//! file     = version | frontier | digest
//! frontier = format version: u8 = 1 | flags: u8 = 0 | genesis time: u64 LE | header: 112 | justified: 40 | finalized: 40
//!          | roots of the state's justified slots, registry, justification roots, justification validators: 32 each
//!          | roots of complete segments: 32 each | block roots of the slots after them: 32 each
//! ```
//!
//! The header is the trusted block's, its `state_root` filled in; its slot says how many roots there are. All of it hashes to
//! that `state_root`, genesis time and registry too: so the block's root proves which network it is.

use lamella_types::{
    BlockHeader, Checkpoint, Decode, HistoryRoot, Root, SEGMENT_ROOTS, Slot, State,
    limits::{CHAIN_LAST_SLOT, HISTORICAL_ROOTS_DEPTH, SEGMENT_DEPTH},
    merkle::{hash_pair, merkleize_roots, zero_hash},
    root::ROOT_BYTES,
    to_ssz,
};

use crate::{
    block_proof::BlockProof,
    body_root::{checkpoint_root, number_root},
    container::{Container, ContainerWriter, Section},
    error::{ArchiveError, BuildError, Fault},
    limits::SMALL_PARTS_BYTES_MAX,
    network_id::NetworkId,
    object_name::ObjectName,
    version::{VERSION, check_version},
};

/// Type of the record.
const FRONTIER: u16 = 0x4c11;

/// Bytes before the roots of segments.
const FIXED_BYTES: usize =
    2 + 8 + BlockHeader::SSZ_BYTES + 2 * Checkpoint::SSZ_BYTES + 4 * ROOT_BYTES;

/// Depth of a state's Merkle tree: ten fields.
const STATE_DEPTH: usize = 4;

/// What proves the canonical chain before a block. Every value of this type hashes to its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frontier {
    header: BlockHeader,
    genesis_time: u64,
    latest_justified: Checkpoint,
    latest_finalized: Checkpoint,
    justified_slots_root: Root,
    registry_root: Root,
    justifications_roots: [Root; 2],
    segment_roots: Vec<Root>,
    tail_roots: Vec<Root>,
}

impl Frontier {
    /// The frontier of a block: its header with the `state_root` filled in, and its post-state.
    ///
    /// # Errors
    /// [`BuildError::OtherState`] if the state is not the one that the header commits to.
    pub fn of(header: &BlockHeader, state: &State) -> Result<Self, BuildError> {
        let history = &state.historical_block_hashes;
        let (roots, validators) = state.justifications.field_roots();
        let frontier = Self {
            header: *header,
            genesis_time: state.config.genesis_time,
            latest_justified: state.latest_justified,
            latest_finalized: state.latest_finalized,
            justified_slots_root: state.justified_slots.root(),
            registry_root: state.validators.root(),
            justifications_roots: [roots, validators],
            segment_roots: history.segments().iter().map(|segment| segment.root()).collect(),
            tail_roots: roots_in(history.tail()),
        };
        let is_own = history.len() as u64 == header.slot && frontier.check().is_ok();
        if is_own { Ok(frontier) } else { Err(BuildError::OtherState { slot: header.slot }) }
    }

    /// The object.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0];
        bytes.extend_from_slice(&self.genesis_time.to_le_bytes());
        bytes.extend(to_ssz(&self.header));
        bytes.extend(to_ssz(&self.latest_justified));
        bytes.extend(to_ssz(&self.latest_finalized));
        let roots = [self.justified_slots_root, self.registry_root];
        let roots = roots.iter().chain(&self.justifications_roots);
        for root in roots.chain(&self.segment_roots).chain(&self.tail_roots) {
            bytes.extend_from_slice(root.as_bytes());
        }
        let mut writer = ContainerWriter::new();
        writer.put(FRONTIER, &bytes);
        writer.finish().0
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        let Checkpoint { slot, root } = self.block();
        ObjectName::Frontier { slot, root }
    }

    /// Reads a frontier: all of it hashes to its header. Whether that is a block to trust is the caller's to say.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is damaged or does not hash to its header.
    ///
    /// # Cost
    /// A hash for each root.
    pub fn decode(file: &str, bytes: &[u8]) -> Result<Self, ArchiveError> {
        let mut container = Container::open(file, bytes, SMALL_PARTS_BYTES_MAX as u64)?;
        let section = container.section(FRONTIER, "frontier")?;
        container.end()?;
        let frontier = read(&section)?;
        frontier.check().map_err(|fault| section.refuse(fault))?;
        Ok(frontier)
    }

    /// Reads the frontier of the block that has this root, which somebody trusts.
    ///
    /// # Errors
    /// As [`Frontier::decode`], and [`Fault::Root`] for another block's.
    pub fn verify(file: &str, bytes: &[u8], trusted: &Root) -> Result<Self, ArchiveError> {
        let frontier = Self::decode(file, bytes)?;
        let (computed, expected) = (frontier.block().root, *trusted);
        if computed == expected {
            return Ok(frontier);
        }
        let fault = Fault::Root { computed, expected };
        Err(ArchiveError::new(file, "frontier", 16, fault))
    }

    /// The block whose root proves all this.
    #[must_use]
    pub fn block(&self) -> Checkpoint {
        Checkpoint { root: self.header.root(), slot: self.header.slot }
    }

    /// Its header.
    #[must_use]
    pub const fn header(&self) -> &BlockHeader {
        &self.header
    }

    /// Unix seconds of slot 0.
    #[must_use]
    pub const fn genesis_time(&self) -> u64 {
        self.genesis_time
    }

    /// Root of the validators.
    #[must_use]
    pub const fn registry_root(&self) -> Root {
        self.registry_root
    }

    /// The network that the block belongs to.
    #[must_use]
    pub fn network_id(&self) -> NetworkId {
        NetworkId::of(self.genesis_time, &self.registry_root)
    }

    /// Latest justified checkpoint of the block's state.
    #[must_use]
    pub const fn latest_justified(&self) -> Checkpoint {
        self.latest_justified
    }

    /// Latest finalized checkpoint of the block's state.
    #[must_use]
    pub const fn latest_finalized(&self) -> Checkpoint {
        self.latest_finalized
    }

    /// Roots of the complete segments before the block.
    #[must_use]
    pub fn segment_roots(&self) -> &[Root] {
        &self.segment_roots
    }

    /// Canonical roots of the slots after them and before the block; zero for an empty slot.
    #[must_use]
    pub fn tail_roots(&self) -> &[Root] {
        &self.tail_roots
    }

    /// The proof of the canonical root of `slot` under this block. `leaves` are the 32 KiB of roots of the slot's segment; not
    /// looked at for the slots after the last complete one. `None` for a slot after the block, or other leaves.
    ///
    /// # Cost
    /// About 1,300 hashes.
    #[must_use]
    pub fn prove(&self, slot: Slot, leaves: &[u8]) -> Option<BlockProof> {
        let trusted = self.header;
        if slot == trusted.slot {
            return Some(BlockProof { trusted, slot, root: trusted.root(), branch: Vec::new() });
        }
        let segment = usize::try_from(slot / SEGMENT_ROOTS as u64).ok()?;
        let offset = usize::try_from(slot % SEGMENT_ROOTS as u64).ok()?;
        let leaves = match self.segment_roots.get(segment) {
            Some(_) => roots_in(leaves),
            None if slot < trusted.slot => self.tail_roots.clone(),
            None => return None,
        };
        let root = *leaves.get(offset)?;
        let mut branch = Vec::new();
        let segment_root = siblings(leaves, 0, SEGMENT_DEPTH, offset, &mut branch);
        let mut segments = self.segment_roots.clone();
        if segments.get(segment).is_some_and(|expected| *expected != segment_root) {
            return None;
        }
        if !self.tail_roots.is_empty() {
            segments.push(merkleize_roots(&self.tail_roots, SEGMENT_DEPTH));
        }
        siblings(segments, SEGMENT_DEPTH, HISTORICAL_ROOTS_DEPTH, segment, &mut branch);
        branch.push(number_root(trusted.slot));
        let fields = self.field_roots();
        // The history is field 5 of 16.
        siblings(fields.to_vec(), 0, STATE_DEPTH, 5, &mut branch);
        Some(BlockProof { trusted, slot, root, branch })
    }

    /// Whether all of it hashes to the header's `state_root`.
    fn check(&self) -> Result<(), Fault> {
        let slot = self.header.slot;
        let computed = merkleize_roots(&self.field_roots(), STATE_DEPTH);
        let expected = self.header.state_root;
        if computed == expected { Ok(()) } else { Err(Fault::State { slot, computed, expected }) }
    }

    /// Roots of the state's fields, in their order.
    fn field_roots(&self) -> [Root; 10] {
        let [justifications_roots, justifications_validators] = self.justifications_roots;
        [
            number_root(self.genesis_time),
            number_root(self.header.slot),
            BlockHeader { state_root: Root::ZERO, ..self.header }.root(),
            checkpoint_root(&self.latest_justified),
            checkpoint_root(&self.latest_finalized),
            self.history_root(),
            self.justified_slots_root,
            self.registry_root,
            justifications_roots,
            justifications_validators,
        ]
    }

    fn history_root(&self) -> Root {
        // No more roots than the slot limit allows, by construction.
        let mut history = HistoryRoot::of_segments(self.segment_roots.iter().copied());
        for root in &self.tail_roots {
            history = history.and_then(|mut history| history.push(*root).map(|_| history));
        }
        history.unwrap_or_default().root()
    }
}

fn read(section: &Section<'_>) -> Result<Frontier, ArchiveError> {
    let left = section.bytes.len() as u64;
    let short = |needed: usize| Fault::Truncated { needed: needed as u64, left };
    let Some((fixed, roots)) = section.bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Err(section.refuse(short(FIXED_BYTES)));
    };
    let (start, rest) = fixed.split_at(10);
    check_version(start[0], start[1]).map_err(|fault| section.refuse(fault))?;
    let genesis_time = start.last_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let (header, rest) = rest.split_at(BlockHeader::SSZ_BYTES);
    let (justified, rest) = rest.split_at(Checkpoint::SSZ_BYTES);
    let (finalized, rest) = rest.split_at(Checkpoint::SSZ_BYTES);
    let header = ssz::<BlockHeader>(section, header)?;
    if header.slot > CHAIN_LAST_SLOT {
        let (what, got, high) = ("slot", header.slot, CHAIN_LAST_SLOT);
        return Err(section.refuse(Fault::Range { what, got, low: 0, high }));
    }
    let slot = usize::try_from(header.slot).unwrap_or(usize::MAX);
    let (segments, tail) = (slot / SEGMENT_ROOTS, slot % SEGMENT_ROOTS);
    let expected = (segments + tail) * ROOT_BYTES;
    if roots.len() < expected {
        return Err(section.refuse(short(FIXED_BYTES + expected)));
    }
    if roots.len() > expected {
        return Err(section.refuse(Fault::Trailing((roots.len() - expected) as u64)));
    }
    let mut segment_roots = roots_in(roots);
    let tail_roots = segment_roots.split_off(segments);
    let mut of_state = roots_in(rest).into_iter();
    let mut next = || of_state.next().unwrap_or_default();
    Ok(Frontier {
        header,
        genesis_time,
        latest_justified: ssz(section, justified)?,
        latest_finalized: ssz(section, finalized)?,
        justified_slots_root: next(),
        registry_root: next(),
        justifications_roots: [next(), next()],
        segment_roots,
        tail_roots,
    })
}

fn ssz<T: Decode>(section: &Section<'_>, bytes: &[u8]) -> Result<T, ArchiveError> {
    T::from_ssz(bytes).map_err(|error| section.refuse(error))
}

fn roots_in(bytes: &[u8]) -> Vec<Root> {
    bytes.chunks_exact(ROOT_BYTES).filter_map(Root::from_slice).collect()
}

/// Appends the siblings on the way from leaf `index` of `layer`, which lies at level `from`, up to level `to`, and gives
/// the root there. What is missing on the right is zero.
fn siblings(
    mut layer: Vec<Root>,
    from: usize,
    to: usize,
    mut index: usize,
    branch: &mut Vec<Root>,
) -> Root {
    for level in from..to {
        let at = |layer: &[Root], index: usize| {
            layer.get(index).copied().unwrap_or_else(|| zero_hash(level))
        };
        branch.push(at(&layer, index ^ 1));
        let pairs = 0..layer.len().div_ceil(2);
        layer =
            pairs.map(|pair| hash_pair(&at(&layer, 2 * pair), &at(&layer, 2 * pair + 1))).collect();
        index /= 2;
    }
    layer.first().copied().unwrap_or_else(|| zero_hash(to))
}
