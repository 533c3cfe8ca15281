//! What an object is called, and so what it is: one parser and one printer, each the other's inverse.
//!
//! Names have a fixed width, so that the order of bytes is the order of numbers in every listing.

use std::{fmt, str::FromStr};

use lamella_types::{
    Root, Slot, VALIDATOR_REGISTRY_LIMIT, limits::CHAIN_LAST_SLOT, registry::Validator,
};

use crate::{
    hex::hex_digits,
    limits::{
        SEGMENT_BYTES_MAX, SEGMENTS_MAX, SIDECAR_BYTES_MAX, SMALL_PARTS_BYTES_MAX, TAIL_BYTES_MAX,
        TAIL_SEQUENCE_MAX,
    },
};

/// Digits of a segment's index, a frontier's slot, a tail's sequence number.
const INDEX_DIGITS: usize = 5;
const SLOT_DIGITS: usize = 10;
const SEQUENCE_DIGITS: usize = 12;

/// Name of the format's own description.
const FORMAT_NAME: &str = "FORMAT.md";

/// Who wrote a tail: drawn at random when a data directory begins to ship.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WriterId(pub [u8; 8]);

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&const_hex::encode(self.0))
    }
}

impl FromStr for WriterId {
    type Err = NameError;

    /// Parses 16 lower-case hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        hex_digits(text).map(Self).ok_or_else(|| NameError { name: text.to_owned() })
    }
}

/// An object below `<prefix>/<network>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ObjectName {
    /// The description of the format.
    Format,
    /// The validators.
    Registry {
        /// Their root.
        root: Root,
    },
    /// 1,024 slots.
    Segment {
        /// Slots from 1,024 times this.
        index: u32,
        /// Root of their block roots.
        root: Root,
    },
    /// The proof of everything before a block.
    Frontier {
        /// Slot of the block.
        slot: Slot,
        /// Its root.
        root: Root,
    },
    /// Block proofs of a segment.
    Proofs {
        /// Index of the segment.
        index: u32,
        /// Its root.
        root: Root,
    },
    /// Blocks since the last segment, in the order of import.
    Tail {
        /// Who wrote it.
        writer: WriterId,
        /// Its number among the writer's.
        sequence: u64,
    },
}

/// Not the name of an object: one that somebody else put there, or one of a later version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: not the name of an archive's object")]
pub struct NameError {
    /// The name.
    pub name: String,
}

impl ObjectName {
    /// Bytes that such an object has at most: more need not be fetched to refuse it.
    #[must_use]
    pub const fn bytes_max(&self) -> u64 {
        let bytes = match self {
            Self::Format | Self::Frontier { .. } => SMALL_PARTS_BYTES_MAX,
            Self::Registry { .. } => VALIDATOR_REGISTRY_LIMIT * Validator::SSZ_BYTES,
            Self::Segment { .. } => SEGMENT_BYTES_MAX,
            Self::Proofs { .. } => SIDECAR_BYTES_MAX,
            Self::Tail { .. } => TAIL_BYTES_MAX,
        };
        bytes as u64
    }

    /// The folder that holds all objects of this kind, with a slash at its end; empty for the description.
    #[must_use]
    pub const fn folder(&self) -> &'static str {
        match self {
            Self::Format => "",
            Self::Registry { .. } => "registry/",
            Self::Segment { .. } => "segments/",
            Self::Frontier { .. } => "frontier/",
            Self::Proofs { .. } => "proofs/",
            Self::Tail { .. } => "tail/",
        }
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())?;
        match self {
            Self::Format => f.write_str(FORMAT_NAME),
            Self::Registry { root } => write!(f, "{}.ssz", hex(root)),
            Self::Segment { index, root } => {
                write!(f, "{index:0INDEX_DIGITS$}-{}.lseg", hex(root))
            }
            Self::Frontier { slot, root } => write!(f, "{slot:0SLOT_DIGITS$}-{}.lfrt", hex(root)),
            Self::Proofs { index, root } => write!(f, "{index:0INDEX_DIGITS$}-{}.lprf", hex(root)),
            Self::Tail { writer, sequence } => {
                write!(f, "{writer}/{sequence:0SEQUENCE_DIGITS$}.ltal")
            }
        }
    }
}

impl FromStr for ObjectName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        parse(name).ok_or_else(|| NameError { name: name.to_owned() })
    }
}

