//! Why `lamella archive` failed. Not there, damaged and of another chain each have an exit code of their own.

use lamella_chain::{ChainOpenError, restore::RestoreError};
use lamella_shipping::{ShippingError, store::StoreError};

use super::super::db::{ExitCode, of_inspect, of_open, of_read, of_state};
use crate::follow::FollowError;

/// Exit code where objects, or a directory and an archive, are of two chains.
const TWO_CHAINS: u8 = 6;

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveCommandError {
    /// The job did not end.
    #[error(transparent)]
    Shipping(Box<ShippingError>),
    /// The signals that stop a tool cannot be caught.
    #[error("cannot catch SIGINT and SIGTERM: {0}")]
    Signals(#[from] ctrlc::Error),
    /// The directory that was to end with an object of a tail.
    #[error(transparent)]
    Follow(Box<FollowError>),
    /// Objects were found that are not what their names say.
    #[error(
        "{count} objects are not what their names say; delete them with --delete, then export again"
    )]
    Unusable {
        /// How many.
        count: usize,
    },
}

impl From<ShippingError> for ArchiveCommandError {
    fn from(error: ShippingError) -> Self {
        Self::Shipping(Box::new(error))
    }
}

impl From<FollowError> for ArchiveCommandError {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Source(error) => error.into(),
            error => Self::Follow(Box::new(error)),
        }
    }
}

impl ArchiveCommandError {
    /// The exit code that tells this from other outcomes.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Shipping(error) => of_shipping(error),
            Self::Follow(error) => error.exit_code(),
            Self::Signals(_) => ExitCode::Failed as u8,
            Self::Unusable { .. } => ExitCode::Damaged as u8,
        }
    }
}

const fn of_shipping(error: &ShippingError) -> u8 {
    let code = match error {
        ShippingError::TwoChains { .. } | ShippingError::TwoChainsUnder { .. } => {
            return TWO_CHAINS;
        }
        ShippingError::Store(StoreError::Address { .. }) | ShippingError::WhichNetwork { .. } => {
            ExitCode::Usage
        }
        ShippingError::Store(StoreError::TooLong { .. })
        | ShippingError::Damaged { .. }
        | ShippingError::Seal { .. }
        | ShippingError::Transition { .. }
        | ShippingError::Diff { .. } => ExitCode::Damaged,
        ShippingError::Store(StoreError::NotHeld { .. })
        | ShippingError::Nothing { .. }
        | ShippingError::NoneLeft { .. }
        | ShippingError::Missing { .. }
        | ShippingError::UnknownRoot { .. }
        | ShippingError::NoTarget { .. }
        | ShippingError::CursorAhead { .. }
        | ShippingError::Zero { .. } => ExitCode::NotStored,
        ShippingError::Inspect(error) => of_inspect(error),
        ShippingError::State(error) => of_state(error),
        ShippingError::Restore(error) => return of_restore(error),
        ShippingError::Stopped => ExitCode::Stopped,
        ShippingError::Store(_)
        | ShippingError::Fenced { .. }
        | ShippingError::NotShippable { .. } => ExitCode::Failed,
    };
    code as u8
}

const fn of_restore(error: &RestoreError) -> u8 {
    let code = match error {
        RestoreError::Chain(ChainOpenError::OtherNetwork { .. }) => return TWO_CHAINS,
        RestoreError::Chain(error) => of_open(error),
        RestoreError::Read(error) => of_read(error),
        RestoreError::State(error) => of_state(error),
        RestoreError::Block { .. } | RestoreError::Findings { .. } => ExitCode::Damaged,
        RestoreError::Gap { .. } | RestoreError::NotAtTarget { .. } => ExitCode::NotStored,
        RestoreError::OtherTarget { .. } | RestoreError::InTheWay { .. } => ExitCode::Usage,
        RestoreError::Stopped => ExitCode::Stopped,
        RestoreError::Open(_)
        | RestoreError::NotNext { .. }
        | RestoreError::ProofsApart { .. }
        | RestoreError::Io { .. } => ExitCode::Failed,
    };
    code as u8
}
