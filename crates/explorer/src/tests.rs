#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;

/// Bytes of all files together at most: they are shown over links of a tenth of a megabyte a second, too.
const BYTES_MAX: usize = 150_000;

fn node(name: &str, port: u16) -> Node {
    Node { name: name.to_owned(), origin: format!("http://127.0.0.1:{port}") }
}

fn text(file: &File) -> &str {
    std::str::from_utf8(&file.bytes).unwrap()
}

#[test]
fn all_files_together_are_small_and_each_has_its_own_path_and_tag() {
    let files = files(&[]);
    let bytes: usize = files.iter().map(|file| file.bytes.len()).sum();
    assert!(bytes < BYTES_MAX, "{bytes} bytes");
    for of in [|file: &File| file.path.clone(), |file: &File| file.etag.clone()] {
        let mut keys: Vec<_> = files.iter().map(of).collect();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), files.len(), "{keys:?}");
    }
}

#[test]
fn every_file_of_the_folder_is_served() {
    let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/assets")).unwrap();
    let mut found: Vec<_> =
        folder.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let mut served: Vec<_> = ASSETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    found.sort();
    served.sort();
    assert_eq!(found, served);
}

/// What every page loads, and what every module imports, is a file of ours: nothing is fetched from elsewhere.
#[test]
fn pages_and_modules_name_only_files_that_are_served() {
    let files = files(&[]);
    let mut named = 0;
    for file in &files {
        for (before, after) in
            [("from \"./", ""), ("src=\"/explorer/", ""), ("href=\"/explorer/", "")]
        {
            for part in text(file).split(before).skip(1) {
                let name = part.split('"').next().unwrap();
                let name = name.split('#').next().unwrap();
                let path = format!("{HOME}{name}{after}");
                assert!(files.iter().any(|other| other.path == path), "{} names {path}", file.path);
                named += 1;
            }
        }
        let text = text(file).replace("http://www.w3.org/2000/svg", "");
        assert!(!text.contains("http://") && !text.contains("https://"), "{}", file.path);
        for sink in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!text.contains(sink), "{} has {sink}", file.path);
        }
    }
    assert!(named > 20, "only {named} names were found");
}

#[test]
fn only_the_page_of_the_network_may_ask_other_nodes() {
    let nodes = [node("lamella_0", 5052), node("lamella_1", 5053)];
    for file in files(&nodes) {
        let directive = file.policy.split("; ").find(|text| text.starts_with("connect-src"));
        let expected = if file.path == NETWORK {
            "connect-src 'self' http://127.0.0.1:5052 http://127.0.0.1:5053"
        } else {
            "connect-src 'self'"
        };
        assert_eq!(directive, Some(expected), "{}", file.path);
        assert!(file.policy.starts_with("default-src 'none'; "));
        assert!(!file.policy.contains("unsafe"));
    }
    let files = files(&nodes);
    let listed = files.iter().find(|file| file.path == NODES).unwrap();
    let first = r#"{"name":"lamella_0","origin":"http://127.0.0.1:5052"}"#;
    assert!(text(listed).starts_with(&format!("[{first},")), "{}", text(listed));
}

#[test]
fn a_node_is_a_name_and_an_origin_that_fits_into_a_policy() {
    assert_eq!("lamella_0=http://127.0.0.1:5052".parse(), Ok(node("lamella_0", 5052)));
    assert!("a=https://[::1]:5052".parse::<Node>().is_ok());
    for text in
        ["", "a", "=http://a", "a=ftp://a", "a=http://", "a=http://b; script-src *", "a=http://b/c"]
    {
        assert!(text.parse::<Node>().is_err(), "{text}");
    }
}
