//! A harness that finds nothing proves nothing: what must not happen is made to happen, and found.

use lamella_testing_sim::{
    Plan,
    plan::{Fault, Kind, SLOT_MS},
    run, shrink,
};

const fn fault(slot: u64, for_slots: u64, kind: Kind) -> Fault {
    Fault { at_ms: slot * SLOT_MS, for_ms: for_slots * SLOT_MS, kind }
}

/// Half of the validators on each side, and one of the two that aggregate, for longer than a seed keeps them apart.
pub fn halves() -> Plan {
    plan(vec![fault(4, 40, Kind::Partition(0b0101))])
}

fn plan(faults: Vec<Fault>) -> Plan {
    let (seed, lost_per_mille) = (7, 0);
    Plan { seed, nodes: 4, validators: 8, is_lazy: false, lost_per_mille, faults, has_twins: false }
}

fn broken(plan: &Plan) -> Option<&'static str> {
    run(plan).violation.map(|violation| violation.law)
}

#[test]
fn a_disk_that_forgets_what_was_acknowledged_is_found() {
    assert_eq!(broken(&plan(vec![fault(8, 3, Kind::Kill(1))])), None);
    assert_eq!(broken(&plan(vec![fault(8, 3, Kind::OldCopy(1))])), Some("nothing lost"));
}

#[test]
fn halves_that_are_long_apart_finalize_nothing_apart() {
    assert_eq!(broken(&halves()), None);
}

#[test]
fn keys_that_two_nodes_have_are_found() {
    // As long as they see the same they do the same.
    assert_eq!(broken(&Plan { has_twins: true, ..plan(vec![]) }), None);
    let apart = plan(vec![fault(5, 5, Kind::Partition(0b0011))]);
    assert_eq!(broken(&Plan { has_twins: true, ..apart }), Some("one signature"));
}

#[test]
fn a_network_that_does_not_come_back_is_found() {
    assert_eq!(broken(&plan(vec![])), None);
    assert_eq!(broken(&Plan { lost_per_mille: 1_000, ..plan(vec![]) }), Some("back"));
}

#[test]
fn of_many_faults_the_one_is_left_that_breaks_the_law() {
    let many = plan(vec![
        fault(4, 3, Kind::Pause(2)),
        fault(6, 5, Kind::Partition(0b0001)),
        fault(9, 8, Kind::OldCopy(1)),
        fault(10, 2, Kind::Slow(3)),
    ]);
    let small = shrink(&many, "nothing lost");
    assert_eq!(small.faults.len(), 1, "{small}");
    assert_eq!(small.faults[0].kind, Kind::OldCopy(1));
    assert!(small.faults[0].for_ms < 8 * SLOT_MS);
}
