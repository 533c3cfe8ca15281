//! The rows that the chain packs by hand.

use lamella_chain::{ForkChoiceRow, Identity, rows};
use lamella_fork_choice::{PoolVotes, VoteRow};
use lamella_types::{AttestationData, Checkpoint, Root, bits::BitList};

pub fn rows(bytes: &[u8]) {
    for read in [rows::vote, rows::fork_choice, rows::identity] {
        if let Some(written) = read(bytes) {
            assert_eq!(written, bytes, "one encoding for each row");
        }
    }
    if rows::is_our_schema(bytes) {
        assert_eq!(rows::our_schema(), bytes, "one schema");
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
    let fork_choice =
        ForkChoiceRow { head: root, safe_target: root, justified, finalized, time: 5 };
    let identity =
        Identity { genesis_time: 7, registry_root: root, proof_scheme: "raw".to_owned() };
    vec![
        rows::put_vote(&VoteRow { data, known: votes(-7, 9), pending: None }),
        rows::put_vote(&VoteRow { data, known: votes(-7, 9), pending: votes(8, 90) }),
        rows::put_fork_choice(&fork_choice),
        rows::put_identity(&identity),
        rows::our_schema(),
    ]
}
