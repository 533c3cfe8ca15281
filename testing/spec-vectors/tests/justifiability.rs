//! Group `justifiability`: which distances from the finalized slot may be justified.

use lamella_testing_spec_vectors::{Case, Outcome, field, run_group};
use lamella_types::slot::is_justifiable_after;
use serde_json::Value;

#[test]
fn justifiability_vectors() {
    run_group("justifiability", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let slot: u64 = field(&case.value, "slot")?;
    let finalized_slot: u64 = field(&case.value, "finalizedSlot")?;
    let output: Value = field(&case.value, "output")?;
    let expected = (field::<u64>(&output, "delta")?, field::<bool>(&output, "isJustifiable")?);
    let got = (slot - finalized_slot, is_justifiable_after(slot, finalized_slot));
    if got == expected {
        Ok(Outcome::Passed)
    } else {
        Err(format!("expected {expected:?}, got {got:?}"))
    }
}
