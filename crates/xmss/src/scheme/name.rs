//! The schemes by name.

use std::sync::Arc;

use super::{ProofScheme, Raw, Trust};
use crate::params::{PRODUCTION, Parameters, TEST};

/// How the proofs of a chain are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemeName {
    /// [`Raw`], with production keys.
    Raw,
    /// [`Raw`] with keys of 256 slots and no security, for drills that live through a whole key.
    RawTest,
    /// [`Trust`].
    Trust,
}

impl SchemeName {
    /// Its name on the command line and in the data directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.scheme().name()
    }

    /// The instantiation that its signatures belong to.
    #[must_use]
    pub const fn parameters(self) -> &'static Parameters {
        match self {
            Self::RawTest => &TEST,
            Self::Raw | Self::Trust => &PRODUCTION,
        }
    }

    /// The scheme itself, which remembers what it has verified.
    #[must_use]
    pub fn scheme(self) -> Arc<dyn ProofScheme> {
        match self {
            Self::Raw | Self::RawTest => {
                Arc::new(Raw { parameters: self.parameters(), verified: Some(Arc::default()) })
            }
            Self::Trust => Arc::new(Trust),
        }
    }
}
