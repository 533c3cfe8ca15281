//! The content of a segment as columns of bytes, unpacked, and back.
//!
//! What lies in a column resembles what lies beside it, so it compresses well. One function writes, and a reader writes again
//! what it has read: other bytes for the same content are refused.
//!
//! ```text
//! foreign      = root 32 | slot u64 LE, each, in the order of first use
//! state roots  = 32 each
//! vote shapes  = for each block: votes varint, then for each: slot (so much below the block, wrapping) varint
//!              | head, target, source: checkpoint each
//! voter shapes, voters: see `voters`
//! changes      = a change for each block, see `state_change`
//! entry        = see `state_change`; read and written before all blocks
//! proposers    = for each block whose proposer is not slot mod validators: blocks since the last such varint | proposer varint
//! ```

use std::collections::VecDeque;

use lamella_types::{
    AggregatedAttestation, AttestationData, BlockBody, BlockHeader, Checkpoint, Decode as _, Root,
    Slot,
    packed::{Reader, put_varint},
    slot::proposer_for_slot,
    to_ssz,
};

use crate::{
    archived_block::ArchivedBlock,
    body_root::body_root,
    checkpoints::{Foreign, Told, read_checkpoint},
    container::Section,
    error::{ArchiveError, Fault},
    limits::BODY_VOTES_MAX,
    network::Network,
    state_change::{Entry, SmallState, put_change, read_change},
    voters::{Recent, Shape},
};

/// The columns of a segment, by their place.
pub(crate) const COLUMNS: usize = 8;
const FOREIGN: usize = 0;
const STATE_ROOTS: usize = 1;
const VOTE_SHAPES: usize = 2;
const VOTER_SHAPES: usize = 3;
const VOTERS: usize = 4;
/// The one that tells what blocks change in states.
pub(crate) const CHANGES: usize = 5;
const ENTRY: usize = 6;
/// The one that is left out where it is empty.
pub(crate) const PROPOSERS: usize = 7;

/// The unpacked bytes of the columns.
pub(crate) type Columns = [Vec<u8>; COLUMNS];

/// Columns that grow block by block.
#[derive(Debug)]
pub(crate) struct ContentWriter<'a> {
    network: &'a Network,
    columns: Columns,
    told: Told,
    foreign: Foreign,
    recent: Recent,
    state: SmallState,
    /// Blocks in turn since the last one that was not.
    blocks_in_turn: u64,
}

impl<'a> ContentWriter<'a> {
    pub fn new(network: &'a Network, first_slot: Slot, entry: &Entry) -> Self {
        let slot = entry.header.slot;
        let mut writer = Self {
            network,
            columns: Columns::default(),
            told: Told::new(first_slot, Checkpoint { slot, root: entry.root }),
            foreign: Foreign::default(),
            recent: Recent::default(),
            state: entry.state.clone(),
            blocks_in_turn: 0,
        };
        let column = &mut writer.columns[ENTRY];
        if slot > 0 {
            column.extend_from_slice(entry.history_root.as_bytes());
        }
        let change = entry.state.in_full(network.validators().len());
        put_change(column, &mut writer.foreign, &writer.told, slot, &change);
        writer
    }

    /// The blocks told so far.
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// The changing parts of the state after the last block.
    pub const fn state(&self) -> &SmallState {
        &self.state
    }

    /// Appends a block, whose root this is, and the changing parts of its post-state.
    pub fn put(&mut self, header: &BlockHeader, root: &Root, body: &BlockBody, after: SmallState) {
        let Self { columns, told, foreign, .. } = self;
        let slot = header.slot;
        columns[STATE_ROOTS].extend_from_slice(header.state_root.as_bytes());
        put_varint(&mut columns[VOTE_SHAPES], body.attestations.len() as u64);
        for AggregatedAttestation { aggregation_bits, data } in body.attestations.iter() {
            let column = &mut columns[VOTE_SHAPES];
            put_varint(column, slot.wrapping_sub(data.slot));
            for checkpoint in [&data.head, &data.target, &data.source] {
                foreign.put(column, told, slot, checkpoint);
            }
            let [_, _, _, shapes, voters, ..] = columns;
            self.recent.put(shapes, voters, aggregation_bits);
        }
        let validators = self.network.validators().len();
        let change = after.since(&self.state, validators);
        put_change(&mut columns[CHANGES], foreign, told, slot, &change);
        if header.proposer_index == in_turn(slot, validators) {
            self.blocks_in_turn += 1;
        } else {
            put_varint(&mut columns[PROPOSERS], self.blocks_in_turn);
            put_varint(&mut columns[PROPOSERS], header.proposer_index);
            self.blocks_in_turn = 0;
        }
        self.told.put(slot, root);
        self.state = after;
    }

