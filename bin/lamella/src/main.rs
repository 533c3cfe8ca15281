//! The binary `lamella`.

use std::process::ExitCode;

use clap::Parser;
use lamella::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
