//! The fuzzer's inputs as ordinary tests.

use super::{TARGETS, Target};

/// Bytes of a seed of which each is altered and cut: longer ones at this many places.
const PLACES_MAX: usize = 600;

/// As the fuzzer would, but always the same.
fn variants(seed: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let step = seed.len().div_ceil(PLACES_MAX).max(1);
    let cuts = (0..seed.len()).step_by(step).map(|end| seed[..end].to_vec());
    let altered = (0..seed.len()).step_by(step).flat_map(|place| {
        [1, 0x80, 0xff].map(|mask| {
            let mut bytes = seed.to_vec();
            bytes[place] ^= mask;
            bytes
        })
    });
    cuts.chain(altered)
}

fn replay(target: &Target) {
    let seeds = (target.seeds)();
    assert!(!seeds.is_empty());
    for seed in seeds {
        (target.run)(&seed);
        variants(&seed).for_each(|bytes| (target.run)(&bytes));
    }
    let folder = format!("{}/findings/{}", env!("CARGO_MANIFEST_DIR"), target.name);
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        eprintln!("replaying {}", path.display());
        (target.run)(&std::fs::read(path).unwrap());
    }
}

#[test]
fn every_law_holds_for_seeds_their_variants_and_all_findings() {
    for target in TARGETS {
        eprintln!("target {}", target.name);
        replay(target);
    }
}

#[test]
fn seeds_are_valid_inputs() {
    use lamella_chain::rows;
    use lamella_tables::Value as _;
    use lamella_types::{BlockBody, Decode, SignedBlock, State};
    use lamella_xmss::{PRODUCTION, Signature};
    let seeds = |name: &str| {
        let target = TARGETS.iter().find(|target| target.name == name).unwrap();
        (target.seeds)()
    };
    assert!(seeds("block").iter().all(|seed| SignedBlock::from_ssz(seed).is_ok()));
    assert!(seeds("state").iter().all(|seed| State::from_ssz(seed).is_ok()));
    assert_eq!(seeds("stored").len(), 2, "a diff and an anchor");
    let signature = seeds("proof").remove(3);
    assert!(Signature::decode(&PRODUCTION, &signature).is_ok());
    assert!(seeds("body").iter().all(|seed| BlockBody::decode(seed).is_ok()));
    assert_eq!(seeds("body").len(), 3);
    let seeds_of_rows = seeds("rows");
    let [vote, two_pools, fork_choice, identity, schema, extent] = &seeds_of_rows[..] else {
        panic!("six rows");
    };
    assert_eq!(rows::vote(vote).as_ref(), Some(vote));
    assert_eq!(rows::vote(two_pools).as_ref(), Some(two_pools));
    assert_eq!(rows::fork_choice(fork_choice).as_ref(), Some(fork_choice));
    assert_eq!(rows::identity(identity).as_ref(), Some(identity));
    assert!(rows::is_our_schema(schema));
    assert!(lamella_block_store::Extent::decode(extent).is_some());
    assert_eq!((seeds("segment").len(), seeds("archive").len()), (2, 4));
    assert!(seeds("segment").iter().all(|seed| super::archive::is_segment(seed)));
    assert_eq!(seeds("stream").len(), 5);
    let record = String::from_utf8(seeds("record").remove(0)).unwrap();
    assert!(lamella_network_dir::Bootnode::parse(&record).is_ok());
}
