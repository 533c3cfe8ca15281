//! The copy of the sign guard beside the keys: one small text file for a node's keys on one chain, replaced whole.
//!
//! A line for each key: validator, kind, highest slot reserved, and XXH3-64 over genesis time and these. The last line
//! counts them, so a file that was cut is known to be. A key without a line in a damaged file is refused: what it has
//! signed is not known. To be refused is kept as the highest slot there is.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use lamella_network_dir::whole_file::{self, Access};
use lamella_tables::{DutyKey, KeyKind};
use lamella_types::Slot;
use xxhash_rust::xxh3::xxh3_64;

use super::GuardCopyError;
use crate::config::NodeConfig;

/// Bytes of a file: both keys of 4,096 validators take less than half of it.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What a refused key has reserved.
const EVERY_SLOT: Slot = Slot::MAX;

/// The file, and what it says.
#[derive(Debug)]
pub(super) struct GuardCopy {
    path: PathBuf,
    genesis_time: u64,
    slots: BTreeMap<DutyKey, Slot>,
    is_new: bool,
}

impl GuardCopy {
    /// Reads the file for these keys, if there is one.
    ///
    /// # Errors
    /// The system's. Damage is none: it refuses keys.
    pub(super) fn load(config: &NodeConfig, keys: &[DutyKey]) -> Result<Self, GuardCopyError> {
        let genesis_time = config.genesis.genesis_time;
        let path = config.keys_dir.join(file_name(&config.node_id, genesis_time));
        Self::read(path, genesis_time, keys)
    }

    fn read(path: PathBuf, genesis_time: u64, keys: &[DutyKey]) -> Result<Self, GuardCopyError> {
        let text = match read_bounded(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { path, genesis_time, slots: BTreeMap::new(), is_new: true });
            }
            Err(source) => return Err(GuardCopyError { path, source }),
        };
        let (mut slots, is_whole) = parse(&text, genesis_time);
        if !is_whole {
            keys.iter().for_each(|key| {
                slots.entry(*key).or_insert(EVERY_SLOT);
            });
        }
        Ok(Self { path, genesis_time, slots, is_new: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there was no file.
    pub(super) const fn is_new(&self) -> bool {
        self.is_new
    }

    /// The highest slot reserved for a key.
    pub(super) fn slot(&self, key: &DutyKey) -> Option<Slot> {
        self.slots.get(key).copied()
    }

    /// Whether the key may sign nothing, since its line was damaged.
    pub(super) fn refuses(&self, key: &DutyKey) -> bool {
        self.slot(key) == Some(EVERY_SLOT)
    }

    /// Reserves slots, durably: they are on disk when this returns.
    ///
    /// # Errors
    /// The system's; then nothing is reserved as far as this process knows.
    ///
    /// # Cost
    /// One file of some 40 bytes a key, flushed, renamed, and its folder flushed.
    pub(super) fn reserve(
        &mut self,
        reserved: impl IntoIterator<Item = (DutyKey, Slot)>,
    ) -> Result<(), GuardCopyError> {
        let mut slots = self.slots.clone();
        slots.extend(reserved);
        let text = render(&slots, self.genesis_time);
        whole_file::write(&self.path, text.as_bytes(), Access::Owner)
            .map_err(|source| GuardCopyError { path: self.path.clone(), source })?;
        self.slots = slots;
        Ok(())
    }
}

/// A name of its own for each node of each chain: what cannot stand in a file's name is written as its bytes, `%2f`.
fn file_name(node_id: &str, genesis_time: u64) -> String {
    let mut name = "sign-guard-".to_owned();
    for byte in node_id.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.') {
            name.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    let _ = write!(name, "-{genesis_time}.txt");
    name
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    // What is longer is not ours, and is as good as damaged.
    File::open(path)?.take(FILE_BYTES_MAX).read_to_end(&mut text)?;
    Ok(text)
}

fn render(slots: &BTreeMap<DutyKey, Slot>, genesis_time: u64) -> String {
    let mut text = String::new();
    let mut line = |said: String| {
        let sum = checksum(&said, genesis_time);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{said} {sum:016x}");
    };
    for (key, slot) in slots {
        line(format!("{} {} {slot}", key.validator_index, kind_name(key.kind)));
    }
    line(format!("end {}", slots.len()));
    text
}

/// The lines that prove themselves, and whether there are no others.
fn parse(text: &[u8], genesis_time: u64) -> (BTreeMap<DutyKey, Slot>, bool) {
    let mut slots = BTreeMap::new();
    let mut rest = text;
    let mut last = None;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, after) = (&rest[..at], &rest[at + 1..]);
        rest = after;
        last = proved(line, genesis_time);
        if let Some((key, slot)) = last.and_then(entry) {
            slots.insert(key, slot);
        }
    }
    let is_whole = rest.is_empty() && last == Some(&format!("end {}", slots.len()));
    (slots, is_whole)
}

/// What a line says, without its checksum, if that fits.
fn proved(line: &[u8], genesis_time: u64) -> Option<&str> {
    let (said, sum) = std::str::from_utf8(line).ok()?.rsplit_once(' ')?;
    (sum == format!("{:016x}", checksum(said, genesis_time))).then_some(said)
}

fn entry(said: &str) -> Option<(DutyKey, Slot)> {
    let mut words = said.split(' ');
    let (validator, kind, slot) = (words.next()?, words.next()?, words.next()?);
    let kind =
        [KeyKind::Attestation, KeyKind::Proposal].into_iter().find(|of| kind_name(*of) == kind)?;
    let key = DutyKey { validator_index: validator.parse().ok()?, kind };
    Some((key, slot.parse().ok()?))
}

fn checksum(said: &str, genesis_time: u64) -> u64 {
    xxh3_64(format!("lamella sign guard {genesis_time} {said}").as_bytes())
}

const fn kind_name(kind: KeyKind) -> &'static str {
    match kind {
        KeyKind::Attestation => "attestation",
        KeyKind::Proposal => "proposal",
    }
}

#[cfg(test)]
mod tests;
