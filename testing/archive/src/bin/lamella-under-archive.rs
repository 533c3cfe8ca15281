//! The binary `lamella`, once more: a test may only name a binary of its own package, and this one is built with it.

use std::process::ExitCode;

use clap::Parser;
use lamella::cli::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
