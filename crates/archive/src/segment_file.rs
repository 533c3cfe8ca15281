//! A segment: 1,024 slots of the canonical chain as one object, and what proves it.
//!
//! ```text
//! file = version | head | foreign, state roots, vote shapes, voter shapes, voters, changes, entry: column each
//!      | proposers: column, unless empty | digest
//! head = format version: u8 = 1 | flags: u8 = 0 | index: u32 LE | network: 8 | segment root: 32 | presence: 128
//!      | entry header: 112
//! ```
//!
//! The content gives 1,024 roots, and their root is the segment's: one comparison proves all headers, bodies and empty slots.
//! Parent, body root and proposer of a block are not stored but follow. States follow from the entry state and the changes; each
//! hashes to what its block says (see `replay`). The entry is the last block before the segment, and genesis in segment 0.
//! A segment without a block ends after the presence bits.

use std::sync::Arc;

use lamella_types::{
    BlockHeader, Decode as _, Root, SEGMENT_ROOTS, Segment, Slot, bits::ones, root::ROOT_BYTES,
    to_ssz,
};

use crate::{
    archived_block::ArchivedBlock,
    column::{put_column, read_column},
    container::{Container, ContainerWriter, Section},
    content::{CHANGES, COLUMNS, Column, Columns, Content, PROPOSERS, read_content},
    error::{ArchiveError, Fault},
    limits::{
        CHANGES_BYTES_MAX, ENTRY_BYTES_MAX, FOREIGN_BYTES_MAX, PROPOSERS_BYTES_MAX,
        SEGMENT_BYTES_MAX, SEGMENT_SLOTS, SEGMENTS_MAX, STATE_ROOTS_BYTES_MAX,
        VOTE_SHAPES_BYTES_MAX, VOTER_SHAPES_BYTES_MAX, VOTERS_BYTES_MAX,
    },
    network::Network,
    network_id::NetworkId,
    object_name::ObjectName,
    state_change::Entry,
    version::{VERSION, check_version},
};

/// Types of records.
const HEAD: u16 = 0x4c01;
const FIRST_COLUMN: u16 = 0x4c02;

/// Names and limits of the columns, in their order.
const COLUMN_KINDS: [(&str, usize); COLUMNS] = [
    ("foreign checkpoints", FOREIGN_BYTES_MAX),
    ("state roots", STATE_ROOTS_BYTES_MAX),
    ("vote shapes", VOTE_SHAPES_BYTES_MAX),
    ("voter shapes", VOTER_SHAPES_BYTES_MAX),
    ("voters", VOTERS_BYTES_MAX),
    ("changes", CHANGES_BYTES_MAX),
    ("entry state", ENTRY_BYTES_MAX),
    ("proposers", PROPOSERS_BYTES_MAX),
];

/// Bytes of the presence bits: one for each slot.
const PRESENCE_BYTES: usize = SEGMENT_ROOTS / 8;

/// Where the head is: behind the version record and its own header.
const HEAD_OFFSET: u64 = 16;

/// Bytes of a head up to its presence bits.
const HEAD_FIXED_BYTES: usize = 1 + 1 + 4 + 8 + 32;

/// A segment that was read: undamaged, canonical, and of the root that it says.
#[derive(Debug)]
pub struct SegmentFile {
    file: String,
    network: Network,
    index: u32,
    roots: Arc<Segment>,
    entry: Option<Entry>,
    blocks: Vec<ArchivedBlock>,
    /// Where the file tells what blocks change.
    states_offset: usize,
}

/// The first record.
struct Head<'a> {
    section: Section<'a>,
    index: u32,
    root: Root,
    presence: &'a [u8],
    entry: Option<BlockHeader>,
}

