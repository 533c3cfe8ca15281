//! Reading a file whole, within a limit, and its text as YAML.

use std::{fs::File, io, io::Read, path::Path};

use serde::de::DeserializeOwned;

use super::NetworkFileError;

/// Bytes of a YAML file. A registry of 4,096 validators takes about 1.1 MB.
const YAML_BYTES_MAX: u64 = 16 << 20;

/// The whole file, if it is no larger than `bytes_max`.
pub(super) fn read_bytes(
    path: &Path,
    bytes_max: u64,
    advice: &'static str,
) -> Result<Vec<u8>, NetworkFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => NetworkFileError::Missing { path: path.into(), advice },
        _ => NetworkFileError::Read { path: path.into(), source },
    };
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(NetworkFileError::TooLarge { path: path.into(), bytes_max });
    }
    Ok(bytes)
}

/// The file as text, without a byte order mark.
pub(super) fn read_text(
    path: &Path,
    bytes_max: u64,
    advice: &'static str,
) -> Result<String, NetworkFileError> {
    let bytes = read_bytes(path, bytes_max, advice)?;
    String::from_utf8(bytes).map_err(|_| NetworkFileError::NotText { path: path.into() })
}

/// The text of a YAML file.
pub(super) fn read_yaml_text(
    path: &Path,
    advice: &'static str,
) -> Result<String, NetworkFileError> {
    read_text(path, YAML_BYTES_MAX, advice)
}

/// A value from YAML text read from `path`.
pub(super) fn parse_yaml<T: DeserializeOwned>(
    path: &Path,
    text: &str,
) -> Result<T, NetworkFileError> {
    serde_yaml_ng::from_str(text)
        .map_err(|source| NetworkFileError::Content { path: path.into(), source })
}
