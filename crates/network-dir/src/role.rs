//! What a validator's two keys are for.

use std::fmt;

use lamella_types::ValidatorIndex;

/// What a validator's key signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Attestation data.
    Attester,
    /// Blocks.
    Proposer,
}

impl Role {
    /// The secret key file's name where nothing else is said.
    #[must_use]
    pub fn default_key_file(self, index: ValidatorIndex) -> String {
        format!("validator_{index}_{self}_key_sk.ssz")
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Attester => "attester",
            Self::Proposer => "proposer",
        })
    }
}
