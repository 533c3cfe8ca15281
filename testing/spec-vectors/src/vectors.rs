//! Where the vectors are, and the cases of one group.

use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::json::FormatError;

/// Names the directory of the vectors: the groups themselves, or leanSpec's `fill` output (`consensus/<group>`).
pub const DIRECTORY_VARIABLE: &str = "LEANSPEC_VECTORS";

/// One case of a vector file.
#[derive(Debug, Clone)]
pub struct Case {
    /// leanSpec's test id, the key of the case in its file.
    pub id: String,
    /// The file.
    pub path: PathBuf,
    /// The case.
    pub value: Value,
}

impl Case {
    /// The test function's name: the id without path and parameters.
    #[must_use]
    pub fn function(&self) -> &str {
        let name = self.id.rsplit("::").next().unwrap_or(&self.id);
        name.split('[').next().unwrap_or(name)
    }
}

/// Vectors that are there and cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A file or directory could not be read.
    #[error("{path}: {source}")]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not JSON.
    #[error("{path}: {source}")]
    Json {
        /// Its path.
        path: PathBuf,
        /// Where it stops being JSON.
        source: serde_json::Error,
    },
    /// A file is JSON of another shape.
    #[error("{path}: {source}")]
    Format {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: FormatError,
    },
}

/// The directory of the vectors: [`DIRECTORY_VARIABLE`], else `shared/leanspec-vectors` beside the workspace.
#[must_use]
pub fn directory() -> PathBuf {
    env::var_os(DIRECTORY_VARIABLE).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/leanspec-vectors"),
        PathBuf::from,
    )
}

/// Whether [`directory`] is the plain output of leanSpec's `fill`, which has neither the signatures made beside it nor the
/// production scheme's containers.
#[must_use]
pub fn is_plain_fill() -> bool {
    directory().join("consensus").is_dir()
}

/// Whether missing vectors are a failure: wherever `CI` is set.
#[must_use]
pub fn required() -> bool {
    env::var_os("CI").is_some()
}

/// Every case of `group`, by file and then by id; `None` if the group is not in [`directory`].
///
/// # Errors
/// [`LoadError`] for anything that is there and unreadable, and for a file without a case.
pub fn load_group(group: &str) -> Result<Option<Vec<Case>>, LoadError> {
    let root = directory();
    let found = [root.join(group), root.join("consensus").join(group)];
    let Some(group_directory) = found.into_iter().find(|path| path.is_dir()) else {
        return Ok(None);
    };
    let mut files = Vec::new();
    collect_files(&group_directory, &mut files)?;
    files.sort();
    let mut cases = Vec::new();
    for path in files {
        cases.extend(load_file(&path)?);
    }
    Ok(Some(cases))
}

/// The cases of a file that is one list and no group, such as `xmss_test_scheme.json`; `None` if it is not in
/// [`directory`]. Their ids are the file's name and their position.
///
/// # Errors
/// [`LoadError`] if it is there and not a readable list.
pub fn load_list(name: &str) -> Result<Option<Vec<Case>>, LoadError> {
    let path = directory().join(name);
    if !path.is_file() {
        return Ok(None);
    }
    let Value::Array(list) = read_json(&path)? else {
        return Err(LoadError::Format { path, source: FormatError::new("expected a list") });
    };
    let case = |(index, value)| Case { id: format!("{name}[{index}]"), path: path.clone(), value };
    Ok(Some(list.into_iter().enumerate().map(case).collect()))
}

fn load_file(path: &Path) -> Result<Vec<Case>, LoadError> {
    match read_json(path)? {
        Value::Object(map) if !map.is_empty() => {
            let case = |(id, value)| Case { id, path: path.to_owned(), value };
            Ok(map.into_iter().map(case).collect())
        }
        _ => {
            let source = FormatError::new("expected an object of at least one case");
            Err(LoadError::Format { path: path.to_owned(), source })
        }
    }
}

fn read_json(path: &Path) -> Result<Value, LoadError> {
    let text = fs::read_to_string(path).map_err(|source| io_error(path, source))?;
    serde_json::from_str(&text).map_err(|source| LoadError::Json { path: path.to_owned(), source })
}

fn collect_files(directory: &Path, files: &mut Vec<PathBuf>) -> Result<(), LoadError> {
    for entry in fs::read_dir(directory).map_err(|source| io_error(directory, source))? {
        let path = entry.map_err(|source| io_error(directory, source))?.path();
        if path.is_dir() {
            collect_files(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn io_error(path: &Path, source: io::Error) -> LoadError {
    LoadError::Io { path: path.to_owned(), source }
}
