//! Groups `ssz` and `prod-scheme-ssz`: bytes and roots of every container, and bytes that must be refused.
//!
//! Beyond the vectors, every decoder is held to one law on bytes near those of the vectors: it never panics, and
//! whatever it accepts encodes to the very bytes it was given.

use lamella_testing_spec_vectors::{
    Case, HexBytes, Outcome, field, json::FormatError, optional, run_group,
};
use lamella_types::{RejectionReason, Root};
use serde_json::Value;

use crate::ssz_types::{Codec, codec_for};

#[test]
fn ssz_vectors() {
    run_group("ssz", check);
}

#[test]
fn ssz_vectors_of_the_production_signature_scheme() {
    run_group("prod-scheme-ssz", check);
}

fn check(case: &Case) -> Result<Outcome, String> {
    let type_name: String = field(&case.value, "typeName")?;
    let production = field::<String>(&case.value, "leanEnv")? == "prod";
    let codec = codec_for(&type_name, production)
        .ok_or_else(|| format!("this runner does not know the type {type_name}"))?;
    match optional::<RejectionReason>(&case.value, "rejectionReason")? {
        Some(RejectionReason::DecodeError) => check_rejected(&case.value, &codec)?,
        Some(other) => return Err(format!("decoding cannot be refused for {other}")),
        None => check_accepted(&case.value, &codec)?,
    }
    Ok(Outcome::Passed)
}

fn check_rejected(case: &Value, codec: &Codec) -> Result<(), String> {
    let HexBytes(bytes) = field(case, "rawBytes")?;
    match (codec.decode)(&bytes) {
        Err(_) => check_neighbours(codec, &bytes),
        Ok(value) => Err(format!("expected DECODE_ERROR, got a value of root {}", value.root)),
    }
}

fn check_accepted(case: &Value, codec: &Codec) -> Result<(), String> {
    let HexBytes(serialized) = field(case, "serialized")?;
    let root: Root = field(case, "root")?;
    let json: Value = field(case, "value")?;
    let from_json = (codec.from_json)(&json).map_err(|error: FormatError| error.to_string())?;
    let decoded = (codec.decode)(&serialized)?;
    for (origin, value) in [("JSON", &from_json), ("bytes", &decoded)] {
        if value.bytes != serialized {
            let (expected, got) = (hex::encode(&serialized), hex::encode(&value.bytes));
            return Err(format!(
                "bytes of the value from {origin}: expected {expected}, got {got}"
            ));
        }
        if value.root != root {
            return Err(format!(
                "root of the value from {origin}: expected {root}, got {}",
                value.root
            ));
        }
    }
    check_appended(codec, &serialized)?;
    check_neighbours(codec, &serialized)
}

/// One more byte makes another type's bytes of them, except where the encoding ends in a list of bytes.
fn check_appended(codec: &Codec, bytes: &[u8]) -> Result<(), String> {
    let appended = [bytes, &[0]].concat();
    let accepted = check_canonical(codec, &appended)?;
    match (accepted, codec.ends_in_bytes) {
        (true, false) => Err("one byte too many is accepted".to_owned()),
        (false, true) => Err("a list of bytes does not take one byte more".to_owned()),
        _ => Ok(()),
    }
}

/// Every truncation, and every change of a single byte.
fn check_neighbours(codec: &Codec, bytes: &[u8]) -> Result<(), String> {
    for length in 0..bytes.len() {
        check_canonical(codec, &bytes[..length])?;
    }
    let mut changed = bytes.to_vec();
    for index in 0..bytes.len() {
        for value in (0..=u8::MAX).filter(|value| *value != bytes[index]) {
            changed[index] = value;
            check_canonical(codec, &changed)?;
        }
        changed[index] = bytes[index];
    }
    Ok(())
}

/// Whether the bytes are accepted; an error if they are accepted for a value that encodes to others.
fn check_canonical(codec: &Codec, bytes: &[u8]) -> Result<bool, String> {
    match (codec.reencode)(bytes) {
        None => Ok(false),
        Some(encoded) if encoded == bytes => Ok(true),
        Some(encoded) => {
            Err(format!("{} is accepted as {}", hex::encode(bytes), hex::encode(encoded)))
        }
    }
}
