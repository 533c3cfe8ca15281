//! `xmss_test_scheme.json` and `xmss_prod_scheme.json`: signatures made and checked by leanSpec's Python.

use lamella_testing_spec_vectors::{Case, Outcome, field, run_list};
use lamella_xmss::{PRODUCTION, Parameters, PublicKey, SecretKey, TEST, verify};
use serde_json::Value;

#[test]
fn signatures_of_the_test_scheme() {
    run_list("xmss_test_scheme.json", |case| {
        check_signature(case, &TEST)?;
        check_secret_key(case)?;
        Ok(Outcome::Passed)
    });
}

#[test]
fn signatures_of_the_production_scheme() {
    run_list("xmss_prod_scheme.json", |case| {
        check_signature(case, &PRODUCTION)?;
        Ok(Outcome::Passed)
    });
}

struct Signed {
    public_key: [u8; PublicKey::BYTES],
    slot: u64,
    message: [u8; 32],
    signature: Vec<u8>,
}

impl Signed {
    fn read(case: &Case) -> Result<Self, String> {
        let array = |name| -> Result<Vec<u8>, String> { plain_hex(&case.value, name) };
        Ok(Self {
            public_key: array("pk")?.try_into().map_err(|_| "pk has another length")?,
            slot: field(&case.value, "slot")?,
            message: array("msg")?.try_into().map_err(|_| "msg has another length")?,
            signature: array("sig")?,
        })
    }
}

/// Accepted for its slot; refused for the next one, for another message, and with any one byte changed.
fn check_signature(case: &Case, parameters: &Parameters) -> Result<(), String> {
    let Signed { public_key, slot, message, signature } = Signed::read(case)?;
    verify(parameters, &public_key, slot, &message, &signature)
        .map_err(|error| error.to_string())?;
    if verify(parameters, &public_key, slot + 1, &message, &signature).is_ok() {
        return Err(format!("accepted for slot {} as well", slot + 1));
    }
    let mut other_message = message;
    other_message[31] ^= 1;
    if verify(parameters, &public_key, slot, &other_message, &signature).is_ok() {
        return Err("accepted for another message".to_owned());
    }
    for index in 0..signature.len() {
        let mut changed = signature.clone();
        changed[index] ^= 1;
        if verify(parameters, &public_key, slot, &message, &changed).is_ok() {
            return Err(format!("accepted with byte {index} changed"));
        }
    }
    Ok(())
}

/// Our signer makes the very signature that leanSpec's made with the same key.
fn check_secret_key(case: &Case) -> Result<(), String> {
    let Signed { public_key, slot, message, signature } = Signed::read(case)?;
    let bytes = plain_hex(&case.value, "sk")?;
    let secret_key = SecretKey::decode(&TEST, &bytes).map_err(|error| error.to_string())?;
    if secret_key.encode() != bytes {
        return Err("the secret key encodes to other bytes".to_owned());
    }
    if secret_key.public_key().encode() != public_key {
        return Err("the secret key belongs to another public key".to_owned());
    }
    let ours = secret_key.sign(slot, &message).map_err(|error| error.to_string())?.encode();
    if ours == signature { Ok(()) } else { Err("our signer makes another signature".to_owned()) }
}

/// Hex without `0x`: these files are not leanSpec's own.
fn plain_hex(object: &Value, name: &str) -> Result<Vec<u8>, String> {
    let text: String = field(object, name)?;
    hex::decode(&text).map_err(|error| format!("{name}: {error}"))
}
