//! Every byte of every object of a small archive altered, cut, grown, swapped, renamed: an error that names the file and a place
//! in it, or the same meaning.

use lamella_archive::{
    ArchiveError, Fault, Frontier, Network, ObjectName, SegmentFile, decode_registry,
};
use lamella_types::Root;
use sha2::{Digest as _, Sha256};

use crate::{
    chain::{Chain, Step, Vote},
    objects,
};

const FILE: &str = "an-object";

/// Two complete segments of few blocks, one with foreign votes and pending ones, and a frontier.
pub fn small() -> Chain {
    let vote = |votes| Step { skipped: 0, votes };
    let steps = [
        vote(vec![]),
        vote(vec![Vote::InTime { absent: 0b10 }, Vote::Foreign { seed: 9, voters: 5 }]),
        vote(vec![Vote::InTime { absent: 0b1110 }, Vote::Late { voters: 0b10 }]),
        Step { skipped: 1030, votes: vec![Vote::InTime { absent: 0b1100 }] },
        vote(vec![Vote::InTime { absent: 0 }]),
        Step { skipped: 1020, votes: vec![] },
    ];
    Chain::of(4, &steps)
}

/// What an object is good for to whoever trusts the chain's head: equal text, equal meaning.
fn meaning(chain: &Chain, name: &ObjectName, bytes: &[u8]) -> Result<String, ArchiveError> {
    let (network, frontier) = (&chain.network, chain.frontier());
    match name {
        ObjectName::Format => Ok(String::new()),
        ObjectName::Registry { root } => {
            decode_registry(FILE, bytes, root).map(|validators| format!("{:?}", validators.root()))
        }
        ObjectName::Segment { index, .. } => {
            let file = SegmentFile::decode(FILE, bytes, network)?;
            file.check_name(name)?;
            file.check_root(&frontier.segment_roots()[*index as usize])?;
            file.verify_states(frontier.segment_roots())?;
            Ok(format!("{:?} {:?}", file.entry(), file.blocks()))
        }
        ObjectName::Frontier { root, .. } => {
            Frontier::verify(FILE, bytes, root).map(|frontier| format!("{frontier:?}"))
        }
        ObjectName::Tail { .. } => objects::tail_meaning(FILE, network.id(), name, bytes),
        ObjectName::Proofs { .. } => objects::sidecar_meaning(FILE, network.id(), name, bytes),
    }
}

fn objects_of(chain: &Chain) -> Vec<(ObjectName, Vec<u8>)> {
    let mut objects = chain.objects();
    objects.retain(|(name, _)| *name != ObjectName::Format);
    objects.extend(objects::tail_and_sidecar(chain));
    objects
}

/// The error is of this file, says a place within it, and both stand in its text.
fn assert_named(error: &ArchiveError, length: usize, what: &str) {
    assert_eq!(error.file, FILE, "{what}");
    assert!(error.offset <= length as u64, "{what}: {error}");
    let text = error.to_string();
    let begins = format!("{FILE}: {} at byte {}: ", error.section, error.offset);
    assert!(text.starts_with(&begins) && text.len() > begins.len(), "{what}: {text}");
}

/// As somebody would who alters content with care: the digests of the whole and of a sidecar's index made right.
fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
    let digest_at = |bytes: &mut [u8], at: usize| {
        let digest = Sha256::digest(&bytes[..at]);
        bytes[at + 8..at + 40].copy_from_slice(&digest);
    };
    let length = |bytes: &[u8], at: usize| {
        u32::from_le_bytes(bytes[at + 2..at + 6].try_into().unwrap()) as usize
    };
    if bytes[8..10] == [0x31, 0x4c] {
        let at = 16 + length(&bytes, 8);
        if bytes.get(at..at + 2) == Some(&[0x32, 0x4c]) {
            digest_at(&mut bytes, at);
        }
    }
    let at = bytes.len() - 40;
    digest_at(&mut bytes, at);
    bytes
}

#[test]
fn every_altered_byte_is_an_error_that_names_file_and_place() {
    let chain = small();
    for (name, bytes) in objects_of(&chain) {
        let expected = meaning(&chain, &name, &bytes).unwrap();
        assert!(!expected.is_empty());
        for position in 0..bytes.len() {
            for flip in [1, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[position] ^= flip;
                let what = format!("{name} byte {position} ^ {flip}");
                let error = meaning(&chain, &name, &altered).unwrap_err();
                assert_named(&error, bytes.len(), &what);
            }
        }
    }
}

