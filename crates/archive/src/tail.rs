//! A tail object: blocks since the last segment, in the order in which a node imported them, forks included.
//!
//! ```text
//! file = version | head | block each | digest
//! head = format version: u8 = 1 | flags: u8 = 0 | network: 8 | writer: 8 | sequence: u64 LE
//!      | digest of the writer's object before: 32 | head, justified, finalized of the node after these blocks: 40 each
//! block = SSZ of the signed block
//! ```
//!
//! Each object names the digest of the one before (zero at sequence 0), so that none can be left out or exchanged. The
//! digest is the one in its last record. What the node says of its head is its word; blocks prove themselves.

use lamella_types::{
    Checkpoint, Decode as _, Root, SignedBlock, limits::SIGNED_BLOCK_BYTES_MAX, root::ROOT_BYTES,
    to_ssz,
};

use crate::{
    container::{Container, ContainerWriter, Section},
    error::{ArchiveError, BuildError, Fault},
    limits::{TAIL_BLOCKS_MAX, TAIL_BYTES_MAX, TAIL_SEQUENCE_MAX},
    network_id::NetworkId,
    object_name::{ObjectName, WriterId},
    tail_link::TailLink,
    version::{VERSION, check_version},
};

/// Types of records.
const HEAD: u16 = 0x4c21;
const BLOCK: u16 = 0x4c22;

/// Bytes of the head.
const HEAD_BYTES: usize = 1 + 1 + 8 + 8 + 8 + ROOT_BYTES + 3 * Checkpoint::SSZ_BYTES;

/// Where the head is: behind the version record and its own header.
const HEAD_OFFSET: u64 = 16;

/// What a tail object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// The network.
    pub network: NetworkId,
    /// Who wrote it.
    pub writer: WriterId,
    /// Its number among the writer's.
    pub sequence: u64,
    /// Digest of the writer's object before; zero for the first.
    pub previous: Root,
    /// The writer's head after these blocks.
    pub head: Checkpoint,
    /// Its latest justified checkpoint.
    pub justified: Checkpoint,
    /// Its latest finalized checkpoint.
    pub finalized: Checkpoint,
    /// The blocks, parents before children.
    pub blocks: Vec<SignedBlock>,
}

/// A tail object as bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedTail {
    /// What it is called.
    pub name: ObjectName,
    /// What the next one names.
    pub link: TailLink,
    /// The object.
    pub bytes: Vec<u8>,
}

/// A tail object that was read, undamaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailFile {
    file: String,
    tail: Tail,
    digest: Root,
}

impl Tail {
    /// The object.
    ///
    /// # Errors
    /// [`BuildError`] for too many blocks, one too large, a sequence number of more than 12 digits, or a first object that names
    /// one before it.
    pub fn seal(&self) -> Result<SealedTail, BuildError> {
        let within = |what, got, high| {
            if got <= high { Ok(()) } else { Err(BuildError::Range { what, got, low: 0, high }) }
        };
        within("blocks", self.blocks.len() as u64, TAIL_BLOCKS_MAX as u64)?;
        within("sequence", self.sequence, TAIL_SEQUENCE_MAX)?;
        if self.sequence == 0 && !self.previous.is_zero() {
            return Err(BuildError::NotTheFirst { previous: self.previous });
        }
        let mut writer = ContainerWriter::new();
        writer.put(HEAD, &self.head_bytes());
        for block in &self.blocks {
            let bytes = to_ssz(block);
            within("bytes of a block", bytes.len() as u64, SIGNED_BLOCK_BYTES_MAX as u64)?;
            writer.put(BLOCK, &bytes);
        }
        let (bytes, digest) = writer.finish();
        let link = TailLink { sequence: self.sequence, digest };
        Ok(SealedTail { name: self.name(), link, bytes })
    }

    /// What it is called.
    #[must_use]
    pub const fn name(&self) -> ObjectName {
        ObjectName::Tail { writer: self.writer, sequence: self.sequence }
    }

