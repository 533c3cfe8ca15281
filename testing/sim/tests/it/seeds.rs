//! Seeds that must break no law, and one that is lived through twice.

use std::env;

use lamella_testing_sim::{Plan, run};

use crate::support::{number, seeds};

/// Seeds of each `make test`.
const SEEDS: u64 = 200;

#[test]
fn whatever_befalls_the_nodes_no_law_is_broken_and_finality_comes_back() {
    let (first, count) = (number("LAMELLA_SIM_SEED", 0), number("LAMELLA_SIM_SEEDS", SEEDS));
    let sum = seeds(first, count, None);
    println!(
        "{} seeds from {first}: {:.1} node-hours, {} restarts, finality back after {} slots at most",
        sum.seeds,
        sum.node_hours(),
        sum.restarts,
        sum.slots_back_max
    );
    assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n\n"));
    assert!(count < SEEDS || sum.restarts > count / 4, "too few restarts: {}", sum.restarts);
}

/// How often a node was started again in it.
fn breaks_no_law(seed: u64) -> u64 {
    let sum = seeds(seed, 1, None);
    assert!(sum.findings.is_empty(), "{}", sum.findings.join("\n\n"));
    sum.restarts
}

/// Symptom: a node that came back while half of all messages were lost built a chain of its own for ever.
/// Mechanism: none of its peers' statuses came, none was asked for again, and who has said no status is asked for no blocks.
/// Fix: a connected peer that has said none is asked again (`a_peer_whose_first_status_was_lost_is_asked_again`).
#[test]
fn a_node_whose_peers_statuses_were_all_lost_comes_back() {
    assert_eq!(breaks_no_law(1_000_303), 1, "restarts");
}

/// Symptom: two checkpoints on one chain were said to be on two. Mechanism: a block between them was never published, since
/// its proposer was killed first; after its start others asked for it by its root, and only published blocks had parents here.
/// Fix: the law learns every block of the chain of any node's head.
#[test]
fn a_block_that_was_asked_for_and_never_published_is_on_the_chain() {
    assert_eq!(breaks_no_law(3_100_000_362), 2, "restarts");
}

/// As `a_chain_that_is_finalized_less_far_may_lack_our_finalized_block`, in a network.
#[test]
fn a_peer_that_was_cut_off_and_built_on_a_fork_is_no_liar() {
    breaks_no_law(3_200_002_971);
}

/// As `a_peer_that_left_its_fork_for_our_chain_is_no_liar`, in a network.
#[test]
fn a_peer_that_has_left_a_fork_since_it_said_so_is_no_liar() {
    breaks_no_law(5_100_000_127);
}

/// As `what_a_killed_lazy_writer_left_is_recovered_with_the_size_that_it_had`, in a network.
#[test]
fn a_lazy_node_whose_newest_commit_gave_pages_up_starts_after_a_kill() {
    assert_eq!(breaks_no_law(6_100_000_921), 1, "restarts");
}

/// As `an_orphan_whose_parent_is_finalized_away_goes_and_asks_nobody`, in a network.
#[test]
fn two_halves_of_a_network_have_each_others_chain_after_a_partition() {
    breaks_no_law(6_101_000_038);
}

/// Symptom: finality was not back 40 slots after the last fault. Mechanism: that was a clock 24 slots ahead, and what a key has
/// signed it does not sign again, so two of five validators were silent for 24 slots more. Fix: so long the fault lasts.
#[test]
fn keys_that_signed_ahead_of_the_others_clocks_are_waited_for() {
    breaks_no_law(6_103_030_750);
}

#[test]
fn a_seed_says_the_whole_run() {
    for seed in [number("LAMELLA_SIM_SEED", 0), 1, 2] {
        let plan = Plan::of(seed);
        let (first, second) = (run(&plan), run(&plan));
        if env::var_os("LAMELLA_SIM_TRACE").is_some() {
            println!("{plan}{}", first.trace.join("\n"));
        }
        assert!(first.trace.len() > 100, "seed {seed}: {} lines", first.trace.len());
        let differs = first.trace.iter().zip(&second.trace).position(|(a, b)| a != b);
        let shown = differs.map(|at| (&first.trace[at], &second.trace[at]));
        assert!(first.trace == second.trace, "seed {seed} at line {differs:?}: {shown:?}");
    }
}
