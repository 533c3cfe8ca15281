//! `config.yaml`: genesis time and validator registry, the identity of a chain.
//!
//! Generators disagree on names and quoting. A 104-digit key may be quoted or not, with or without `0x`, and may
//! happen to have decimal digits only. Each key is therefore read as the text that stands in the file, never as a
//! YAML number.

use std::{fmt, ops::RangeInclusive, path::Path};

use lamella_types::{
    PublicKeyBytes, VALIDATOR_REGISTRY_LIMIT, Validator, Validators, limits::SLOT_MS,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    NetworkFileError,
    read::{parse_yaml, read_yaml_text},
};

/// Bytes of an encoded XMSS public key.
const PUBLIC_KEY_BYTES: usize = 52;

/// Milliseconds that a slot may have: five intervals of one at least, an hour at most.
pub const SLOT_MS_RANGE: RangeInclusive<u64> = 5..=3_600_000;

/// What the chain begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenesisConfig {
    /// Unix time of slot 0 in seconds.
    pub genesis_time: u64,
    /// The validators, in order of their index.
    pub validators: Validators,
    /// Attestation subnets, at least 1.
    pub attestation_committee_count: u64,
    /// Milliseconds of a slot, if the file says so: an own key of ours, `MILLISECONDS_PER_SLOT`, which other clients
    /// ignore. Without it the slots are those of the lean network, or as the node is told.
    pub slot_ms: Option<u64>,
}

impl GenesisConfig {
    /// Reads `config.yaml`. Unknown keys are ignored.
    ///
    /// # Errors
    /// A [`NetworkFileError`].
    pub fn load(path: &Path) -> Result<Self, NetworkFileError> {
        let text = read_yaml_text(
            path,
            "make a network with `lamella genesis --out DIR`, or pass the folder that holds config.yaml",
        )?;
        Self::parse(path, &text)
    }

    /// Milliseconds of a slot. What is asked for counts where the file does not say it.
    ///
    /// # Errors
    /// The file's, if something else is asked for: the slot length belongs to the network.
    pub fn slot_ms(&self, asked: Option<u64>) -> Result<u64, u64> {
        match (self.slot_ms, asked) {
            (Some(found), Some(asked)) if found != asked => Err(found),
            (found, asked) => Ok(found.or(asked).unwrap_or(SLOT_MS)),
        }
    }

    fn parse(path: &Path, text: &str) -> Result<Self, NetworkFileError> {
        let file: ConfigFile = parse_yaml(path, text)?;
        let listed = file.genesis_validators.len();
        let declared =
            [("VALIDATOR_COUNT", file.validator_count), ("NUM_VALIDATORS", file.num_validators)];
        for (field, count) in declared {
            if let Some(declared) = count.filter(|count| *count != listed as u64) {
                let path = path.into();
                return Err(NetworkFileError::CountMismatch { path, field, declared, listed });
            }
        }
        let attestation_committee_count = file.attestation_committee_count.unwrap_or(1);
        if attestation_committee_count == 0 {
            let field = "ATTESTATION_COMMITTEE_COUNT";
            return Err(NetworkFileError::NoCommittee { path: path.into(), field });
        }
        let slot_ms = file.milliseconds_per_slot;
        if let Some(slot_ms) = slot_ms.filter(|slot_ms| !SLOT_MS_RANGE.contains(slot_ms)) {
            return Err(NetworkFileError::SlotLength { path: path.into(), slot_ms });
        }
        let validators: Vec<Validator> = (0..)
            .zip(&file.genesis_validators)
            .map(|(index, entry)| Validator {
                attestation_public_key: PublicKeyBytes(entry.attestation_pubkey.0),
                proposal_public_key: PublicKeyBytes(entry.proposal_pubkey.0),
                index,
            })
            .collect();
        // The indices are positions, so only the number of entries can be wrong.
        let registry = Validators::new(&validators).ok().filter(|registry| !registry.is_empty());
        let validators = registry.ok_or(NetworkFileError::ValidatorCount {
            path: path.into(),
            count: listed,
            count_max: VALIDATOR_REGISTRY_LIMIT,
        })?;
        let genesis_time = file.genesis_time;
        Ok(Self { genesis_time, validators, attestation_committee_count, slot_ms })
    }
}

/// The file as it stands, read and written.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) struct ConfigFile {
    genesis_time: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    milliseconds_per_slot: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attestation_committee_count: Option<u64>,
    /// Binary logarithm of the slots that keys sign; other clients' tools ask for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    active_epoch: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    validator_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_validators: Option<u64>,
    genesis_validators: Vec<ValidatorEntry>,
}

impl ConfigFile {
    /// The file of a new network.
    pub(crate) fn new(
        genesis_time: u64,
        slot_ms: u64,
        validators: &[Validator],
        log_slots: u32,
    ) -> Self {
        let entries = validators.iter().map(|validator| ValidatorEntry {
            attestation_pubkey: HexKey(validator.attestation_public_key.0),
            proposal_pubkey: HexKey(validator.proposal_public_key.0),
        });
        Self {
            genesis_time,
            milliseconds_per_slot: Some(slot_ms),
            attestation_committee_count: Some(1),
            active_epoch: Some(log_slots.into()),
            validator_count: Some(validators.len() as u64),
            num_validators: None,
            genesis_validators: entries.collect(),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct ValidatorEntry {
    #[serde(alias = "attestation_public_key")]
    attestation_pubkey: HexKey,
    #[serde(alias = "proposal_public_key")]
    proposal_pubkey: HexKey,
}

/// 104 hex digits, `0x` optional.
struct HexKey([u8; PUBLIC_KEY_BYTES]);

impl Serialize for HexKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(self.0))
    }
}

