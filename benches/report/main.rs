//! `bench-report`: docs/benchmarks.md, its plots and README's figures from what the benches left in the target
//! directory.
//!
//! It measures nothing. What was inside the clock stands in [`rows`], beside the figure's name, so that both tables say
//! the same; text that explains stands in `template.md`, so that a new run keeps it; [`template`] says what may stand
//! there for a figure.

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
    match write(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cannot write the report: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(repository: &Path) -> io::Result<()> {
    let measured = Measured::read();
    let docs = repository.join("docs");
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
    let readme = repository.join("README.md");
    let text = fs::read_to_string(&readme)?;
    let filled = template::between_markers(&text, &rows::figures(&measured));
    let missing = || io::Error::other("README.md has lost the markers around its figures");
    fs::write(&readme, filled.ok_or_else(missing)?)?;
    println!("wrote docs/benchmarks.md, docs/benchmarks/*.svg and README.md's figures");
    Ok(())
}
