//! `bench-report`: docs/benchmarks.md and its plots from what the benches left in the target directory.
//!
//! It measures nothing. Text that explains stands in `template.md`, so that a new run keeps it; [`template`] says what
//! may stand there for a figure.

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
mod row;
mod rows;
mod template;

use std::{fs, io, path::Path, process::ExitCode};

use measured::Measured;

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
    fs::write(&report, template::fill(template::TEMPLATE, &measured))?;
    println!("wrote docs/benchmarks.md and docs/benchmarks/*.svg");
    Ok(())
}
