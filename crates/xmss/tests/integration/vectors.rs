//! leanSpec's own signatures and SSZ samples, from the directory `LEANSPEC_VECTORS` names.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

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
    let Some(vectors) = signature_vectors("xmss_test_scheme.json") else { return };
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
    let Some(vectors) = signature_vectors("xmss_prod_scheme.json") else { return };
    for vector in vectors {
        check_verification(&PRODUCTION, &vector);
    }
}

#[test]
fn containers_encode_and_hash_as_leanspec_says() {
    let Some(directory) = vectors_directory() else { return };
    for (folder, parameters) in [("ssz", &TEST), ("prod-scheme-ssz", &PRODUCTION)] {
        let folder = directory.join(folder);
        if !folder.is_dir() && is_plain_fill(&directory) {
            println!("SKIPPED: leanSpec's fill does not write {}", folder.display());
            continue;
        }
        let mut seen = BTreeSet::new();
        for file in json_files(&folder) {
            for case in read_json(&file).as_object().unwrap().values() {
                // What must be refused has no encoding; the runner of all containers has those.
                let kind = case["typeName"].as_str().unwrap();
                if case.get("serialized").is_some() && check_container(parameters, kind, case) {
                    seen.insert(kind.to_owned());
                }
            }
        }
        assert!(seen.contains("Signature"), "{} has {seen:?}", folder.display());
    }
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
fn check_container(parameters: &'static Parameters, kind: &str, case: &Value) -> bool {
    let bytes = hex_field(case, "serialized");
    let (encoded, root) = match kind {
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

/// The groups' folder: `None`, said aloud, where the vectors are absent; under `CI` they have to be there.
fn vectors_directory() -> Option<PathBuf> {
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
    let filled = directory.as_ref().map(|directory| directory.join("consensus"));
    filled.filter(|filled| filled.is_dir()).or(directory)
}

/// Whether the groups are leanSpec's own output: beside them are no signatures and no containers of the production scheme.
fn is_plain_fill(directory: &Path) -> bool {
    directory.ends_with("consensus")
}

/// Every signature of a file; `None`, said aloud, where it need not be.
fn signature_vectors(name: &str) -> Option<Vec<SignatureVector>> {
    let directory = vectors_directory()?;
    if is_plain_fill(&directory) {
        println!("SKIPPED: leanSpec's fill does not write {name}");
        return None;
    }
    let cases = read_json(&directory.join(name));
    let cases = cases.as_array().unwrap();
    assert!(!cases.is_empty(), "{name} has no signature");
    let vectors = cases
        .iter()
        .map(|case| SignatureVector {
            public_key: hex_field(case, "pk").try_into().unwrap(),
            secret_key: case.get("sk").map(|_| hex_field(case, "sk")),
            slot: case["slot"].as_u64().unwrap(),
            message: hex_field(case, "msg").try_into().unwrap(),
            signature: hex_field(case, "sig"),
        })
        .collect();
    Some(vectors)
}

fn hex_field(case: &Value, name: &str) -> Vec<u8> {
    let text = case[name].as_str().unwrap();
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).unwrap()
}

fn read_json(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn json_files(folder: &Path) -> Vec<PathBuf> {
    let (mut folders, mut files) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    files
}
