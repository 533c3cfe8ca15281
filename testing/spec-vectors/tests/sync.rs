//! Group `sync`: which state a node may start from.

use lamella_testing_spec_vectors::{Case, HexBytes, Outcome, field, run_group};
use lamella_types::{Decode, State, VALIDATOR_REGISTRY_LIMIT};
use serde_json::Value;

#[test]
fn sync_vectors() {
    run_group("sync", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let operation: Value = field(&case.value, "operation")?;
    let output: Value = field(&case.value, "output")?;
    let kind: String = field(&operation, "kind")?;
    if kind != "verify_checkpoint" {
        return Err(format!("this runner does not know the kind {kind}"));
    }
    let HexBytes(bytes) = field(&output, "stateBytes")?;
    let state = State::from_ssz(&bytes).map_err(|error| error.to_string())?;
    if state.to_ssz() != bytes {
        return Err("the state encodes to other bytes".to_owned());
    }
    let validators = state.validators.len();
    let got = (
        (1..=VALIDATOR_REGISTRY_LIMIT).contains(&validators),
        validators as u64,
        state.slot,
        state.slot,
    );
    let expected = (
        field(&output, "valid")?,
        field(&output, "validatorCount")?,
        field(&output, "anchorSlot")?,
        field(&operation, "anchorSlot")?,
    );
    let registered: u64 = field(&operation, "numValidators")?;
    if got == expected && registered == got.1 {
        Ok(Outcome::Passed)
    } else {
        Err(format!("expected {expected:?} and {registered} validators, got {got:?}"))
    }
}
