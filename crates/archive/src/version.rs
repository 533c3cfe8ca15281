//! The version of the format that every head begins with.

use crate::error::Fault;

/// Version of all heads.
pub(crate) const VERSION: u8 = 1;

/// Refuses what a later program wrote.
pub(crate) const fn check_version(version: u8, flags: u8) -> Result<(), Fault> {
    match (version, flags) {
        (VERSION, 0) => Ok(()),
        (VERSION, flags) => Err(Fault::Flags(flags)),
        (version, _) => Err(Fault::Version(version)),
    }
}
