//! One row of the table: a promise, its checks, and what stands beside it.

use crate::format::ratio;

/// A promise.
pub struct Row {
    pub what: &'static str,
    /// The neighbour's figure as its own benches gave it, on another machine.
    pub neighbour: &'static str,
    pub checks: Vec<Check>,
    pub baseline: Option<Baseline>,
}

/// One number of a promise and its limit.
pub struct Check {
    /// Which one, where a row has several.
    pub of: &'static str,
    pub value: Option<f64>,
    pub limit: Limit,
    pub show: fn(f64) -> String,
}

#[derive(Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

/// What stands beside it in the same run.
pub struct Baseline {
    what: &'static str,
    value: Option<f64>,
    /// The baseline over ours.
    factor: Option<f64>,
    show: fn(f64) -> String,
}

impl Check {
    /// `None` if it was not measured.
    pub fn met(&self) -> Option<bool> {
        self.value.map(|value| match self.limit {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
        })
    }

    fn measured(&self) -> String {
        let value = self.value.map_or_else(|| "not measured".to_owned(), self.show);
        labelled(self.of, &value)
    }

    fn target(&self) -> String {
        let limit = match self.limit {
            Limit::AtMost(limit) => format!("<= {}", (self.show)(limit)),
            Limit::AtLeast(limit) => format!(">= {}", (self.show)(limit)),
        };
        labelled(self.of, &limit)
    }
}

fn labelled(of: &str, text: &str) -> String {
    if of.is_empty() { text.to_owned() } else { format!("{of} {text}") }
}

impl Row {
    /// Its line of the table.
    pub fn markdown(&self) -> String {
        let join =
            |say: fn(&Check) -> String| self.checks.iter().map(say).collect::<Vec<_>>().join("; ");
        let baseline = self.baseline.as_ref().map_or_else(String::new, |baseline| {
            let value = baseline.value.map_or_else(|| "not measured".to_owned(), baseline.show);
            let factor =
                baseline.factor.map_or_else(String::new, |factor| format!(", {}", ratio(factor)));
            format!("{}: {value}{factor}", baseline.what)
        });
        let met = match self.checks.iter().map(Check::met).collect::<Option<Vec<_>>>() {
            None => "?",
            Some(all) if all.iter().all(|met| *met) => "yes",
            Some(_) => "**no**",
        };
        format!(
            "| {} | {} | {} | {} | {baseline} | {met} |",
            self.what,
            self.neighbour,
            join(Check::target),
            join(Check::measured),
        )
    }
}

pub const fn at_most(
    of: &'static str,
    value: Option<f64>,
    limit: f64,
    show: fn(f64) -> String,
) -> Check {
    Check { of, value, limit: Limit::AtMost(limit), show }
}

pub fn quotient(numerator: Option<f64>, denominator: Option<f64>) -> Option<f64> {
    Some(numerator? / denominator?)
}

pub fn beside(
    what: &'static str,
    value: Option<f64>,
    ours: Option<f64>,
    show: fn(f64) -> String,
) -> Option<Baseline> {
    Some(Baseline { what, value, factor: quotient(value, ours), show })
}
