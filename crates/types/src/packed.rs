//! The primitives of the packed formats that rows are stored in: diffs, anchors, bodies. SSZ is in `decode`.
//!
//! Integers are LEB128 varints in their shortest form. Every read is bounds-checked, and a count is held against the
//! bytes that are left before anything is allocated for it.

use crate::{
    attestation::Checkpoint,
    root::{ROOT_BYTES, Root},
};

/// Bytes that do not fit the format. They passed their checksum, so they were written so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {position} does not fit the format")]
pub struct FormatError {
    /// The field being read.
    pub what: &'static str,
    /// Where it begins.
    pub position: usize,
}

/// Walks encoded bytes; every read is bounds-checked.
pub struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// What is wrong with the field that is read here.
    #[must_use]
    pub const fn error(&self, what: &'static str) -> FormatError {
        FormatError { what, position: self.position }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn take(&mut self, what: &'static str, count: usize) -> Result<&'a [u8], FormatError> {
        let end = self.position.checked_add(count).ok_or_else(|| self.error(what))?;
        let taken = self.bytes.get(self.position..end).ok_or_else(|| self.error(what))?;
        self.position = end;
        Ok(taken)
    }

    /// The next byte.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn byte(&mut self, what: &'static str) -> Result<u8, FormatError> {
        self.take(what, 1).map(|bytes| bytes[0])
    }

    /// A root of 32 bytes.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn root(&mut self, what: &'static str) -> Result<Root, FormatError> {
        let error = self.error(what);
        Root::from_slice(self.take(what, ROOT_BYTES)?).ok_or(error)
    }

    /// A varint in its shortest form.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn varint(&mut self, what: &'static str) -> Result<u64, FormatError> {
        let error = self.error(what);
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte(what)?;
            let bits = u64::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return Err(error);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 { Err(error) } else { Ok(value) };
            }
        }
        Err(error)
    }

    /// A count of things that take at least `bytes_each` of what is left, so that it is safe to allocate for.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn count(&mut self, what: &'static str, bytes_each: usize) -> Result<usize, FormatError> {
        let error = self.error(what);
        let count = usize::try_from(self.varint(what)?).map_err(|_| error)?;
        let left = self.bytes.len() - self.position;
        if count.checked_mul(bytes_each).is_none_or(|bytes| bytes > left) {
            Err(error)
        } else {
            Ok(count)
        }
    }

    /// `[length: varint | bytes]`.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn run(&mut self, what: &'static str) -> Result<&'a [u8], FormatError> {
        let length = self.count(what, 1)?;
        self.take(what, length)
    }

    /// `[distance below slot: varint | root: 32]`.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn checkpoint_below(
        &mut self,
        what: &'static str,
        slot: u64,
    ) -> Result<Checkpoint, FormatError> {
        let error = self.error(what);
        let slot = slot.checked_sub(self.varint(what)?).ok_or(error)?;
        Ok(Checkpoint { slot, root: self.root(what)? })
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`FormatError`] if the bytes end before, or say something else.
    pub fn end(self) -> Result<(), FormatError> {
        if self.position == self.bytes.len() { Ok(()) } else { Err(self.error("end")) }
    }
}

/// The writer of [`Reader::varint`].
pub fn put_varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    buffer.push(value.to_le_bytes()[0]);
}

/// The writer of [`Reader::run`].
pub fn put_run(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

/// The writer of [`Reader::checkpoint_below`]. The distance wraps for a checkpoint above `slot`, which no valid
/// state has; the builder refuses it before.
pub fn put_checkpoint_below(buffer: &mut Vec<u8>, slot: u64, checkpoint: &Checkpoint) {
    put_varint(buffer, slot.wrapping_sub(checkpoint.slot));
    buffer.extend_from_slice(checkpoint.root.as_bytes());
}

/// Ascending positions as gaps: the first position, then each distance from its predecessor minus one.
pub fn put_positions(buffer: &mut Vec<u8>, positions: impl Iterator<Item = usize>) {
    let mut next = 0;
    for position in positions {
        put_varint(buffer, (position - next) as u64);
        next = position + 1;
    }
}

/// Reads `count` positions below `limit`.
///
/// # Errors
/// [`FormatError`] if the bytes end before, or name a position at or above the limit.
pub fn read_positions(
    reader: &mut Reader<'_>,
    what: &'static str,
    count: usize,
    limit: usize,
) -> Result<Vec<usize>, FormatError> {
    let mut positions = Vec::with_capacity(count);
    let mut next = 0_usize;
    for _ in 0..count {
        let error = reader.error(what);
        let gap = usize::try_from(reader.varint(what)?).map_err(|_| error)?;
        let position = next.checked_add(gap).filter(|position| *position < limit).ok_or(error)?;
        positions.push(position);
        next = position + 1;
    }
    Ok(positions)
}
