//! The container: e2store records, so that any e2store reader can list a file, and a digest at its end.
//!
//! ```text
//! file   = version record | records | digest record
//! record = type: u16 LE | length: u32 LE | reserved: u16 = 0 | that many bytes
//! ```
//!
//! The version record is `65 32` with no bytes. The digest is the SHA-256 of every byte before its record, so damage is
//! told from content that is wrong. All records are walked before any is read: a file that was cut says so.

use lamella_types::Root;
use sha2::{Digest as _, Sha256};

use crate::{
    error::{ArchiveError, Fault},
    limits::TAIL_BLOCKS_MAX,
};

/// Bytes before each record's content.
pub(crate) const RECORD_HEADER_BYTES: usize = 8;

/// e2store's own type of a version record: the bytes `65 32`.
const VERSION: u16 = 0x3265;

/// The last record.
const DIGEST: u16 = 0x4c7f;

/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// Records of any file: version, head, blocks, digest.
const RECORDS_MAX: usize = TAIL_BLOCKS_MAX + 8;

/// A record's content and where it begins in the file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Section<'a> {
    pub file: &'a str,
    pub name: &'static str,
    pub offset: usize,
    pub bytes: &'a [u8],
}

impl Section<'_> {
    /// This section is refused.
    pub fn refuse(&self, fault: impl Into<Fault>) -> ArchiveError {
        refuse(self.file, self.name, self.offset, fault.into())
    }
}

fn refuse(file: &str, section: &'static str, offset: usize, fault: Fault) -> ArchiveError {
    ArchiveError::new(file, section, offset as u64, fault)
}

/// A whole file, walked and found undamaged, whose records are taken in their order.
#[derive(Debug)]
pub(crate) struct Container<'a> {
    file: &'a str,
    records: std::vec::IntoIter<(u16, usize, &'a [u8])>,
    digest: Root,
    end: usize,
}

impl<'a> Container<'a> {
    /// Walks the records of a file, and compares its digest.
    pub fn open(file: &'a str, bytes: &'a [u8], bytes_max: u64) -> Result<Self, ArchiveError> {
        if bytes.len() as u64 > bytes_max {
            let fault = Fault::TooLong { length: bytes.len() as u64, limit: bytes_max };
            return Err(refuse(file, "file", 0, fault));
        }
        let mut records = Vec::new();
        let mut position = 0;
        loop {
            let (kind, content) = record_at(file, bytes, position)?;
            let offset = position + RECORD_HEADER_BYTES;
            let is_version = kind == VERSION && content.is_empty();
            if (position == 0) != is_version {
                return Err(refuse(file, "version record", position, Fault::NotE2store));
            }
            if kind == DIGEST {
                let digest = check_digest(file, bytes, position, content)?;
                return Ok(Self { file, records: records.into_iter(), digest, end: position });
            }
            if position > 0 {
                if records.len() >= RECORDS_MAX {
                    let (length, limit) = (records.len() as u64 + 1, RECORDS_MAX as u64);
                    return Err(refuse(
                        file,
                        "records",
                        position,
                        Fault::TooLong { length, limit },
                    ));
                }
                records.push((kind, offset, content));
            }
            position = offset + content.len();
        }
    }

