//! Many validators.

use lamella_testing_devnet::{Network, NetworkPlan};
use lamella_types::Slot;

use crate::TWO;

/// More validators than fit a block twice over with all their votes of two slots, on slots in which two busy cores can
/// sign and check them.
const SIXTY_FOUR: NetworkPlan =
    NetworkPlan { validators: 64, slot_ms: 1_500, key_slots: 150, ..TWO };

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
