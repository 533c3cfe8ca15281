//! Many validators.

use lamella_testing_devnet::{Network, NetworkPlan};
use lamella_types::Slot;

use crate::TWO;

/// More validators than fit a block twice over with all their votes of two slots, on slots in which two busy cores can
/// sign and check them.
const SIXTY_FOUR: NetworkPlan =
    NetworkPlan { validators: 64, slot_ms: 1_500, key_slots: 150, ..TWO };

/// As many as the issue of finality names, on slots in which two busy cores make and check their signatures.
const TWO_HUNDRED: NetworkPlan =
    NetworkPlan { validators: 200, slot_ms: 4_000, key_slots: 60, ..TWO };

/// Slots between head and finalized block while every vote arrives.
const HEALTHY_DISTANCE: Slot = 3;

#[test]
fn sixty_four_validators_finalize_three_slots_behind_the_head() {
    let mut network = Network::make(SIXTY_FOUR);
    network.start_all();
    network.wait("finality is three slots behind the head", |views| {
        views.iter().all(|view| {
            view.finalized_slot > 6 && view.head_slot - view.finalized_slot == HEALTHY_DISTANCE
        })
    });
    let finalized = network.views().unwrap().iter().map(|view| view.finalized_slot).min().unwrap();
    network.stop_and_verify_all();
    network.same_chain(0, 1, 0, finalized);
}

/// Symptom: the consensus thread signed for 64 validators for 304 ms, and ticks, blocks and votes waited.
/// Mechanism: duties and checks ran where they were due.
/// Fix: workers do them. A debug build ends if its consensus thread begins any of it; and of the processor's time, which
/// is no matter of how fast the machine is, that thread takes a small part.
#[test]
fn no_tick_waits_for_the_signatures_of_two_hundred_validators() {
    // Given two nodes with a hundred validators each,
    let mut network = Network::make(TWO_HUNDRED);
    network.start_all();
    network.wait("both import blocks", |views| views.iter().all(|view| view.head_slot > 1));
    let began = [0, 1].map(|node| network.processor_ticks(node));
    let attested = |network: &Network, node| {
        let metrics = network.client(node).metrics().unwrap();
        metrics.count("lean_pq_sig_attestation_signatures_total")
    };
    let before = [0, 1].map(|node| attested(&network, node));

    // when they sign and check each other's votes for some slots,
    network.until("both finalize, and sign", |network| {
        let is_final = network.views()?.iter().all(|view| view.finalized_slot > 2);
        let have_signed = (0..2).all(|node| attested(network, node) - before[node] >= 300);
        (is_final && have_signed).then_some(())
    });

    // then nearly all of it was done on other threads than the consensus's.
    for node in [0, 1] {
        let votes = attested(&network, node) - before[node];
        let (consensus, all) = network.processor_ticks(node);
        let (consensus, all) = (consensus - began[node].0, all - began[node].1);
        println!(
            "node {node}: {votes} votes signed, {consensus} of {all} ticks on the consensus thread"
        );
        assert!(consensus <= all / 10, "{consensus} of {all} ticks");
    }
    network.stop_and_verify_all();
}