impl SegmentFile {
    /// Reads a segment of a network.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is damaged, not canonical, of another network, or of another root than it says.
    ///
    /// # Cost
    /// Headers and bodies are hashed, a hundred hashes a block; states are not.
    pub fn decode(file: &str, bytes: &[u8], network: &Network) -> Result<Self, ArchiveError> {
        let mut container = Container::open(file, bytes, SEGMENT_BYTES_MAX as u64)?;
        let head = Head::read(container.section(HEAD, "head")?, network.id())?;
        let first_slot = u64::from(head.index) * SEGMENT_SLOTS;
        let (mut roots, mut entry, mut blocks) = (vec![0; 32 * SEGMENT_ROOTS], None, Vec::new());
        let mut states_offset = head.section.offset;
        if let Some(header) = &head.entry {
            let columns = read_columns(&mut container)?;
            // Genesis is the entry of its own segment.
            let slots: Vec<Slot> = head.slots().filter(|slot| *slot != header.slot).collect();
            let content = read_content(network, first_slot, &slots, header, &columns)?;
            let Content { entry: of_content, blocks: all, roots: leaves } = content;
            (entry, blocks, roots) = (Some(of_content), all, leaves);
            states_offset = columns[CHANGES].section.offset;
        }
        container.end()?;
        let (section, expected) = (head.section, head.root);
        let roots = Segment::new(roots).map(Arc::new);
        let computed = roots.as_ref().map_or(Root::ZERO, |roots| roots.root());
        let Some(roots) = roots.filter(|_| computed == expected) else {
            return Err(section.refuse(Fault::Root { computed, expected }));
        };
        let (file, network, index) = (file.to_owned(), network.clone(), head.index);
        Ok(Self { file, network, index, roots, entry, blocks, states_offset })
    }

    /// Its index: its slots begin at 1,024 times this.
    #[must_use]
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Its first slot.
    #[must_use]
    pub const fn first_slot(&self) -> Slot {
        self.index as Slot * SEGMENT_SLOTS
    }

    /// Root of its block roots: what names it.
    #[must_use]
    pub fn root(&self) -> Root {
        self.roots.root()
    }

    /// What it has to be called.
    #[must_use]
    pub fn name(&self) -> ObjectName {
        ObjectName::Segment { index: self.index, root: self.root() }
    }

    /// Refuses a segment that was found under another's name.
    ///
    /// # Errors
    /// [`Fault::NotTheName`].
    pub fn check_name(&self, name: &ObjectName) -> Result<(), ArchiveError> {
        let content = self.name();
        if content == *name {
            return Ok(());
        }
        Err(self.refuse(Fault::NotTheName { name: *name, content }))
    }

    /// Refuses a segment of another chain than the one whose frontier has this root at its index.
    ///
    /// # Errors
    /// [`Fault::Root`].
    pub fn check_root(&self, expected: &Root) -> Result<(), ArchiveError> {
        let (computed, expected) = (self.root(), *expected);
        if computed == expected {
            return Ok(());
        }
        Err(self.refuse(Fault::Root { computed, expected }))
    }

    /// Header of the last canonical block before its first slot, genesis in segment 0; `None` if it has no block.
    #[must_use]
    pub fn entry(&self) -> Option<&BlockHeader> {
        self.entry.as_ref().map(|entry| &entry.header)
    }

    /// Its blocks but the entry, by slot.
    #[must_use]
    pub fn blocks(&self) -> &[ArchivedBlock] {
        &self.blocks
    }

    /// Canonical blocks in its slots; genesis counts.
    #[must_use]
    pub fn block_count(&self) -> u64 {
        let genesis = self.index == 0 && self.entry.is_some();
        self.blocks.len() as u64 + u64::from(genesis)
    }

    /// The roots of its slots, zero where there is no block: what History has of it.
    #[must_use]
    pub const fn roots(&self) -> &Arc<Segment> {
        &self.roots
    }

    /// The network that it was read for.
    pub(crate) const fn network(&self) -> &Network {
        &self.network
    }

    /// The block and state that its first block rests on.
    pub(crate) const fn entry_state(&self) -> Option<&Entry> {
        self.entry.as_ref()
    }

    /// What it tells of states is refused.
    pub(crate) fn refuse_states(&self, fault: Fault) -> ArchiveError {
        ArchiveError::new(&self.file, "states", self.states_offset as u64, fault)
    }

    fn refuse(&self, fault: Fault) -> ArchiveError {
        ArchiveError::new(&self.file, "head", HEAD_OFFSET, fault)
    }
}

