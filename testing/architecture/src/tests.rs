//! The rules, held to this workspace; and each rule, shown a violation.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{fs, path::Path, process::Command};

use super::{LAYERS, dependencies, impurities, lines_with, root, sources, without_tests};

fn manifest(folder: &str) -> String {
    fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap()
}

#[test]
fn no_crate_depends_on_another_than_its_layer_allows() {
    let mut folders: Vec<_> = fs::read_dir(root().join("crates"))
        .unwrap()
        .map(|entry| format!("crates/{}", entry.unwrap().file_name().to_str().unwrap()))
        .collect();
    folders.sort();
    let mut declared: Vec<_> = LAYERS.iter().map(|layer| layer.folder.to_owned()).collect();
    declared.sort();
    assert_eq!(folders, declared, "every crate has its layer");
    for layer in LAYERS {
        for name in dependencies(&manifest(layer.folder)) {
            assert!(layer.may_use.contains(&&*name), "{} must not use {name}", layer.folder);
        }
    }
}

#[test]
fn only_chain_commits() {
    for folder in LAYERS.iter().map(|layer| layer.folder).chain(["bin/lamella"]) {
        if matches!(folder, "crates/chain" | "crates/tables") {
            continue;
        }
        for (path, text) in sources(&root().join(folder).join("src")).unwrap() {
            let found = lines_with(without_tests(&text), &[".commit("]);
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn only_tables_names_the_engine() {
    for folder in LAYERS.iter().map(|layer| layer.folder).chain(["bin/lamella"]) {
        if folder == "crates/tables" {
            continue;
        }
        assert!(!manifest(folder).contains("mdbx"), "{folder} depends on the engine");
        for (path, text) in sources(&root().join(folder).join("src")).unwrap() {
            let found = lines_with(&text, &["mdbx"]);
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn pure_crates_reach_for_nothing_outside() {
    for layer in LAYERS.iter().filter(|layer| layer.is_pure) {
        for (path, text) in sources(&root().join(layer.folder).join("src")).unwrap() {
            if path.components().any(|part| part.as_os_str() == "tests") {
                continue;
            }
            let found = impurities(&text);
            assert!(found.is_empty(), "{}: {found:?}", path.display());
        }
    }
}

#[test]
fn every_package_takes_the_workspace_lints() {
    for parent in ["crates", "bin", "testing"] {
        for entry in fs::read_dir(root().join(parent)).unwrap() {
            let path = entry.unwrap().path().join("Cargo.toml");
            let text = fs::read_to_string(&path).unwrap_or_default();
            let exempt = path.components().any(|part| part.as_os_str() == "fuzz");
            assert!(exempt || text.contains("[lints]\nworkspace = true"), "{}", path.display());
        }
    }
}

#[test]
fn tracked_files_name_no_machine() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Ok(listed) = listed else {
        println!("skipped: git is not here to list the files");
        return;
    };
    let here = format!("{}machine path", "a ");
    for name in
        String::from_utf8(listed.stdout).unwrap().split('\0').filter(|name| !name.is_empty())
    {
        let Ok(text) = fs::read_to_string(root().join(Path::new(name))) else { continue };
        for path in ["/work", "/root"].map(|folder| format!("{folder}/")) {
            assert!(!text.contains(&path), "{name} holds {here} below {path}");
        }
    }
}

#[test]
fn each_rule_can_fail() {
    let manifest = "[package]\nname = \"x\"\n[dependencies]\nlamella-tables.workspace = true\n\
        lamella-types = { path = \"y\" }\nlru = \"1\"\n[dev-dependencies]\nlamella-chain.workspace = true\n";
    assert_eq!(dependencies(manifest), ["tables", "types"]);
    let source =
        "fn f() {\n    txn.commit()?; // txn.commit()\n}\n// uses Libmdbx\nuse libMDBX::Error;\n";
    assert_eq!(lines_with(source, &[".commit("]).len(), 1);
    assert_eq!(lines_with(source, &["mdbx"]), ["use libMDBX::Error;"]);
    assert_eq!(impurities("use std::time::Instant;\n#[cfg(test)]\nuse std::fs;").len(), 1);
}
