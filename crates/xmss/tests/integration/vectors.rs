//! leanSpec's own signatures and SSZ samples, from the directory `LEANSPEC_VECTORS` names.

use std::path::{Path, PathBuf};

use lamella_xmss::{
    HashTreeLayer, HashTreeOpening, PRODUCTION, Parameters, PublicKey, SecretKey, Signature, TEST,
    decode_fp, encode_fp, hash_tree_root_fp, verify,
};
use serde_json::Value;

struct SignatureVector {
    public_key: [u8; 52],
    secret_key: Option<Vec<u8>>,
    slot: u64,
    message: [u8; 32],
    signature: Vec<u8>,
}

#[test]
fn test_scheme_signatures_verify_and_are_made_again_byte_for_byte() {
    let Some(directory) = vectors_directory() else { return };
    let vectors = signature_vectors(&directory.join("xmss_test_scheme.json"));
    assert_eq!(vectors.len(), 48);
    for vector in vectors {
        check_verification(&TEST, &vector);
        let bytes = vector.secret_key.unwrap();
        let secret_key = SecretKey::decode(&TEST, &bytes).unwrap();
        assert_eq!(secret_key.encode(), bytes);
        assert_eq!(secret_key.public_key().encode(), vector.public_key);
        assert_eq!(
            secret_key.sign(vector.slot, &vector.message).unwrap().encode(),
            vector.signature
        );
    }
}

#[test]
fn production_scheme_signatures_verify() {
    let Some(directory) = vectors_directory() else { return };
    let vectors = signature_vectors(&directory.join("xmss_prod_scheme.json"));
    assert_eq!(vectors.len(), 3);
    for vector in vectors {
        check_verification(&PRODUCTION, &vector);
    }
}

#[test]
fn containers_encode_and_hash_as_leanspec_says() {
    let Some(directory) = vectors_directory() else { return };
    let mut checked = 0;
    for (folder, parameters) in [("ssz", &TEST), ("prod-scheme-ssz", &PRODUCTION)] {
        let folder = directory.join(folder).join("lstar/ssz/test_xmss_containers");
        for entry in std::fs::read_dir(folder).unwrap() {
            for case in read_json(&entry.unwrap().path()).as_object().unwrap().values() {
                checked += u32::from(check_container(parameters, case));
            }
        }
    }
    let mut checked_elements = 0;
    for name in ["test_fp_zero", "test_fp_one", "test_fp_max"] {
        let file = find(&directory.join("ssz"), &format!("{name}.json"));
        for case in read_json(&file).as_object().unwrap().values() {
            checked_elements += u32::from(check_container(&TEST, case));
        }
    }
    assert_eq!((checked, checked_elements), (12, 3));
}

fn check_verification(parameters: &'static Parameters, vector: &SignatureVector) {
    let SignatureVector { public_key, slot, message, signature, .. } = vector;
    assert_eq!(verify(parameters, public_key, *slot, message, signature), Ok(()));
    assert_eq!(Signature::decode(parameters, signature).unwrap().encode(), *signature);
    assert!(verify(parameters, public_key, slot + 1, message, signature).is_err());
    let mut other_message = *message;
    other_message[31] ^= 1;
    assert!(verify(parameters, public_key, *slot, &other_message, signature).is_err());
}

/// Whether the case's type is one of ours.
fn check_container(parameters: &'static Parameters, case: &Value) -> bool {
    let bytes = hex_field(case, "serialized");
    let (encoded, root) = match case["typeName"].as_str().unwrap() {
        "Fp" => {
            let element = decode_fp(bytes.clone().try_into().unwrap()).unwrap();
            (encode_fp(element).to_vec(), hash_tree_root_fp(element))
        }
        "PublicKey" => {
            let key = PublicKey::decode(&bytes).unwrap();
            (key.encode().to_vec(), key.hash_tree_root())
        }
        "Signature" => {
            let signature = Signature::decode(parameters, &bytes).unwrap();
            (signature.encode(), signature.hash_tree_root(parameters))
        }
        "HashTreeOpening" => {
            let opening = HashTreeOpening::decode(parameters, &bytes).unwrap();
            (opening.encode(), opening.hash_tree_root(parameters))
        }
        "HashTreeLayer" => {
            let layer = HashTreeLayer::decode(parameters, &bytes).unwrap();
            (layer.encode(), layer.hash_tree_root(parameters))
        }
        _ => return false,
    };
    assert_eq!(encoded, bytes);
    assert_eq!(root.to_vec(), hex_field(case, "root"), "{}", case["_info"]["testId"]);
    true
}

/// `None`, said aloud, where the vectors are absent; under `CI` they have to be there. Plain output of leanSpec's
/// `fill` does not hold them.
fn vectors_directory() -> Option<PathBuf> {
    if std::env::var_os("LEANSPEC_VECTORS_ARE_FILLED").is_some() {
        println!("SKIPPED: leanSpec's fill does not write signature vectors");
        return None;
    }
    let directory = std::env::var_os("LEANSPEC_VECTORS").map(PathBuf::from).or_else(|| {
        let ancestors = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
        ancestors
            .map(|folder| folder.join("shared/leanspec-vectors"))
            .find(|folder| folder.is_dir())
    });
    if directory.is_none() {
        assert!(
            std::env::var_os("CI").is_none(),
            "leanSpec vectors are required in CI: set LEANSPEC_VECTORS"
        );
        println!("SKIPPED: no leanSpec vectors; set LEANSPEC_VECTORS to their directory");
    }
    directory
}

fn signature_vectors(file: &Path) -> Vec<SignatureVector> {
    let cases = read_json(file);
    let cases = cases.as_array().unwrap().iter();
    cases
        .map(|case| SignatureVector {
            public_key: hex_field(case, "pk").try_into().unwrap(),
            secret_key: case.get("sk").map(|_| hex_field(case, "sk")),
            slot: case["slot"].as_u64().unwrap(),
            message: hex_field(case, "msg").try_into().unwrap(),
            signature: hex_field(case, "sig"),
        })
        .collect()
}

fn hex_field(case: &Value, name: &str) -> Vec<u8> {
    let text = case[name].as_str().unwrap();
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.ends_with(name) {
                return path;
            }
        }
    }
    panic!("no vector {name}");
}
