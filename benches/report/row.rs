//! One row of the table: a promise, what was inside the clock, its checks, and what stands beside it.

use crate::{
    format::{rate, ratio, seconds},
    measured::Measured,
};

/// A promise.
pub struct Row {
    pub what: &'static str,
    /// What was inside the clock, and what was not: threads, what lay in memory, proofs, flushes.
    pub inside: &'static str,
    /// The neighbour's figure as its own benches gave it, on another machine.
    pub neighbour: &'static str,
    pub checks: Vec<Check>,
    pub baselines: Vec<Baseline>,
}

/// One number of a promise and its limit.
pub struct Check {
    /// Which one, where a row has several.
    pub of: &'static str,
    pub value: Option<f64>,
    /// How its iterations were spread, and what else is to be known of it.
    pub spread: Option<String>,
    pub limit: Limit,
    pub show: fn(f64) -> String,
}

#[derive(Clone, Copy)]
pub enum Limit {
    AtMost(f64),
    AtLeast(f64),
    /// Said, not promised.
    None,
}

/// What stands beside it in the same run.
pub struct Baseline {
    what: &'static str,
    value: Option<f64>,
    spread: Option<String>,
    /// The baseline over ours.
    factor: Option<f64>,
    show: fn(f64) -> String,
}

/// Which clocks a time is given by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The one on the wall: one thread worked, or everything is waited for.
    Clock,
    /// The processors' too, since several threads worked.
    Both,
}

impl Check {
    /// `None` if it was not measured or is no promise.
    pub fn met(&self) -> Option<bool> {
        let value = self.value?;
        match self.limit {
            Limit::AtMost(limit) => Some(value <= limit),
            Limit::AtLeast(limit) => Some(value >= limit),
            Limit::None => None,
        }
    }

    fn measured(&self) -> String {
        labelled(self.of, &said(self.value, self.show, self.spread.as_deref()))
    }

    fn target(&self) -> Option<String> {
        let limit = match self.limit {
            Limit::AtMost(limit) => format!("<= {}", (self.show)(limit)),
            Limit::AtLeast(limit) => format!(">= {}", (self.show)(limit)),
            Limit::None => return None,
        };
        Some(labelled(self.of, &limit))
    }
}

impl Baseline {
    fn said(&self) -> String {
        let factor = self.factor.map_or_else(String::new, |factor| format!(", {}", ratio(factor)));
        let value = said(self.value, self.show, self.spread.as_deref());
        format!("{}: {value}{factor}", self.what)
    }
}

fn said(value: Option<f64>, show: fn(f64) -> String, spread: Option<&str>) -> String {
    let value = value.map_or_else(|| "not measured".to_owned(), show);
    spread.map_or_else(|| value.clone(), |spread| format!("{value} ({spread})"))
}

fn labelled(of: &str, text: &str) -> String {
    if of.is_empty() { text.to_owned() } else { format!("{of}: {text}") }
}

/// Lines of one cell.
const BREAK: &str = "<br>";

impl Row {
    /// Its line of the table of promises.
    pub fn promise(&self) -> String {
        let targets: Vec<_> = self.checks.iter().filter_map(Check::target).collect();
        format!(
            "| {} | {} | {} | {} | {} | {} |",
            self.title(),
            self.neighbour,
            if targets.is_empty() { "-".to_owned() } else { targets.join(BREAK) },
            self.measured(),
            self.beside(),
            self.met(),
        )
    }

    /// Its line of README's table, which promises nothing.
    pub fn figures(&self) -> String {
        format!("| {} | {} | {} |", self.title(), self.measured(), self.beside())
    }

    fn title(&self) -> String {
        format!("**{}**: {}", self.what, self.inside)
    }

    fn measured(&self) -> String {
        self.checks.iter().map(Check::measured).collect::<Vec<_>>().join(BREAK)
    }

    fn beside(&self) -> String {
        self.baselines.iter().map(Baseline::said).collect::<Vec<_>>().join(BREAK)
    }

    fn met(&self) -> &'static str {
        let mut promises =
            self.checks.iter().filter(|check| !matches!(check.limit, Limit::None)).peekable();
        if promises.peek().is_none() {
            return "-";
        }
        match promises.map(Check::met).collect::<Option<Vec<_>>>() {
            None => "?",
            Some(all) if all.iter().all(|met| *met) => "yes",
            Some(_) => "**no**",
        }
    }
}

