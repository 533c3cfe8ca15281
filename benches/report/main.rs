//! `bench-report`: docs/benchmarks.md and its plots from what the benches left in the target directory.
//!
//! It measures nothing. Text that explains stands in `template.md`, so that a new run keeps it; there,
//! `{{table}}` and `{{machine}}` stand for what is computed here, `{{time NAME}}` for a median of criterion's,
//! `{{bytes NAME}}`, `{{us NAME}}`, `{{ratio NAME}}` and `{{number NAME}}` for a figure. What was not measured says so.

#![allow(
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a report of sizes far below 2^52"
)]

mod format;
mod machine;
mod measured;
mod plot;
mod plots;
mod rows;

use std::{fs, io, path::Path, process::ExitCode};

use measured::Measured;

const TEMPLATE: &str = include_str!("template.md");

fn main() -> ExitCode {
    let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs");
    match write(Path::new(docs)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(docs: &Path) -> io::Result<()> {
    let measured = Measured::read();
    let pictures = docs.join("benchmarks");
    fs::create_dir_all(&pictures)?;
    for (name, plot) in plots::plots(&measured) {
        match plot.svg() {
            Some(svg) => fs::write(pictures.join(name).with_extension("svg"), svg)?,
            None => eprintln!("nothing measured for plot {name}"),
        }
    }
    let report = docs.join("benchmarks.md");
    fs::write(&report, fill(TEMPLATE, &measured))?;
    println!("wrote docs/benchmarks.md and docs/benchmarks/*.svg");
    Ok(())
}

/// The template with its places filled.
fn fill(template: &str, measured: &Measured) -> String {
    let mut report = String::with_capacity(2 * template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((place, after)) = after.split_once("}}") else { break };
        report.push_str(before);
        report.push_str(&say(place, measured));
        rest = after;
    }
    report.push_str(rest);
    report
}

fn say(place: &str, measured: &Measured) -> String {
    let (kind, name) = place.split_once(' ').unwrap_or((place, ""));
    let figure = |show: fn(f64) -> String| measured.figure(name).map(show);
    let said = match kind {
        "table" => Some(rows::table(measured)),
        "machine" => Some(machine::describe()),
        "time" => measured.seconds(name).map(format::seconds),
        "us" => figure(|us| format::seconds(us / 1e6)),
        "bytes" => figure(format::bytes),
        "ratio" => figure(format::ratio),
        "number" => figure(|number| format!("{number:.0}")),
        _ => None,
    };
    said.unwrap_or_else(|| {
        eprintln!("nothing measured for {place}");
        "not measured".to_owned()
    })
}
