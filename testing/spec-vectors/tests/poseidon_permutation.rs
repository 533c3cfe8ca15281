//! Group `poseidon_permutation`: the permutations that `lamella-xmss` hashes with.

use lamella_testing_spec_vectors::{Case, FormatError, Outcome, field, run_group};
use lamella_xmss::{Fp, decode_fp};
use p3_field::PrimeField32;
use p3_koala_bear::{default_koalabear_poseidon1_16, default_koalabear_poseidon1_24};
use p3_symmetric::Permutation;

#[test]
fn poseidon_permutation_vectors() {
    // They take milliseconds to set up.
    let (width_16, width_24) = (default_koalabear_poseidon1_16(), default_koalabear_poseidon1_24());
    run_group("poseidon_permutation", |case| match field(&case.value, "width")? {
        16_u64 => check(case, &width_16),
        24 => check(case, &width_24),
        other => Err(format!("no permutation has width {other}")),
    });
}

fn check<const WIDTH: usize>(
    case: &Case,
    permutation: &impl Permutation<[Fp; WIDTH]>,
) -> Result<Outcome, String> {
    let input = elements::<WIDTH>(case, "inputState")?;
    let expected = elements::<WIDTH>(case, "outputState")?;
    let got = permutation.permute(input);
    if got == expected {
        Ok(Outcome::Passed)
    } else {
        let numbers = |state: [Fp; WIDTH]| state.map(|element| element.as_canonical_u32());
        Err(format!("expected {:?}, got {:?}", numbers(expected), numbers(got)))
    }
}

fn elements<const WIDTH: usize>(case: &Case, name: &str) -> Result<[Fp; WIDTH], String> {
    let mut elements = Vec::new();
    for text in field::<Vec<String>>(&case.value, name)? {
        let number: u32 = text.parse().map_err(|_| format!("{text} is not an element"))?;
        elements.push(decode_fp(number.to_le_bytes()).map_err(|error| error.to_string())?);
    }
    let count = elements.len();
    let elements: Option<[Fp; WIDTH]> = elements.try_into().ok();
    elements.ok_or_else(|| {
        FormatError::new(format!("{count} elements, not {WIDTH}")).within(name).to_string()
    })
}
