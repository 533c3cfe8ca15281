//! Which validators a node runs, and in which files their keys are: `annotated_validators.yaml`, or the plainer
//! `validators.yaml`.
//!
//! The annotated file has two rows for each validator, one a key. A row's role is in its file name (`attest`,
//! `propos`); where no name says so, the first row is the attester's, as ream has it. Rows of other nodes are not
//! judged, except that no two nodes may have the same validator: their keys sign once per slot.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use lamella_types::ValidatorIndex;
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, value::MapAccessDeserializer},
};

use super::{
    NetworkFileError, Role,
    read::{parse_yaml, read_yaml_text},
};

/// A validator of one node and its key files, relative to the directory of the keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedValidator {
    /// Position in the registry.
    pub index: ValidatorIndex,
    /// File of the key that signs attestations.
    pub attester_key_file: PathBuf,
    /// File of the key that signs blocks.
    pub proposer_key_file: PathBuf,
}

/// Which node runs which validators.
#[derive(Debug, Clone)]
pub struct Assignments {
    path: PathBuf,
    nodes: BTreeMap<String, Vec<Row>>,
}

/// A row of the annotated file, or an index of the plain one.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) index: ValidatorIndex,
    pub(crate) key: Option<KeyRow>,
}

/// What the annotated file says of one key.
#[derive(Debug, Clone)]
pub(crate) struct KeyRow {
    /// Its public key in hex, where a file is made.
    pub(crate) public_key: Option<String>,
    /// File of the secret key.
    pub(crate) file: String,
}

/// Either file as it stands, read and written.
pub(crate) type ByNode = BTreeMap<String, Option<Vec<Row>>>;

impl Assignments {
    /// Reads `annotated_validators.yaml` or `validators.yaml`, whichever form it has. Where only indices are listed,
    /// the key files have their usual names.
    ///
    /// # Errors
    /// A [`NetworkFileError`].
    pub fn load(path: &Path) -> Result<Self, NetworkFileError> {
        let text =
            read_yaml_text(path, "a node without validators does not need it: leave it out")?;
        Self::new(path, parse_by_node(path, &text)?)
    }

    fn new(path: &Path, nodes: ByNode) -> Result<Self, NetworkFileError> {
        let nodes: BTreeMap<String, Vec<Row>> =
            nodes.into_iter().map(|(node_id, rows)| (node_id, rows.unwrap_or_default())).collect();
        let mut owners: BTreeMap<ValidatorIndex, &String> = BTreeMap::new();
        for (node_id, row) in
            nodes.iter().flat_map(|(id, rows)| rows.iter().map(move |row| (id, row)))
        {
            let first = *owners.entry(row.index).or_insert(node_id);
            if first != node_id {
                return Err(NetworkFileError::SharedValidator {
                    path: path.into(),
                    index: row.index,
                    first: first.clone(),
                    second: node_id.clone(),
                });
            }
        }
        Ok(Self { path: path.into(), nodes })
    }

    /// The nodes named in the file.
    pub fn node_ids(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    /// The validators of a node, ascending. `None`: the file does not name the node. It follows the chain.
    ///
    /// # Errors
    /// [`NetworkFileError::KeyFiles`] if one of them has not exactly one key file per role.
    pub fn of(&self, node_id: &str) -> Result<Option<Vec<AssignedValidator>>, NetworkFileError> {
        let Some(rows) = self.nodes.get(node_id) else { return Ok(None) };
        let mut files: BTreeMap<ValidatorIndex, Vec<Option<&str>>> = BTreeMap::new();
        for row in rows {
            files.entry(row.index).or_default().push(row.key.as_ref().map(|key| key.file.as_str()));
        }
        files
            .into_iter()
            .map(|(index, files)| self.validator(node_id, index, &files))
            .collect::<Result<_, _>>()
            .map(Some)
    }

    fn validator(
        &self,
        node_id: &str,
        index: ValidatorIndex,
        files: &[Option<&str>],
    ) -> Result<AssignedValidator, NetworkFileError> {
        let pair = match files {
            [None, ..] if files.iter().all(Option::is_none) => Some((
                Role::Attester.default_key_file(index),
                Role::Proposer.default_key_file(index),
            )),
            [Some(first), Some(second)] => by_role(first, second)
                .map(|(attester, proposer)| (attester.to_owned(), proposer.to_owned())),
            _ => None,
        };
        let (attester, proposer) = pair.ok_or_else(|| NetworkFileError::KeyFiles {
            path: self.path.clone(),
            node_id: node_id.to_owned(),
            index,
            found: files.iter().map(|file| file.unwrap_or("(none)")).collect::<Vec<_>>().join(", "),
        })?;
        Ok(AssignedValidator {
            index,
            attester_key_file: attester.into(),
            proposer_key_file: proposer.into(),
        })
    }
}

/// The two file names as (attester, proposer), unless both claim one role.
fn by_role<'a>(first: &'a str, second: &'a str) -> Option<(&'a str, &'a str)> {
    match (role_in_name(first), role_in_name(second)) {
        (Some(first), Some(second)) if first == second => None,
        (Some(Role::Proposer), _) | (None, Some(Role::Attester)) => Some((second, first)),
        _ => Some((first, second)),
    }
}

fn role_in_name(file: &str) -> Option<Role> {
    let name = file.rsplit('/').next().unwrap_or(file).to_ascii_lowercase();
    match (name.contains("attest"), name.contains("propos")) {
        (true, false) => Some(Role::Attester),
        (false, true) => Some(Role::Proposer),
        _ => None,
    }
}

/// Node to list, either at the top or, as older generators wrote it, under `validators:`.
fn parse_by_node(path: &Path, text: &str) -> Result<ByNode, NetworkFileError> {
    #[derive(Deserialize)]
    struct Wrapped {
        validators: ByNode,
    }
    match parse_yaml::<Option<ByNode>>(path, text) {
        Ok(nodes) => Ok(nodes.unwrap_or_default()),
        Err(error) => {
            parse_yaml::<Wrapped>(path, text).map(|wrapped| wrapped.validators).map_err(|_| error)
        }
    }
}

/// A row of the annotated file.
#[derive(Serialize, Deserialize)]
struct Annotated {
    index: ValidatorIndex,
    /// Never read: the registry says which key it is, and generators disagree on how to write it.
    #[serde(skip_deserializing, skip_serializing_if = "Option::is_none")]
    pubkey_hex: Option<String>,
    privkey_file: Option<String>,
}

impl Serialize for Row {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { index, key } = self.clone();
        match key {
            None => serializer.serialize_u64(index),
            Some(KeyRow { public_key: pubkey_hex, file }) => {
                Annotated { index, pubkey_hex, privkey_file: Some(file) }.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RowVisitor;
        impl<'de> de::Visitor<'de> for RowVisitor {
            type Value = Row;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a validator index, or `index` and `privkey_file`")
            }
            fn visit_u64<E: de::Error>(self, index: u64) -> Result<Row, E> {
                Ok(Row { index, key: None })
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Row, A::Error> {
                let row = Annotated::deserialize(MapAccessDeserializer::new(map))?;
                let key = row.privkey_file.map(|file| KeyRow { public_key: None, file });
                Ok(Row { index: row.index, key })
            }
        }
        deserializer.deserialize_any(RowVisitor)
    }
}
