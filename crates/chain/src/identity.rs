//! What a directory is: schema, layout constants, and the chain that it holds. Stored by the first transaction,
//! compared before any later write.

use lamella_state_store::ANCHOR_INTERVAL_SLOTS;
use lamella_tables::{Bytes, Meta, MetaName, Read, ReadError, WriteTxn};
use lamella_types::{Root, SEGMENT_ROOTS, State};

use crate::{error::ChainOpenError, meta::content, schema2::OldIdentity};

/// Version of the stored formats. Raised by every change of stored bytes.
pub const SCHEMA_VERSION: u32 = 3;

/// Name of the schema row: `[schema: u32 BE | anchor interval: u64 BE | segment roots: u64 BE]`, and what a later version
/// appends. Every version begins it so: this is where a directory says which one wrote it.
pub(crate) const SCHEMA: &str = "schema";

/// Name of the identity row: `[format: u8 = 1 | genesis time: u64 BE | registry root: 32 | slot length in ms: u64 BE |
/// proof scheme: length u8, UTF-8]`, and what a later version appends.
pub(crate) const IDENTITY: &str = "identity";

/// First byte of the identity row.
const FORMAT: u8 = 1;

/// Which chain a directory holds, and how its proofs are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Unix seconds of slot 0.
    pub genesis_time: u64,
    /// Root of the registry, fixed at genesis.
    pub registry_root: Root,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Name of the proof scheme, at most 255 bytes: a chain of one scheme cannot go on under another.
    pub proof_scheme: String,
}

impl Identity {
    /// The identity of the chain that this state belongs to.
    #[must_use]
    pub fn of(state: &State, proof_scheme: &str, slot_ms: u64) -> Self {
        Self {
            genesis_time: state.config.genesis_time,
            registry_root: state.validators.root(),
            slot_ms,
            proof_scheme: proof_scheme.to_owned(),
        }
    }

    /// Reads and checks what a directory says of itself; `None` if it says nothing at all.
    pub fn read(txn: &impl Read) -> Result<Option<Self>, ChainOpenError> {
        let Some(schema_row) = schema_row(txn)? else {
            return Ok(None);
        };
        check_schema(&schema_row)?;
        Self::read_row(txn).map(Some)
    }

    /// The identity alone, of a directory that does not say its schema yet.
    pub(crate) fn read_row(txn: &impl Read) -> Result<Self, ChainOpenError> {
        let identity = MetaName::new(IDENTITY);
        let Some(Bytes(row)) = txn.get::<Meta>(&identity)? else {
            return Err(ChainOpenError::NoIdentity("it has a schema but no identity"));
        };
        Self::decode(&row).ok_or_else(|| bad_row(&identity).into())
    }

    pub(crate) fn put(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        put_schema(txn, SCHEMA_VERSION)?;
        self.put_row(txn)
    }

    pub(crate) fn put_row(&self, txn: &mut WriteTxn<'_>) -> Result<(), ReadError> {
        Ok(txn.put::<Meta>(&MetaName::new(IDENTITY), &Bytes(self.encode()))?)
    }

