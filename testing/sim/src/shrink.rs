//! The smallest plan that still breaks a law.

use crate::{plan::Plan, world::run};

/// Faults of a plan are shortened to no less.
const LEAST_MS: u64 = 500;

/// Takes faults out of a plan that breaks this law, and shortens them, as long as it breaks it.
#[must_use]
pub fn shrink(plan: &Plan, law: &str) -> Plan {
    let breaks = |plan: &Plan| run(plan).violation.is_some_and(|violation| violation.law == law);
    let mut plan = plan.clone();
    let mut index = 0;
    while index < plan.faults.len() {
        let mut fewer = plan.clone();
        fewer.faults.remove(index);
        if breaks(&fewer) {
            plan = fewer;
            index = 0;
        } else {
            index += 1;
        }
    }
    for index in 0..plan.faults.len() {
        while plan.faults[index].for_ms > LEAST_MS {
            let mut shorter = plan.clone();
            shorter.faults[index].for_ms /= 2;
            if !breaks(&shorter) {
                break;
            }
            plan = shorter;
        }
    }
    plan
}
