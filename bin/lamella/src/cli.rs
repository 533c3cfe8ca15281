//! The command line: subcommands, what they print, and exit codes.
//!
//! Results go to stdout, everything else to stderr. The exit code is 0 for success, 2 if the command was used wrongly
//! and 1 if it failed; an error is one line, `error: ...`.

#[cfg(feature = "archive")]
mod archive;
mod db;
mod devnet;
#[cfg(feature = "archive")]
mod follow;
mod genesis;
mod log;
mod node;
mod parent;
mod shell;

use std::{fmt, io, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

/// Lamella, a lean consensus node built around its storage.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a network for development: validator keys, node identities and their configuration.
    #[command(long_about = genesis::LONG_ABOUT, after_help = genesis::EXAMPLES)]
    Genesis(genesis::GenesisArgs),
    /// Run a network of several nodes on this machine.
    #[command(long_about = devnet::LONG_ABOUT, after_help = devnet::EXAMPLES)]
    Devnet(devnet::DevnetArgs),
    /// Run a node.
    #[command(long_about = node::LONG_ABOUT, after_help = node::EXAMPLES)]
    Node(Box<node::NodeArgs>),
    /// Look into a node's database.
    #[command(after_help = db::EXIT_CODES)]
    Db(db::DbArgs),
    /// History as files: write an archive, verify it, make a directory of it.
    #[cfg(feature = "archive")]
    #[command(after_help = archive::EXIT_CODES)]
    Archive(archive::ArchiveArgs),
    /// Follow a chain by an archive, and serve it.
    #[cfg(feature = "archive")]
    #[command(long_about = follow::LONG_ABOUT, after_help = follow::EXAMPLES)]
    Follow(Box<follow::FollowArgs>),
    /// Print what a shell needs to complete these commands.
    #[command(after_help = shell::COMPLETIONS_EXAMPLES)]
    Completions(shell::CompletionsArgs),
    /// Print the manual page, or write those of all commands.
    #[command(after_help = shell::MAN_EXAMPLES)]
    Man(shell::ManArgs),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// No network was made.
    #[error(transparent)]
    Genesis(#[from] lamella_network_dir::genesis::GenesisError),
    /// A local network did not run, or ran badly.
    #[error(transparent)]
    Devnet(#[from] lamella_devnet::DevnetError),
    /// The flags do not make a node.
    #[error(transparent)]
    Flags(#[from] node::FlagError),
    /// There is no checkpoint to begin at.
    #[error(transparent)]
    Checkpoint(#[from] crate::checkpoint::CheckpointError),
    /// The node could not start or go on.
    #[error(transparent)]
    Node(#[from] crate::node::NodeError),
    /// A database tool has no answer.
    #[error(transparent)]
    Db(#[from] db::DbError),
    /// A job on an archive did not end.
    #[cfg(feature = "archive")]
    #[error(transparent)]
    Archive(#[from] archive::ArchiveCommandError),
    /// The follower could not start or go on.
    #[cfg(feature = "archive")]
    #[error(transparent)]
    Follow(#[from] crate::follow::FollowError),
    /// The manual pages could not be written.
    #[error("cannot write the manual pages to {folder}: {source}", folder = folder.display())]
    Man {
        /// Where.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The result could not be printed.
    #[error("cannot write to stdout: {0}")]
    Output(#[from] io::Error),
}

impl From<lamella_inspect::InspectError> for CommandError {
    fn from(error: lamella_inspect::InspectError) -> Self {
        Self::Db(error.into())
    }
}

impl CommandError {
    /// 2 if the command was used wrongly, 1 if it failed; the database tools tell more apart.
    fn exit_code(&self) -> u8 {
        match self {
            Self::Devnet(error) => error.exit_code(),
            Self::Genesis(error) => 1 + u8::from(error.is_usage()),
            Self::Db(error) => error.exit_code() as u8,
            #[cfg(feature = "archive")]
            Self::Archive(error) => error.exit_code(),
            #[cfg(feature = "archive")]
            Self::Follow(error) => error.exit_code(),
            Self::Flags(error) => 1 + u8::from(error.is_usage()),
            Self::Node(error) => error.exit_code(),
            Self::Checkpoint(_) | Self::Man { .. } | Self::Output(_) => 1,
        }
    }

    fn is_broken_pipe(&self) -> bool {
        let (Self::Output(error) | Self::Db(db::DbError::File { source: error, .. })) = self else {
            return false;
        };
        error.kind() == io::ErrorKind::BrokenPipe
    }
}

impl Cli {
    /// Runs the command and reports its failure.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let result = match self.command {
            Command::Genesis(args) => args.run(),
            Command::Devnet(args) => args.run(),
            Command::Node(args) => args.run(),
            Command::Db(args) => args.run(),
            #[cfg(feature = "archive")]
            Command::Archive(args) => args.run(),
            #[cfg(feature = "archive")]
            Command::Follow(args) => args.run(),
            Command::Completions(args) => args.run(),
            Command::Man(args) => args.run(),
        };
        match result {
            Ok(()) => ExitCode::SUCCESS,
            // Whoever reads our output had enough of it.
            Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
            Err(error) => {
                report(&error);
                ExitCode::from(error.exit_code())
            }
        }
    }
}

/// One line on stderr, whatever the error's text.
fn report(error: &dyn fmt::Display) {
    let text = error.to_string();
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    log::last_line(format!("error: {line}"));
}
