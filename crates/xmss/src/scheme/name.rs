//! The schemes by name.

use std::sync::Arc;

use super::{ProofScheme, Raw, Trust};
use crate::params::PRODUCTION;

/// How the proofs of a chain are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemeName {
    /// [`Raw`], with production keys.
    Raw,
    /// [`Trust`].
    Trust,
}

impl SchemeName {
    /// Its name on the command line and in the data directory.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.scheme().name()
    }

    /// The scheme itself, which remembers what it has verified.
    #[must_use]
    pub fn scheme(self) -> Arc<dyn ProofScheme> {
        match self {
            Self::Raw => Arc::new(Raw { parameters: &PRODUCTION, verified: Some(Arc::default()) }),
            Self::Trust => Arc::new(Trust),
        }
    }
}