    /// Refuses another chain.
    pub(crate) fn check(&self, configured: &Self) -> Result<(), ChainOpenError> {
        let pairs = [
            ("genesis time", self.genesis_time.to_string(), configured.genesis_time.to_string()),
            (
                "validator registry root",
                self.registry_root.to_string(),
                configured.registry_root.to_string(),
            ),
            (
                "slot length in milliseconds",
                self.slot_ms.to_string(),
                configured.slot_ms.to_string(),
            ),
            ("proof scheme", self.proof_scheme.clone(), configured.proof_scheme.clone()),
        ];
        for (what, found, configured) in pairs {
            if found != configured {
                return Err(ChainOpenError::OtherNetwork { what, found, configured });
            }
        }
        Ok(())
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&self.genesis_time.to_be_bytes());
        bytes.extend_from_slice(self.registry_root.as_bytes());
        bytes.extend_from_slice(&self.slot_ms.to_be_bytes());
        let scheme = self.proof_scheme.as_bytes();
        debug_assert!(u8::try_from(scheme.len()).is_ok(), "a short name");
        bytes.push(u8::try_from(scheme.len()).unwrap_or(u8::MAX));
        bytes.extend(scheme.iter().take(usize::from(u8::MAX)));
        bytes
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (genesis_time, rest) = bytes.strip_prefix(&[FORMAT])?.split_first_chunk()?;
        let (registry_root, rest) = rest.split_first_chunk()?;
        let (slot_ms, rest) = rest.split_first_chunk()?;
        let (scheme_bytes, rest) = rest.split_first()?;
        let scheme = rest.get(..usize::from(*scheme_bytes))?;
        Some(Self {
            genesis_time: u64::from_be_bytes(*genesis_time),
            registry_root: Root::new(*registry_root),
            slot_ms: u64::from_be_bytes(*slot_ms),
            proof_scheme: String::from_utf8(scheme.to_vec()).ok()?,
        })
    }
}

/// Says that the rows of this version are here: from then on the directory opens, for who knows it.
pub(crate) fn put_schema(txn: &mut WriteTxn<'_>, version: u32) -> Result<(), ReadError> {
    Ok(txn.put::<Meta>(&MetaName::new(SCHEMA), &Bytes(schema(version)))?)
}

/// The schema row of whatever version.
pub(crate) fn schema_row(txn: &impl Read) -> Result<Option<Vec<u8>>, ReadError> {
    Ok(txn.get::<Meta>(&MetaName::new(SCHEMA))?.map(|Bytes(row)| row))
}

/// The old identity row of schema 2.
pub(crate) fn old_row(txn: &impl Read) -> Result<OldIdentity, ReadError> {
    let name = MetaName::new(IDENTITY);
    let row = txn.get::<Meta>(&name)?;
    row.and_then(|Bytes(row)| OldIdentity::decode(&row)).ok_or_else(|| bad_row(&name))
}

/// The schema row of a version. All have had the same constants.
pub(crate) fn schema(version: u32) -> Vec<u8> {
    let mut schema = version.to_be_bytes().to_vec();
    for constant in [ANCHOR_INTERVAL_SLOTS, SEGMENT_ROOTS as u64] {
        schema.extend_from_slice(&constant.to_be_bytes());
    }
    schema
}

pub(crate) fn check_schema(row: &[u8]) -> Result<(), ChainOpenError> {
    let bad = || bad_row(&MetaName::new(SCHEMA));
    let (version, constants) = row.split_first_chunk().ok_or_else(bad)?;
    let found = u32::from_be_bytes(*version);
    let known = SCHEMA_VERSION;
    match found.cmp(&known) {
        std::cmp::Ordering::Greater => return Err(ChainOpenError::Newer { found, known }),
        std::cmp::Ordering::Less => return Err(ChainOpenError::Older { found, known }),
        std::cmp::Ordering::Equal => {}
    }
    check_layout(constants)
}

/// Compares the constants behind the version, which every version writes.
pub(crate) fn check_layout(constants: &[u8]) -> Result<(), ChainOpenError> {
    let bad = || bad_row(&MetaName::new(SCHEMA));
    let (anchor, segment) = constants.split_first_chunk().ok_or_else(bad)?;
    let (segment, _) = segment.split_first_chunk().ok_or_else(bad)?;
    for (what, found, ours) in [
        ("anchor interval", u64::from_be_bytes(*anchor), ANCHOR_INTERVAL_SLOTS),
        ("segment length", u64::from_be_bytes(*segment), SEGMENT_ROOTS as u64),
    ] {
        if found != ours {
            return Err(ChainOpenError::Layout { what, found, ours });
        }
    }
    Ok(())
}

pub(crate) fn bad_row(name: &MetaName) -> ReadError {
    content::<Meta>(name, "not of this row's format")
}