impl<'de> Deserialize<'de> for HexKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct HexVisitor;
        impl de::Visitor<'_> for HexVisitor {
            type Value = HexKey;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a public key of 104 hex digits")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<HexKey, E> {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                if digits.len() != 2 * PUBLIC_KEY_BYTES {
                    let count = digits.chars().count();
                    return Err(E::custom(format_args!(
                        "a public key has 104 hex digits (52 bytes), this has {count}"
                    )));
                }
                let mut bytes = [0; PUBLIC_KEY_BYTES];
                hex::decode_to_slice(digits, &mut bytes).map_err(E::custom)?;
                Ok(HexKey(bytes))
            }
        }
        // Asking for a string yields the scalar as written; asking for anything would yield a number.
        deserializer.deserialize_str(HexVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<GenesisConfig, NetworkFileError> {
        GenesisConfig::parse(Path::new("config.yaml"), text)
    }

    fn first(config: &GenesisConfig) -> Validator {
        config.validators.get(0).unwrap()
    }

    #[test]
    fn every_spelling_of_a_key_is_the_same_key() {
        let hex = "4b3c".repeat(26);
        let decimal = "12345678901234567890123456".repeat(4);
        let exponent = format!("{}e{}", "1".repeat(51), "2".repeat(52));
        for digits in [&hex, &decimal, &exponent, &"0".repeat(104)] {
            let expected: Vec<u8> = hex::decode(digits).unwrap();
            for text in [
                format!("\"{digits}\""),
                format!("'0x{digits}'"),
                format!("0x{digits}"),
                digits.clone(),
            ] {
                for suffix in ["pubkey", "public_key"] {
                    let config = parse(&format!(
                        "GENESIS_TIME: 7\nMAX_ATTESTATIONS_DATA: 16\nGENESIS_VALIDATORS:\n  \
                         - attestation_{suffix}: {text}\n    proposal_{suffix}: {text}\n"
                    ))
                    .unwrap();
                    assert_eq!(first(&config).attestation_public_key.0[..], expected[..], "{text}");
                    assert_eq!(first(&config).proposal_public_key.0[..], expected[..], "{text}");
                    assert_eq!((config.genesis_time, config.attestation_committee_count), (7, 1));
                }
            }
        }
    }

    #[test]
    fn the_slot_length_is_the_files_if_it_says_one_and_in_bounds() {
        let key = "00".repeat(52);
        let rest = format!(
            "GENESIS_VALIDATORS:\n  - attestation_pubkey: {key}\n    proposal_pubkey: {key}\n"
        );
        let of = |line: &str| parse(&format!("GENESIS_TIME: 7\n{line}{rest}"));
        assert_eq!(of("").unwrap().slot_ms, None);
        assert_eq!(
            [None, Some(300)].map(|asked| of("").unwrap().slot_ms(asked)),
            [Ok(4_000), Ok(300)]
        );
        let said = of("MILLISECONDS_PER_SLOT: 500\n").unwrap();
        let asked = [None, Some(500), Some(300)].map(|asked| said.slot_ms(asked));
        assert_eq!(asked, [Ok(500), Ok(500), Err(500)]);
        for wrong in [0, 4, 3_600_001, u64::MAX] {
            let error = of(&format!("MILLISECONDS_PER_SLOT: {wrong}\n")).unwrap_err().to_string();
            assert!(error.contains("MILLISECONDS_PER_SLOT") && error.contains("5 to"), "{error}");
        }
    }

    #[test]
    fn either_name_of_the_count_is_checked() {
        let key = "00".repeat(52);
        let entry = format!("  - attestation_pubkey: {key}\n    proposal_pubkey: {key}\n");
        for field in ["VALIDATOR_COUNT", "NUM_VALIDATORS"] {
            let text = |count| {
                format!("GENESIS_TIME: 1\n{field}: {count}\nGENESIS_VALIDATORS:\n{entry}{entry}")
            };
            assert_eq!(parse(&text(2)).unwrap().validators.len(), 2);
            let error = parse(&text(3)).unwrap_err();
            assert!(
                matches!(
                    error,
                    NetworkFileError::CountMismatch { declared: 3, listed: 2, field: name, .. }
                    if name == field
                ),
                "{error}"
            );
        }
    }

    #[test]
    fn damage_is_named_with_field_and_line() {
        let key = "ab".repeat(52);
        let with = |second: &str| {
            format!(
                "GENESIS_TIME: 1\nGENESIS_VALIDATORS:\n  - attestation_pubkey: {key}\n    \
                 proposal_pubkey: {second}\n"
            )
        };
        for (text, wanted) in [
            (with("abcd"), vec!["config.yaml", "proposal_pubkey", "this has 4", "line 4"]),
            (with(&"zz".repeat(52)), vec!["proposal_pubkey", "nvalid character"]),
            (with("[1]"), vec!["proposal_pubkey", "line 4"]),
            (with(&"é".repeat(52)), vec!["proposal_pubkey"]),
            ("GENESIS_TIME: soon\nGENESIS_VALIDATORS: []".into(), vec!["GENESIS_TIME", "line 1"]),
            ("GENESIS_TIME: 1".into(), vec!["GENESIS_VALIDATORS"]),
            ("GENESIS_TIME: 1\nGENESIS_VALIDATORS: []".into(), vec!["0 entries"]),
            (format!("ATTESTATION_COMMITTEE_COUNT: 0\n{}", with(&key)), vec!["at least 1"]),
            (String::new(), vec!["config.yaml"]),
            ("\t\0{".into(), vec!["config.yaml"]),
        ] {
            let message = parse(&text).unwrap_err().to_string();
            for part in wanted {
                assert!(message.contains(part), "{part:?} not in {message:?}");
            }
        }
    }
}