/// A number and the most that it may be.
pub const fn at_most(
    of: &'static str,
    value: Option<f64>,
    limit: f64,
    show: fn(f64) -> String,
) -> Check {
    Check { of, value, spread: None, limit: Limit::AtMost(limit), show }
}

/// A number that is no promise.
pub const fn told(of: &'static str, value: Option<f64>, show: fn(f64) -> String) -> Check {
    Check { of, value, spread: None, limit: Limit::None, show }
}

/// The median time of a benchmark, how it is spread, and the most seconds that it may be.
pub fn within(of: &'static str, measured: &Measured, name: &str, by: By, limit: f64) -> Check {
    Check { limit: Limit::AtMost(limit), ..taken(of, measured, name, by) }
}

/// The median time of a benchmark and how it is spread.
pub fn taken(of: &'static str, measured: &Measured, name: &str, by: By) -> Check {
    let (value, spread) = time(measured, name, by);
    Check { of, value, spread, limit: Limit::None, show: seconds }
}

/// How many a second by the median, where each iteration of a benchmark is one of `what` and does `count`.
pub fn per_second(
    of: &'static str,
    measured: &Measured,
    name: &str,
    count: f64,
    what: &str,
    limit: Limit,
) -> Check {
    let taken = measured.taken(name);
    Check {
        of,
        value: taken.map(|taken| count / taken.median),
        spread: taken.map(|taken| {
            format!("mean {}, worst {what} {}", rate(count / taken.mean), seconds(taken.worst))
        }),
        limit,
        show: rate,
    }
}

fn time(measured: &Measured, name: &str, by: By) -> (Option<f64>, Option<String>) {
    let taken = measured.taken(name);
    let spread = taken.map(|taken| match by {
        By::Clock => taken.spread(),
        By::Both => format!("{}; processors {}", taken.spread(), seconds(taken.processors)),
    });
    (taken.map(|taken| taken.median), spread)
}

pub fn quotient(numerator: Option<f64>, denominator: Option<f64>) -> Option<f64> {
    Some(numerator? / denominator?)
}

/// A number beside ours.
pub fn beside(
    what: &'static str,
    value: Option<f64>,
    ours: Option<f64>,
    show: fn(f64) -> String,
) -> Baseline {
    Baseline { what, value, spread: None, factor: quotient(value, ours), show }
}

/// The median time of a baseline beside that of ours, both by benchmark.
pub fn slower(
    what: &'static str,
    measured: &Measured,
    name: &str,
    ours: Option<&str>,
    by: By,
) -> Baseline {
    let (value, spread) = time(measured, name, by);
    let ours = ours.and_then(|ours| measured.seconds(ours));
    Baseline { what, value, spread, factor: quotient(value, ours), show: seconds }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(checks: Vec<Check>) -> Row {
        Row { what: "w", inside: "i", neighbour: "n", checks, baselines: Vec::new() }
    }

    #[test]
    fn a_row_is_met_by_its_promises_alone() {
        let (fast, slow) =
            (|| at_most("", Some(1.0), 2.0, ratio), || at_most("", Some(3.0), 2.0, ratio));
        let said = told("b", Some(9.0), ratio);
        assert_eq!(
            row(vec![fast(), said]).promise(),
            "| **w**: i | n | <= 2x | 1x<br>b: 9x |  | yes |"
        );
        assert_eq!(row(vec![fast(), slow()]).met(), "**no**");
        assert_eq!(row(vec![fast(), at_most("", None, 2.0, ratio)]).met(), "?");
        assert_eq!(row(vec![told("", Some(9.0), ratio)]).met(), "-");
    }

    #[test]
    fn the_processors_time_stands_beside_the_clocks_where_several_threads_worked() {
        let measured = Measured::default().with_time("a", 1e-3).with_time("b", 3e-3);
        let ours = taken("", &measured, "a", By::Both).measured();
        assert_eq!(ours, "1 ms (mean 1 ms, worst of 15 1 ms; processors 1 ms)");
        let beside = slower("other", &measured, "b", Some("a"), By::Clock).said();
        assert_eq!(beside, "other: 3 ms (mean 3 ms, worst of 15 3 ms), 3x");
    }
}
