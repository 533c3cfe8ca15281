//! What a system's shell and `man` want to know of the commands: both are made from the same declaration as `--help`.

use std::{
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, CommandError};

/// What is told about completions.
pub(super) const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  lamella completions bash > /etc/bash_completion.d/lamella
  lamella completions zsh > ~/.zfunc/_lamella
  lamella completions fish > ~/.config/fish/completions/lamella.fish";

/// What is told about manual pages.
pub(super) const MAN_EXAMPLES: &str = "\
Examples:
  lamella man | man -l -
  lamella man --to /usr/local/share/man/man1";

/// `lamella completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "lamella", &mut script);
        Ok(io::stdout().lock().write_all(&script)?)
    }
}

/// `lamella man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write a page for each command into this folder, made if absent, instead of the first one to stdout.
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

impl ManArgs {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let Some(folder) = &self.to else {
            let mut page = Vec::new();
            Man::new(Cli::command()).render(&mut page)?;
            return Ok(io::stdout().lock().write_all(&page)?);
        };
        let written = fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder));
        written.map_err(|source| CommandError::Man { folder: folder.clone(), source })
    }
}