    fn head_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, 0];
        bytes.extend_from_slice(&self.network.0);
        bytes.extend_from_slice(&self.writer.0);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(self.previous.as_bytes());
        for checkpoint in [&self.head, &self.justified, &self.finalized] {
            bytes.extend(to_ssz(checkpoint));
        }
        bytes
    }

    fn read_head(section: &Section<'_>, network: NetworkId) -> Result<Self, ArchiveError> {
        let refuse = |fault: Fault| section.refuse(fault);
        let Some((head, trailing)) = section.bytes.split_first_chunk::<HEAD_BYTES>() else {
            let (needed, left) = (HEAD_BYTES as u64, section.bytes.len() as u64);
            return Err(refuse(Fault::Truncated { needed, left }));
        };
        if !trailing.is_empty() {
            return Err(refuse(Fault::Trailing(trailing.len() as u64)));
        }
        check_version(head[0], head[1]).map_err(refuse)?;
        let eight = |at: usize| <[u8; 8]>::try_from(&head[at..at + 8]).unwrap_or_default();
        let got = NetworkId(eight(2));
        if got != network {
            return Err(refuse(Fault::OtherNetwork { expected: network, got }));
        }
        let (writer, sequence) = (WriterId(eight(10)), u64::from_le_bytes(eight(18)));
        if sequence > TAIL_SEQUENCE_MAX {
            let (what, got, high) = ("sequence", sequence, TAIL_SEQUENCE_MAX);
            return Err(refuse(Fault::Range { what, got, low: 0, high }));
        }
        let (previous, checkpoints) = head[26..].split_at(ROOT_BYTES);
        let previous = Root::from_slice(previous).unwrap_or_default();
        if sequence == 0 && !previous.is_zero() {
            return Err(refuse(Fault::NotCanonical));
        }
        let mut checkpoints = checkpoints.chunks(Checkpoint::SSZ_BYTES).map(Checkpoint::from_ssz);
        let mut next = || {
            let checkpoint = checkpoints.next().unwrap_or_else(|| Ok(Checkpoint::default()));
            checkpoint.map_err(|error| section.refuse(error))
        };
        let (head, justified, finalized) = (next()?, next()?, next()?);
        let blocks = Vec::new();
        Ok(Self { network, writer, sequence, previous, head, justified, finalized, blocks })
    }
}

impl TailFile {
    /// Reads a tail object of a network.
    ///
    /// # Errors
    /// [`ArchiveError`] for a file that is damaged or of another network.
    pub fn decode(file: &str, bytes: &[u8], network: NetworkId) -> Result<Self, ArchiveError> {
        let mut container = Container::open(file, bytes, TAIL_BYTES_MAX as u64)?;
        let mut tail = Tail::read_head(&container.section(HEAD, "head")?, network)?;
        while container.is_next(BLOCK) {
            let section = container.section(BLOCK, "block")?;
            let (length, limit) = (section.bytes.len() as u64, SIGNED_BLOCK_BYTES_MAX as u64);
            if length > limit {
                return Err(section.refuse(Fault::TooLong { length, limit }));
            }
            if tail.blocks.len() >= TAIL_BLOCKS_MAX {
                let (length, limit) = (tail.blocks.len() as u64 + 1, TAIL_BLOCKS_MAX as u64);
                return Err(section.refuse(Fault::TooLong { length, limit }));
            }
            let block = SignedBlock::from_ssz(section.bytes);
            tail.blocks.push(block.map_err(|error| section.refuse(error))?);
        }
        let digest = container.end()?;
        Ok(Self { file: file.to_owned(), tail, digest })
    }

    /// What it says.
    #[must_use]
    pub const fn tail(&self) -> &Tail {
        &self.tail
    }

    /// What it says, without the file.
    #[must_use]
    pub fn into_tail(self) -> Tail {
        self.tail
    }

    /// Its place in the writer's chain.
    #[must_use]
    pub const fn link(&self) -> TailLink {
        TailLink { sequence: self.tail.sequence, digest: self.digest }
    }

    /// Refuses an object that was found under another's name.
    ///
    /// # Errors
    /// [`Fault::NotTheName`].
    pub fn check_name(&self, name: &ObjectName) -> Result<(), ArchiveError> {
        let content = self.tail.name();
        if content == *name {
            return Ok(());
        }
        Err(self.refuse(Fault::NotTheName { name: *name, content }))
    }

    /// Refuses an object that does not continue the one before it, `None` before the first.
    ///
    /// # Errors
    /// [`Fault::NotTheNext`]: a gap, or another chain of the same writer.
    pub fn check_follows(&self, before: Option<TailLink>) -> Result<(), ArchiveError> {
        let (sequence, names) = (self.tail.sequence, self.tail.previous);
        let follows = match before {
            None => sequence == 0,
            Some(link) => link.sequence.checked_add(1) == Some(sequence) && link.digest == names,
        };
        if follows {
            return Ok(());
        }
        Err(self.refuse(Fault::NotTheNext { sequence, names, before }))
    }

    fn refuse(&self, fault: Fault) -> ArchiveError {
        ArchiveError::new(&self.file, "head", HEAD_OFFSET, fault)
    }
}