    /// The columns, and the roots of the segment's slots.
    pub fn finish(mut self) -> (Columns, Vec<u8>) {
        self.columns[FOREIGN] = self.foreign.list().iter().flat_map(to_ssz).collect();
        (self.columns, self.told.into_roots())
    }
}

/// The proposer of a slot.
fn in_turn(slot: Slot, validators: usize) -> u64 {
    proposer_for_slot(slot, validators as u64).unwrap_or_default()
}

/// A column where it lies, unpacked.
#[derive(Debug)]
pub(crate) struct Column<'a> {
    pub section: Section<'a>,
    pub bytes: Vec<u8>,
}

impl Column<'_> {
    /// An entry of a column refused.
    fn refuse(&self) -> impl Fn(lamella_types::packed::FormatError) -> ArchiveError {
        |error| self.section.refuse(error)
    }
}

/// What a segment with blocks holds.
#[derive(Debug)]
pub(crate) struct Content {
    pub entry: Entry,
    pub blocks: Vec<ArchivedBlock>,
    /// The roots of the segment's slots.
    pub roots: Vec<u8>,
}

/// Reads the columns of a segment that begins at `first_slot` and has blocks at `slots`, besides its entry.
pub(crate) fn read_content(
    network: &Network,
    first_slot: Slot,
    slots: &[Slot],
    entry_header: &BlockHeader,
    columns: &[Column<'_>; COLUMNS],
) -> Result<Content, ArchiveError> {
    let mut reader = ContentReader::new(network, columns)?;
    let entry = reader.entry(first_slot, entry_header)?;
    let mut writer = ContentWriter::new(network, first_slot, &entry);
    let mut blocks = Vec::with_capacity(slots.len());
    let mut parent_root = entry.root;
    for slot in slots {
        let block = reader.block(*slot, parent_root, &writer)?;
        let after = writer.state().after(&block.change, network.validators().len());
        let after = after.map_err(|source| {
            columns[CHANGES].section.refuse(Fault::Tally { slot: *slot, source })
        })?;
        writer.put(&block.header, &block.root, &block.body, after);
        parent_root = block.root;
        blocks.push(block);
    }
    // What was left unread is not written again either.
    let (written, roots) = writer.finish();
    for (column, written) in columns.iter().zip(&written) {
        if column.bytes != *written {
            return Err(column.section.refuse(Fault::NotCanonical));
        }
    }
    Ok(Content { entry, blocks, roots })
}

/// Walks all columns at once.
struct ContentReader<'a> {
    network: &'a Network,
    columns: &'a [Column<'a>; COLUMNS],
    readers: [Reader<'a>; COLUMNS],
    foreign: Vec<Checkpoint>,
    recent: Recent,
    /// Blocks in turn before the next one that is not, and its proposer.
    out_of_turn: VecDeque<(u64, u64)>,
}