/// What the object of this name is.
fn parse(name: &str) -> Option<ObjectName> {
    if name == FORMAT_NAME {
        return Some(ObjectName::Format);
    }
    let (folder, file) = name.split_once('/')?;
    let (stem, suffix) = file.rsplit_once('.')?;
    let numbered = |digits, high| -> Option<(u64, Root)> {
        let (number, root) = stem.split_once('-')?;
        Some((decimal(number, digits, high)?, root_of(root)?))
    };
    let of_segment = || -> Option<(u32, Root)> {
        let (index, root) = numbered(INDEX_DIGITS, u64::from(SEGMENTS_MAX) - 1)?;
        Some((u32::try_from(index).ok()?, root))
    };
    match (folder, suffix) {
        ("registry", "ssz") => root_of(stem).map(|root| ObjectName::Registry { root }),
        ("segments", "lseg") => {
            of_segment().map(|(index, root)| ObjectName::Segment { index, root })
        }
        ("proofs", "lprf") => of_segment().map(|(index, root)| ObjectName::Proofs { index, root }),
        ("frontier", "lfrt") => numbered(SLOT_DIGITS, CHAIN_LAST_SLOT)
            .map(|(slot, root)| ObjectName::Frontier { slot, root }),
        ("tail", "ltal") => {
            let (writer, sequence) = stem.split_once('/')?;
            let sequence = decimal(sequence, SEQUENCE_DIGITS, TAIL_SEQUENCE_MAX)?;
            Some(ObjectName::Tail { writer: WriterId(hex_digits(writer)?), sequence })
        }
        _ => None,
    }
}

fn hex(root: &Root) -> String {
    const_hex::encode(root.as_bytes())
}

fn root_of(text: &str) -> Option<Root> {
    hex_digits(text).map(Root::new)
}

/// A number of exactly so many digits, up to `high`.
fn decimal(text: &str, digits: usize, high: u64) -> Option<u64> {
    let is_decimal = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_decimal && *number <= high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<ObjectName> {
        let root = Root::new([0xab; 32]);
        vec![
            ObjectName::Format,
            ObjectName::Registry { root },
            ObjectName::Segment { index: 255, root },
            ObjectName::Frontier { slot: CHAIN_LAST_SLOT, root },
            ObjectName::Proofs { index: 0, root },
            ObjectName::Tail { writer: WriterId([1; 8]), sequence: TAIL_SEQUENCE_MAX },
        ]
    }

    #[test]
    fn the_names_are_these() {
        let root = "ab".repeat(32);
        let expected = [
            "FORMAT.md".to_owned(),
            format!("registry/{root}.ssz"),
            format!("segments/00255-{root}.lseg"),
            format!("frontier/0000262144-{root}.lfrt"),
            format!("proofs/00000-{root}.lprf"),
            "tail/0101010101010101/999999999999.ltal".to_owned(),
        ];
        assert_eq!(all().iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        for name in all() {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
    }

    #[test]
    fn what_is_accepted_is_what_would_be_written() {
        let mut refused = 0;
        for name in all() {
            let text = name.to_string();
            let cut = (0..text.len()).map(|end| text[..end].to_owned());
            let altered = (0..text.len()).flat_map(|at| {
                let text = text.clone();
                ["0", "9", "a", "f", "A", "-", "/", ".", "+", " "].map(move |other| {
                    let mut altered = text.clone();
                    altered.replace_range(at..=at, other);
                    altered
                })
            });
            for other in cut.chain(altered).chain([format!("{text}0"), format!("/{text}")]) {
                match other.parse::<ObjectName>() {
                    Ok(read) => assert_eq!(read.to_string(), other),
                    Err(error) => {
                        assert_eq!(error.name, other);
                        refused += 1;
                    }
                }
            }
        }
        assert!(refused > 1_000, "{refused}");
        let root = "ab".repeat(32);
        for beyond in
            [format!("segments/00256-{root}.lseg"), format!("frontier/0000262145-{root}.lfrt")]
        {
            assert!(beyond.parse::<ObjectName>().is_err(), "{beyond}");
        }
    }

    #[test]
    fn names_sort_as_their_numbers() {
        let root = |byte| Root::new([byte; 32]);
        let segments = [9, 10, 99, 100].map(|index| ObjectName::Segment {
            index,
            root: root(0xff - u8::try_from(index).unwrap()),
        });
        assert!(segments.map(|name| name.to_string()).is_sorted());
        let frontiers =
            [9_999, 10_000, 262_144].map(|slot| ObjectName::Frontier { slot, root: root(1) });
        assert!(frontiers.map(|name| name.to_string()).is_sorted());
    }
}