    /// The next record, which is of this type.
    pub fn section(&mut self, kind: u16, name: &'static str) -> Result<Section<'a>, ArchiveError> {
        let (got, offset, bytes) = self.records.next().unwrap_or((DIGEST, self.end, &[]));
        let section = Section { file: self.file, name, offset, bytes };
        if got == kind {
            Ok(section)
        } else {
            Err(section.refuse(Fault::Record { got, expected: kind }))
        }
    }

    /// The place of the next record, empty.
    pub fn here(&self, name: &'static str) -> Section<'a> {
        let offset = self.records.as_slice().first().map_or(self.end, |(_, offset, _)| *offset);
        Section { file: self.file, name, offset, bytes: &[] }
    }

    /// Whether the next record is of this type.
    pub fn is_next(&self, kind: u16) -> bool {
        self.records.as_slice().first().is_some_and(|(next, ..)| *next == kind)
    }

    /// No record is left.
    pub fn end(mut self) -> Result<Root, ArchiveError> {
        match self.records.next() {
            None => Ok(self.digest),
            Some((got, offset, _)) => {
                let fault = Fault::Record { got, expected: DIGEST };
                Err(refuse(self.file, "end", offset, fault))
            }
        }
    }
}

/// The digest at the end, if nothing follows it and it is right.
fn check_digest(
    file: &str,
    bytes: &[u8],
    position: usize,
    content: &[u8],
) -> Result<Root, ArchiveError> {
    let (name, offset) = ("digest", position + RECORD_HEADER_BYTES);
    let left = bytes.len() - offset - content.len();
    if left > 0 {
        return Err(refuse(file, name, offset, Fault::Trailing(left as u64)));
    }
    let digest = digest_of(&bytes[..position]);
    if content == digest.as_bytes() {
        Ok(digest)
    } else {
        Err(refuse(file, name, offset, Fault::Digest))
    }
}

/// Type and content of the record that begins at `position`.
pub(crate) fn record_at<'a>(
    file: &str,
    bytes: &'a [u8],
    position: usize,
) -> Result<(u16, &'a [u8]), ArchiveError> {
    let left = &bytes[position.min(bytes.len())..];
    let Some((header, content)) = left.split_first_chunk::<RECORD_HEADER_BYTES>() else {
        let (needed, left) = (RECORD_HEADER_BYTES as u64, left.len() as u64);
        return Err(refuse(file, "record", position, Fault::Truncated { needed, left }));
    };
    let [a, b, c, d, e, f, g, h] = *header;
    let (kind, length) = (u16::from_le_bytes([a, b]), u32::from_le_bytes([c, d, e, f]));
    let reserved = u16::from_le_bytes([g, h]);
    if reserved != 0 {
        return Err(refuse(file, "record", position, Fault::Reserved(reserved)));
    }
    let cut = Fault::Truncated { needed: u64::from(length), left: content.len() as u64 };
    let content =
        content.get(..length as usize).ok_or_else(|| refuse(file, "record", position, cut))?;
    Ok((kind, content))
}

/// SHA-256 of bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Root {
    let digest: [u8; DIGEST_BYTES] = Sha256::digest(bytes).into();
    Root::new(digest)
}

/// Bytes of a record's header.
pub(crate) fn record_header(kind: u16, length: usize) -> [u8; RECORD_HEADER_BYTES] {
    #[expect(clippy::cast_possible_truncation, reason = "lengths are bounded far below 2^32")]
    let ([a, b], [c, d, e, f]) = (kind.to_le_bytes(), (length as u32).to_le_bytes());
    [a, b, c, d, e, f, 0, 0]
}

/// The version record.
pub(crate) fn version_record() -> [u8; RECORD_HEADER_BYTES] {
    record_header(VERSION, 0)
}

/// The digest record of a file whose other bytes have this digest.
pub(crate) fn digest_record(digest: &Root) -> Vec<u8> {
    [&record_header(DIGEST, DIGEST_BYTES)[..], digest.as_bytes()].concat()
}

/// A file that grows record by record.
#[derive(Debug)]
pub(crate) struct ContainerWriter(Vec<u8>);

impl ContainerWriter {
    pub fn new() -> Self {
        Self(version_record().to_vec())
    }

    pub fn put(&mut self, kind: u16, content: &[u8]) {
        self.0.extend_from_slice(&record_header(kind, content.len()));
        self.0.extend_from_slice(content);
    }

    /// The file with its digest, and the digest.
    pub fn finish(mut self) -> (Vec<u8>, Root) {
        let digest = digest_of(&self.0);
        self.0.extend(digest_record(&digest));
        (self.0, digest)
    }
}