impl<'a> ContentReader<'a> {
    fn new(network: &'a Network, columns: &'a [Column<'a>; COLUMNS]) -> Result<Self, ArchiveError> {
        let chunks = columns[FOREIGN].bytes.chunks(Checkpoint::SSZ_BYTES);
        let foreign = chunks.map(Checkpoint::from_ssz).collect::<Result<Vec<_>, _>>();
        let foreign = foreign.map_err(|error| columns[FOREIGN].section.refuse(error))?;
        let readers = columns.each_ref().map(|column| Reader::new(&column.bytes));
        let out_of_turn = out_of_turn(&columns[PROPOSERS])?;
        Ok(Self { network, columns, readers, foreign, recent: Recent::default(), out_of_turn })
    }

    fn entry(&mut self, first_slot: Slot, header: &BlockHeader) -> Result<Entry, ArchiveError> {
        let (slot, root) = (header.slot, header.root());
        let refuse = self.columns[ENTRY].refuse();
        let reader = &mut self.readers[ENTRY];
        let history_root = if slot > 0 {
            reader.root("history root").map_err(&refuse)?
        } else {
            lamella_types::HistoryRoot::default().root()
        };
        let told = Told::new(first_slot, Checkpoint { slot, root });
        let validators = self.network.validators().len();
        let change =
            read_change(reader, &told, &self.foreign, slot, validators).map_err(&refuse)?;
        let nothing = SmallState {
            latest_justified: change.latest_justified,
            latest_finalized: change.latest_finalized,
            justified_slots: change.justified_slots.clone(),
            justifications: lamella_types::Justifications::default(),
        };
        let state = nothing
            .after(&change, validators)
            .map_err(|source| self.columns[ENTRY].section.refuse(Fault::Tally { slot, source }))?;
        Ok(Entry { header: *header, root, history_root, state })
    }

    fn block(
        &mut self,
        slot: Slot,
        parent_root: Root,
        before: &ContentWriter<'_>,
    ) -> Result<ArchivedBlock, ArchiveError> {
        let columns = self.columns;
        let state_root = self.readers[STATE_ROOTS].root("state root");
        let state_root = state_root.map_err(columns[STATE_ROOTS].refuse())?;
        let body = self.body(slot, before.told())?;
        let (reader, validators) = (&mut self.readers[CHANGES], self.network.validators().len());
        let change = read_change(reader, before.told(), &self.foreign, slot, validators)
            .map_err(columns[CHANGES].refuse())?;
        let proposer_index = self.proposer(slot);
        let body_root = body_root(&body);
        let header = BlockHeader { slot, proposer_index, parent_root, state_root, body_root };
        Ok(ArchivedBlock { root: header.root(), header, body, change })
    }

    fn body(&mut self, slot: Slot, told: &Told) -> Result<BlockBody, ArchiveError> {
        let columns = self.columns;
        let refuse = columns[VOTE_SHAPES].refuse();
        let [_, _, votes, shapes, voters, ..] = &mut self.readers;
        let error = votes.error("votes");
        let count = votes.varint("votes").map_err(&refuse)?;
        let count = usize::try_from(count).ok().filter(|count| *count <= BODY_VOTES_MAX);
        let mut attestations = Vec::new();
        for _ in 0..count.ok_or_else(|| refuse(error))? {
            let vote_slot = slot.wrapping_sub(votes.varint("slot of a vote").map_err(&refuse)?);
            let mut checkpoint =
                |what| read_checkpoint(votes, what, told, &self.foreign, slot).map_err(&refuse);
            let (head, target, source) =
                (checkpoint("head")?, checkpoint("target")?, checkpoint("source")?);
            let shape = Shape::read(shapes).map_err(columns[VOTER_SHAPES].refuse())?;
            let voters = self.recent.read(&shape, voters).map_err(columns[VOTERS].refuse())?;
            let data = AttestationData { slot: vote_slot, head, target, source };
            attestations.push(AggregatedAttestation { aggregation_bits: voters, data });
        }
        BlockBody::new(attestations).ok_or_else(|| refuse(error))
    }

    fn proposer(&mut self, slot: Slot) -> u64 {
        match self.out_of_turn.front_mut() {
            Some((0, proposer)) => {
                let proposer = *proposer;
                self.out_of_turn.pop_front();
                return proposer;
            }
            Some((blocks, _)) => *blocks -= 1,
            None => {}
        }
        in_turn(slot, self.network.validators().len())
    }
}

fn out_of_turn(column: &Column<'_>) -> Result<VecDeque<(u64, u64)>, ArchiveError> {
    let mut reader = Reader::new(&column.bytes);
    let mut blocks = VecDeque::new();
    while reader.error("").position < column.bytes.len() {
        let mut number = || reader.varint("proposer out of turn").map_err(column.refuse());
        blocks.push_back((number()?, number()?));
    }
    Ok(blocks)
}
