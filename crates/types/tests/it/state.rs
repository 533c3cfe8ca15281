//! Bytes and root of any state equal those of the plain containers.

use lamella_types::{
    BlockHashes, BlockHeader, Checkpoint, Config, Decode, JustificationValidators, Justifications,
    JustifiedSlots, PublicKeyBytes, Root, State, Validator, Validators, hash_tree_root, to_ssz,
};
use proptest::{collection::vec, prelude::*};

use crate::plain::{PlainState, plain};

prop_compose! {
    fn any_root()(bytes in any::<[u8; 32]>()) -> Root { Root::new(bytes) }
}

prop_compose! {
    fn any_checkpoint()(root in any_root(), slot in any::<u64>()) -> Checkpoint {
        Checkpoint { root, slot }
    }
}

fn bits<const LIMIT: usize>(values: &[bool]) -> lamella_types::BitList<LIMIT> {
    let mut list = lamella_types::BitList::<LIMIT>::zeros(values.len());
    for (index, value) in values.iter().enumerate() {
        list.set(index, *value);
    }
    list
}

prop_compose! {
    fn any_state()(
        genesis_time in any::<u64>(),
        slot in any::<u64>(),
        header in (any::<u64>(), any_root(), any_root(), any_root()),
        latest_justified in any_checkpoint(),
        latest_finalized in any_checkpoint(),
        history in prop_oneof![
            vec(any_root(), 0..40), vec(any_root(), 1000..1100), vec(any_root(), 2040..2060)
        ],
        justified in vec(any::<bool>(), 0..600),
        keys in vec(any::<(u8, u8)>(), 0..20),
        tracked in vec(any_root(), 0..6),
        votes in vec(any::<bool>(), 0..600),
    ) -> State {
        let mut hashes = BlockHashes::default();
        for root in history {
            hashes.push(root).unwrap();
        }
        let validators: Vec<_> = (0..).zip(keys).map(|(index, (a, b))| Validator {
            attestation_public_key: PublicKeyBytes([a; 52]),
            proposal_public_key: PublicKeyBytes([b; 52]),
            index,
        }).collect();
        State {
            config: Config { genesis_time },
            slot,
            latest_block_header: BlockHeader {
                slot: header.0, proposer_index: header.0, parent_root: header.1,
                state_root: header.2, body_root: header.3,
            },
            latest_justified,
            latest_finalized,
            historical_block_hashes: hashes,
            justified_slots: bits(&justified),
            validators: Validators::new(&validators).unwrap(),
            justifications: Justifications::new(tracked, bits(&votes)),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn bytes_and_root_equal_the_plain_containers(state in any_state()) {
        let oracle = plain(&state);
        let bytes = state.to_ssz();
        prop_assert_eq!(&bytes, &to_ssz(&oracle));
        prop_assert_eq!(state.root(), hash_tree_root(&oracle));
        let decoded = State::from_ssz(&bytes).unwrap();
        prop_assert_eq!(&decoded, &state);
        prop_assert_eq!(decoded.root(), state.root());
        let decoded: PlainState = ssz_rs::deserialize(&bytes).unwrap();
        prop_assert_eq!(decoded, oracle);
    }

    #[test]
    fn a_truncated_or_changed_state_is_an_error_or_another_state(
        state in any_state(), cut in any::<prop::sample::Index>(), flip in 0..8u8,
    ) {
        let bytes = state.to_ssz();
        let position = cut.index(bytes.len());
        prop_assert!(State::from_ssz(&bytes[..position]).is_ok_and(|cut| cut != state)
            || State::from_ssz(&bytes[..position]).is_err());
        let mut changed = bytes;
        changed[position] ^= 1 << flip;
        if let Ok(decoded) = State::from_ssz(&changed) {
            prop_assert_eq!(decoded.to_ssz(), changed);
        }
    }
}

#[test]
fn a_clone_shares_the_large_fields() {
    let mut state = State { validators: Validators::default(), ..State::default() };
    for slot in 0..3000_u64 {
        state.historical_block_hashes.push(hash_tree_root(&slot)).unwrap();
    }
    let clone = state.clone();
    let pairs = clone.historical_block_hashes.segments().iter();
    for (ours, theirs) in pairs.zip(state.historical_block_hashes.segments()) {
        assert!(std::sync::Arc::ptr_eq(ours, theirs));
    }
    assert!(clone.validators.shares_memory_with(&state.validators));
    assert!(clone.justifications.shares_memory_with(&state.justifications));
}

#[test]
fn justified_slots_of_the_whole_window_round_trip() {
    let mut slots = JustifiedSlots::zeros(262_144);
    slots.set(262_143, true);
    let mut bytes = Vec::new();
    slots.write_ssz(&mut bytes);
    assert_eq!(JustifiedSlots::from_ssz(&bytes), Ok(slots));
    bytes.push(1);
    assert!(JustifiedSlots::from_ssz(&bytes).is_err(), "one byte past the limit");
    assert!(JustificationValidators::from_ssz(&[]).is_err(), "no length bit");
}