#[test]
fn altered_content_with_its_digest_made_right_is_an_error_or_means_the_same() {
    let chain = small();
    let (mut refused, mut same) = (0, 0);
    for (name, bytes) in objects_of(&chain) {
        // A registry has no digest but its name, a tail is only what its writer says.
        if matches!(name, ObjectName::Registry { .. } | ObjectName::Tail { .. }) {
            continue;
        }
        // Proofs are digested, not proven: with care they can be exchanged.
        let end = if matches!(name, ObjectName::Proofs { .. }) {
            16 + 46 + 128
        } else {
            bytes.len() - 40
        };
        let expected = meaning(&chain, &name, &bytes).unwrap();
        for position in 0..end {
            for flip in [1, 2, 0x10, 0x80, 0xff] {
                let mut altered = bytes.clone();
                altered[position] ^= flip;
                let what = format!("{name} byte {position} ^ {flip}");
                match meaning(&chain, &name, &with_digest(altered)) {
                    Ok(other) => {
                        assert_eq!(other, expected, "{what}");
                        same += 1;
                    }
                    Err(error) => {
                        assert_named(&error, bytes.len(), &what);
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 5_000 && same * 100 < refused, "{refused} refused, {same} the same");
}

/// As above where columns are compressed, as they are in any segment of some size.
#[test]
fn altered_compressed_columns_with_their_digest_made_right_are_errors_or_mean_the_same() {
    let votes =
        |slot: u64| vec![Vote::InTime { absent: 1 << (slot % 9) }, Vote::Late { voters: 3 }];
    let mut steps: Vec<_> =
        (0..60).map(|slot| Step { skipped: slot % 2, votes: votes(slot) }).collect();
    steps.push(Step { skipped: 1024, votes: vec![] });
    let chain = Chain::of(70, &steps);
    let (name, bytes) = (chain.seal(0).name(), chain.seal(0).bytes);
    let expected = meaning(&chain, &name, &bytes).unwrap();
    let magic = [0x28, 0xb5, 0x2f, 0xfd];
    assert!(bytes.windows(4).filter(|bytes| *bytes == magic).count() >= 4, "compressed columns");
    let mut refused = 0;
    for position in (0..bytes.len() - 40).filter(|position| position % 3 != 1) {
        let mut altered = bytes.clone();
        altered[position] ^= 1 << (position % 8);
        match meaning(&chain, &name, &with_digest(altered)) {
            Ok(other) => assert_eq!(other, expected, "byte {position}"),
            Err(error) => {
                assert_named(&error, bytes.len(), &format!("byte {position}"));
                refused += 1;
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

#[test]
fn an_object_cut_or_grown_is_an_error_at_every_length() {
    let chain = small();
    for (name, bytes) in objects_of(&chain) {
        for end in 0..bytes.len() {
            let error = meaning(&chain, &name, &bytes[..end]).unwrap_err();
            assert_named(&error, end.max(64), &format!("{name} cut to {end}"));
        }
        for more in [&[0][..], &[0; 8], &[0x7f, 0x4c, 0, 0, 0, 0, 0, 0], &bytes] {
            let grown = [&bytes, more].concat();
            let error = meaning(&chain, &name, &grown).unwrap_err();
            assert_named(&error, grown.len(), &format!("{name} grown by {}", more.len()));
        }
    }
}

#[test]
fn an_object_under_any_others_name_is_refused() {
    let chain = small();
    let objects = objects_of(&chain);
    for (name, bytes) in &objects {
        for (other, _) in objects.iter().filter(|(other, _)| other != name) {
            let error = meaning(&chain, other, bytes).unwrap_err();
            assert_named(&error, bytes.len(), &format!("{name} as {other}"));
        }
    }
    // Its own content under a root or an index that it does not have.
    let sealed = chain.seal(1);
    for other in [
        ObjectName::Segment { index: 1, root: Root::new([1; 32]) },
        ObjectName::Segment { index: 0, root: sealed.root },
    ] {
        let error = meaning(&chain, &other, &sealed.bytes).unwrap_err();
        let expected = Fault::NotTheName { name: other, content: sealed.name() };
        assert_eq!(*error.fault, expected);
    }
}

#[test]
fn another_networks_objects_are_refused_by_both_names() {
    let chain = small();
    let other = Network::new(1_700_000_001, chain.network.validators().clone());
    let sealed = chain.seal(0);
    let error = SegmentFile::decode(FILE, &sealed.bytes, &other).unwrap_err();
    let expected = Fault::OtherNetwork { expected: other.id(), got: chain.network.id() };
    assert_eq!(*error.fault, expected);
}

#[test]
fn states_are_refused_without_the_roots_that_they_rest_on() {
    let chain = small();
    let (sealed, frontier) = (chain.seal(1), chain.frontier());
    let file = SegmentFile::decode(FILE, &sealed.bytes, &chain.network).unwrap();
    let error = file.verify_states(&[]).unwrap_err();
    assert_eq!(*error.fault, Fault::SegmentsBefore { got: 0, expected: 1 });
    // Another segment before it: the first state that rests on it does not hash.
    let error = file.verify_states(&[Root::new([1; 32])]).unwrap_err();
    assert!(matches!(*error.fault, Fault::State { slot: 1034, .. }), "{error}");
    assert_eq!(file.verify_states(frontier.segment_roots()), Ok(3));
}
