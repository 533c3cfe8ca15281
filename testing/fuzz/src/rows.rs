//! The rows that the chain packs by hand.

use lamella_block_store::Extent;
use lamella_chain::{ForkChoiceRow, Identity, rows};
use lamella_fork_choice::{PoolVotes, VoteRow};
use lamella_tables::SlotRoot;
use lamella_types::{AttestationData, Checkpoint, Root, bits::BitList};

pub fn rows(bytes: &[u8]) {
    // A later version may append to a row.
    for read in [rows::vote, rows::fork_choice, rows::identity] {
        if let Some(written) = read(bytes) {
            assert!(bytes.starts_with(&written), "one encoding for each row");
        }
    }
    if let Some(extent) = Extent::decode(bytes) {
        // Ranges have room for more as well.
        assert_eq!(Extent::decode(&extent.encode()), Some(extent), "an extent reads as written");
    }
    if rows::is_our_schema(bytes) {
        assert!(bytes.starts_with(&rows::our_schema()), "one schema");
    }
}

pub fn rows_seeds() -> Vec<Vec<u8>> {
    let votes = |order, index| {
        let participants = BitList::from_indices([0, index]).unwrap_or_default();
        Some(PoolVotes { order, participants })
    };
    let data = AttestationData { slot: 3, ..AttestationData::default() };
    let checkpoint = Checkpoint { root: Root::new([7; 32]), slot: 9 };
    let root = checkpoint.root;
    let (justified, finalized) = (checkpoint, checkpoint);
    let fork_choice = ForkChoiceRow {
        tree_root: checkpoint,
        head: root,
        safe_target: root,
        justified,
        finalized,
        time: 5,
    };
    let identity = Identity {
        genesis_time: 7,
        registry_root: root,
        slot_ms: 4000,
        proof_scheme: "raw".to_owned(),
    };
    vec![
        rows::put_vote(&VoteRow { data, known: votes(-7, 9), pending: None }),
        rows::put_vote(&VoteRow { data, known: votes(-7, 9), pending: votes(8, 90) }),
        rows::put_fork_choice(&fork_choice),
        rows::put_identity(&identity),
        rows::our_schema(),
        Extent::begin(SlotRoot::new(9, root), root).encode(),
    ]
}