impl<'a> Head<'a> {
    fn read(section: Section<'a>, network: NetworkId) -> Result<Self, ArchiveError> {
        let refuse = |fault: Fault| section.refuse(fault);
        let cut = || {
            refuse(Fault::Truncated {
                needed: (HEAD_FIXED_BYTES + PRESENCE_BYTES) as u64,
                left: section.bytes.len() as u64,
            })
        };
        let (fixed, rest) =
            section.bytes.split_first_chunk::<HEAD_FIXED_BYTES>().ok_or_else(cut)?;
        let (presence, rest) = rest.split_first_chunk::<PRESENCE_BYTES>().ok_or_else(cut)?;
        let [version, flags, a, b, c, d, rest_of_fixed @ ..] = fixed;
        check_version(*version, *flags).map_err(refuse)?;
        let index = u32::from_le_bytes([*a, *b, *c, *d]);
        if index >= SEGMENTS_MAX {
            let (got, high) = (u64::from(index), u64::from(SEGMENTS_MAX) - 1);
            return Err(refuse(Fault::Range { what: "segment", got, low: 0, high }));
        }
        let (id, root) = rest_of_fixed.split_at(8);
        let got = NetworkId(id.try_into().unwrap_or_default());
        if got != network {
            return Err(refuse(Fault::OtherNetwork { expected: network, got }));
        }
        let root = Root::from_slice(root).unwrap_or_default();
        let mut head = Self { section, index, root, presence, entry: None };
        head.entry = head.read_entry(rest)?;
        Ok(head)
    }

    /// The entry's header, which a segment has exactly if it has blocks.
    fn read_entry(&self, bytes: &[u8]) -> Result<Option<BlockHeader>, ArchiveError> {
        if self.slots().next().is_none() && self.index > 0 {
            let is_end = bytes.is_empty();
            let trailing = || self.section.refuse(Fault::Trailing(bytes.len() as u64));
            return if is_end { Ok(None) } else { Err(trailing()) };
        }
        let header = BlockHeader::from_ssz(bytes).map_err(|error| self.section.refuse(error))?;
        let (first_slot, got) = (u64::from(self.index) * SEGMENT_SLOTS, header.slot);
        // Genesis is the entry of its own segment; any other entry lies before.
        let high = first_slot.saturating_sub(1);
        let is_told = self.index > 0 || self.slots().next() == Some(0);
        if got > high || !is_told {
            let what = "slot of the entry";
            return Err(self.section.refuse(Fault::Range { what, got, low: 0, high }));
        }
        Ok(Some(header))
    }

    /// The slots that have blocks.
    fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        let first_slot = u64::from(self.index) * SEGMENT_SLOTS;
        ones(self.presence).map(move |offset| first_slot + offset as u64)
    }
}

fn read_columns<'a>(container: &mut Container<'a>) -> Result<[Column<'a>; COLUMNS], ArchiveError> {
    let mut columns = Vec::with_capacity(COLUMNS);
    for (kind, (name, limit)) in (FIRST_COLUMN..).zip(COLUMN_KINDS) {
        let is_left_out = columns.len() == PROPOSERS && !container.is_next(kind);
        if is_left_out {
            columns.push(Column { section: container.here(name), bytes: Vec::new() });
            continue;
        }
        let section = container.section(kind, name)?;
        let bytes = read_column(&section, limit)?;
        if columns.len() == PROPOSERS && bytes.is_empty() {
            return Err(section.refuse(Fault::NotCanonical));
        }
        columns.push(Column { section, bytes });
    }
    columns.try_into().map_err(|_| container.here("columns").refuse(Fault::NotCanonical))
}

/// A segment's bytes. Without an entry it has no block.
pub(crate) fn write_segment(
    network: NetworkId,
    index: u32,
    roots: &Segment,
    entry: Option<(&BlockHeader, &Columns)>,
) -> Vec<u8> {
    let mut head = vec![VERSION, 0];
    head.extend_from_slice(&index.to_le_bytes());
    head.extend_from_slice(&network.0);
    head.extend_from_slice(roots.root().as_bytes());
    let mut presence = [0; PRESENCE_BYTES];
    for (offset, root) in roots.as_bytes().chunks_exact(ROOT_BYTES).enumerate() {
        if root.iter().any(|byte| *byte != 0) {
            presence[offset / 8] |= 1 << (offset % 8);
        }
    }
    head.extend_from_slice(&presence);
    head.extend(entry.iter().flat_map(|(header, _)| to_ssz(*header)));
    let mut writer = ContainerWriter::new();
    writer.put(HEAD, &head);
    if let Some((_, columns)) = entry {
        for (place, (kind, column)) in (FIRST_COLUMN..).zip(columns).enumerate() {
            if place != PROPOSERS || !column.is_empty() {
                put_column(&mut writer, kind, column);
            }
        }
    }
    writer.finish().0
}

/// The first column that is longer than a reader takes: its name, length and limit.
pub(crate) fn too_long(columns: &Columns) -> Option<(&'static str, usize, usize)> {
    let mut columns = columns.iter().map(Vec::len).zip(COLUMN_KINDS);
    columns.find_map(|(length, (name, limit))| (length > limit).then_some((name, length, limit)))
}
