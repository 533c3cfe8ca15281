//! Exact bytes. A change here is a change of the stored format: bump the schema version in `chain`, say what
//! happens to existing directories, then change the expectation in the same commit.

use std::sync::Arc;

use lamella_state_diff::{Anchor, DiffBase, StateDiff, TALLY_DELTAS_MAX};
use lamella_types::{Checkpoint, Root};

use crate::chain::{base, child, parent, root};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_diff_has_these_bytes() {
    let (block, parent) = parent(3, 5, &vec![(root(1), vec![0, 3])]);
    let after = vec![(root(1), vec![0, 1, 3]), (root(2), vec![4])];
    let child = child(&parent, block, 1, &after);
    let r = |seed| hex(root(seed).as_bytes());
    // Base and anchor 2 and 5 slots below; justified 3 below, on the branch; finalized 5 below, zero as the branch has it.
    let head = "02050205060a";
    // Bits 0 and 5 of 6; then the tally: bitmaps, since they are shorter than positions here.
    let justified = "06020004";

    let delta = StateDiff::build(&base(block, &parent, 4), &child).unwrap();
    let tally = format!("050001{}0010010000{}", r(2), "02");
    assert_eq!(hex(&delta.encode()), format!("{head}{justified}{tally}"));

    let full = StateDiff::build(&base(block, &parent, TALLY_DELTAS_MAX), &child).unwrap();
    let tally = format!("0002{}000b{}0010", r(1), r(2));
    assert_eq!(hex(&full.encode()), format!("{head}{justified}{tally}"));
}

#[test]
fn runs_that_are_much_alike_have_these_bytes() {
    // 64 validators: a crowd is a bitmap, few are positions, and a run like the one before is what differs.
    let (block, parent) = parent(3, 64, &vec![]);
    let crowd: Vec<usize> = (0..32).collect();
    let mut sorted: Vec<_> = (1..=3).map(root).collect();
    sorted.sort();
    let votes = vec![
        (sorted[0], crowd.clone()),
        (sorted[1], [&crowd[1..], &[40]].concat()),
        (sorted[2], vec![7]),
    ];
    let child = child(&parent, block, 0, &votes);
    let full = StateDiff::build(&base(block, &parent, TALLY_DELTAS_MAX), &child).unwrap();
    let h = |index: usize| hex(sorted[index].as_bytes());
    let tally = format!("0003{}00ffffffff00000000{}02020027{}010107", h(0), h(1), h(2));
    assert!(hex(&full.encode()).ends_with(&tally), "{}", hex(&full.encode()));
}

#[test]
fn an_anchor_has_these_bytes() {
    let (block, parent) = parent(1, 1, &vec![]);
    let state = child(&parent, block, 0, &vec![(root(1), vec![0])]);
    let h = |root: Root| hex(root.as_bytes());
    let expected = [
        "01".to_owned(),
        "01000000000000000700000000000000".to_owned(),
        format!(
            "0200000000000000{}{}{}{}",
            "0200000000000000",
            h(block.root),
            h(Root::ZERO),
            h(root(2))
        ),
        "0200000000000000".to_owned(),
        format!("{}0200000000000000", h(root(2))),
        format!("{}0000000000000000", h(Root::ZERO)),
        h(state.validators.root()),
        "010d".to_owned(),
        format!("20{}", h(root(1))),
        "0103".to_owned(),
        "00".to_owned(),
        format!("40{}{}", h(root(0)), h(block.root)),
    ];
    assert_eq!(hex(&Anchor::of(&state).encode()), expected.concat());
}

#[test]
fn a_checkpoint_off_the_branch_or_before_the_anchor_has_its_root_beside_it() {
    let (block, parent) = parent(3, 5, &vec![]);
    let mut child = child(&parent, block, 1, &vec![]);
    child.latest_finalized.root = root(77);
    let off = StateDiff::build(&base(block, &parent, 4), &child).unwrap().encode();
    assert!(hex(&off).starts_with(&format!("02050205060b{}", hex(root(77).as_bytes()))));

    child.latest_finalized = child.latest_justified;
    let anchor = Checkpoint { root: block.root, slot: 3 };
    let base = DiffBase::capture(block, anchor, 4, Arc::new(parent));
    let before = StateDiff::build(&base, &child).unwrap().encode();
    let named = format!("07{}", hex(root(2).as_bytes()));
    assert!(hex(&before).starts_with(&format!("02050202{named}{named}")));
}
