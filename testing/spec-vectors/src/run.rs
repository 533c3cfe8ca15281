//! Running a group: every case counts, every failure is named.

use std::{
    collections::BTreeMap,
    io::{self, Write as _},
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::vectors::{self, Case, LoadError};

/// A case that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Every check held.
    Passed,
    /// The case cannot be run from its JSON, for this reason.
    Skipped(&'static str),
}

/// Runs `check` on every case of `group`, prints one line of counts, and fails on any failing case.
///
/// # Panics
/// If a case fails (all are listed, with what `check` said), if the group is there without a case, or if it is
/// absent where `CI` is set.
pub fn run_group(group: &str, check: impl Fn(&Case) -> Result<Outcome, String>) {
    run_loaded(group, vectors::load_group(group), check);
}

/// As [`run_group`], for a file that is one list of cases.
///
/// # Panics
/// As [`run_group`].
pub fn run_list(name: &str, check: impl Fn(&Case) -> Result<Outcome, String>) {
    run_loaded(name, vectors::load_list(name), check);
}

fn run_loaded(
    name: &str,
    cases: Result<Option<Vec<Case>>, LoadError>,
    check: impl Fn(&Case) -> Result<Outcome, String>,
) {
    #[expect(clippy::panic, reason = "the vectors are damaged: the test cannot say anything else")]
    match cases {
        Ok(Some(cases)) => run_cases(name, &cases, check),
        Ok(None) => report_absence(name),
        Err(error) => panic!("{name}: {error}"),
    }
}

fn run_cases(group: &str, cases: &[Case], check: impl Fn(&Case) -> Result<Outcome, String>) {
    let (mut passed, mut skipped, mut failures) = (0, BTreeMap::new(), Vec::new());
    for case in cases {
        match catch_unwind(AssertUnwindSafe(|| check(case))) {
            Ok(Ok(Outcome::Passed)) => passed += 1,
            Ok(Ok(Outcome::Skipped(reason))) => *skipped.entry(reason).or_insert(0_usize) += 1,
            Ok(Err(problem)) => failures.push(format!("{}\n    {problem}", case.id)),
            Err(payload) => failures.push(format!("{}\n    {}", case.id, panic_text(&*payload))),
        }
    }
    let skips: usize = skipped.values().sum();
    let reasons: Vec<_> =
        skipped.iter().map(|(reason, count)| format!("{count}: {reason}")).collect();
    let reasons =
        if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    say(&format!("{group}: {passed} passed, {skips} skipped{reasons}"));

    assert!(
        failures.is_empty(),
        "{group}: {} of {} failed\n  {}",
        failures.len(),
        cases.len(),
        failures.join("\n  ")
    );
    assert_eq!(passed + skips, cases.len(), "{group}: every case was run");
    assert!(passed > 0, "{group}: not one case passed");
}

/// Says that `group` is skipped because its vectors are not there; where `CI` is set it fails for that.
fn report_absence(group: &str) {
    /// Files that leanSpec's `fill` does not write.
    const NOT_FILLED: [&str; 3] =
        ["prod-scheme-ssz", "xmss_test_scheme.json", "xmss_prod_scheme.json"];
    let directory = vectors::directory();
    let variable = vectors::DIRECTORY_VARIABLE;
    assert!(
        !vectors::required() || (vectors::is_plain_fill() && NOT_FILLED.contains(&group)),
        "{group}: no vectors in {} and CI is set; point {variable} at them",
        directory.display()
    );
    say(&format!("skipped: {group}: no vectors in {} (set {variable})", directory.display()));
}

/// Prints a line that the test runner does not hold back: the counts of a passing run are its result.
///
/// # Panics
/// If stdout is closed.
pub fn say(line: &str) {
    #[expect(clippy::expect_used, reason = "a run whose counts cannot be told proves nothing")]
    writeln!(io::stdout().lock(), "{line}").expect("stdout takes the counts");
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    format!("panicked: {}", text.unwrap_or("without a message"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn cases(count: usize) -> Vec<Case> {
        let case = |index| Case {
            id: format!("tests/x.py::test_{index}[fork_Lstar]"),
            path: "x.json".into(),
            value: Value::Null,
        };
        (0..count).map(case).collect()
    }

    #[test]
    fn failures_and_panics_of_cases_are_listed_together() {
        let check = |case: &Case| match case.function() {
            "test_0" => Ok(Outcome::Passed),
            "test_1" => Err("expected 1, got 2".to_owned()),
            _ => panic!("boom"),
        };
        let run = catch_unwind(AssertUnwindSafe(|| {
            run_cases("self-test of the runner", &cases(3), check)
        }));
        let text = panic_text(&*run.unwrap_err());
        assert!(text.contains("2 of 3 failed"), "{text}");
        assert!(text.contains("expected 1, got 2") && text.contains("boom"), "{text}");
    }

    #[test]
    fn a_group_of_skips_fails() {
        let run = catch_unwind(|| {
            run_cases("self-test of the runner", &cases(2), |_| Ok(Outcome::Skipped("x")))
        });
        assert!(run.is_err());
    }
}
