//! Exact content of a small archive: names, records, and what is in each column unpacked. Compressed bytes are the compressor's
//! business. Archives are for ever, so a change here is a new format version: write its decoder beside that of the old one, say
//! so in FORMAT.md, then change the expectation in the same commit.

use std::fmt::Write as _;

use crate::{chain::Chain, damage, objects};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// The records of a file: type, codec of a column, content unpacked.
fn records(file: &[u8]) -> Vec<String> {
    let (mut at, mut lines) = (0, Vec::new());
    while at < file.len() {
        let kind = u16::from_le_bytes([file[at], file[at + 1]]);
        let length = u32::from_le_bytes(file[at + 2..at + 6].try_into().unwrap()) as usize;
        assert_eq!(file[at + 6..at + 8], [0, 0]);
        let content = &file[at + 8..at + 8 + length];
        at += 8 + length;
        let text = match kind {
            // The digest is that of compressed bytes.
            0x4c7f => format!("{} bytes", content.len()),
            0x4c02..=0x4c09 => {
                let unpacked = u32::from_le_bytes(content[1..5].try_into().unwrap()) as usize;
                let bytes = match content[0] {
                    0 => content[5..].to_vec(),
                    _ => zstd::bulk::decompress(&content[5..], unpacked).unwrap(),
                };
                assert_eq!(bytes.len(), unpacked);
                hex(&bytes)
            }
            _ => hex(content),
        };
        lines.push(format!("{kind:04x} {text}"));
    }
    lines
}

#[test]
fn a_small_archive_has_this_content() {
    let chain: Chain = damage::small();
    let mut text = format!("network {}\n", chain.network.id());
    let objects = chain.objects().into_iter().chain(objects::tail_and_sidecar(&chain));
    for (name, bytes) in objects {
        let name = name.to_string();
        writeln!(text, "\n{name}").unwrap();
        // Neither prose nor keys are records.
        if !name.ends_with(".md") && !name.ends_with(".ssz") {
            records(&bytes).iter().for_each(|line| writeln!(text, "{line}").unwrap());
        }
    }
    assert_eq!(text, include_str!("../golden/small-archive.txt"), "\n{text}");
}
