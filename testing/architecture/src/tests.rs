//! The rules, held to this workspace; and each rule, shown what it must find.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    LAYERS, Layer,
    circles::circles,
    commits, engine_dependencies, engine_names, forbidden_arrows, impurities, leftovers,
    source::Code,
    store_dependencies, takes_workspace_lints,
    workspace::{Dependency, Package, packages, root},
};

/// What `rule` finds in the sources of the packages that `is_held` names, with their files.
fn violations<T: std::fmt::Debug>(
    is_held: impl Fn(&Package) -> bool,
    rule: impl Fn(&Code) -> Vec<T>,
) -> Vec<String> {
    let (mut read, mut found) = (0, Vec::new());
    for package in packages().unwrap().iter().filter(|package| is_held(package)) {
        for (path, code) in package.sources().unwrap() {
            read += 1;
            let lines = rule(&code);
            if !lines.is_empty() {
                found.push(format!("{}: {lines:?}", path.display()));
            }
        }
    }
    assert!(read > 0, "no source was read");
    found
}

fn none() -> Vec<String> {
    Vec::new()
}

#[test]
fn no_crate_depends_on_another_than_its_layer_allows() {
    assert_eq!(forbidden_arrows(&packages().unwrap(), LAYERS), none());
}

#[test]
fn only_chain_commits() {
    let is_held = |package: &Package| {
        !package.is_for_tests() && !matches!(package.short_name(), "chain" | "tables")
    };
    assert_eq!(violations(is_held, commits), none());
}

#[test]
fn only_tables_names_the_engine() {
    assert_eq!(engine_dependencies(&packages().unwrap()), none());
    // testing/crash and testing/sim play the disk below the engine, so they know its files; they link no engine of their own.
    let may_name = ["tables", "testing-architecture", "testing-crash", "testing-sim"];
    let is_held = |package: &Package| !may_name.contains(&package.short_name());
    assert_eq!(violations(is_held, engine_names), none());
}

#[test]
fn only_shipping_names_object_stores() {
    assert_eq!(store_dependencies(&packages().unwrap()), none());
}

#[test]
fn pure_crates_reach_for_nothing_outside() {
    let is_held = |package: &Package| {
        LAYERS.iter().any(|layer| layer.is_pure && layer.name == package.short_name())
    };
    assert_eq!(violations(is_held, impurities), none());
}

/// What a file of sync, or of what sync may name, reaches for beyond that.
fn sync_reaches(path: &Path, code: &Code) -> Vec<String> {
    if !["sync", "peers", "requests.rs"].iter().any(|pure| path.starts_with(pure)) {
        return none();
    }
    let libp2p = code.words("libp2p").map(|word| format!("line {}: libp2p", word.line));
    let others = ["service", "wire"].into_iter().flat_map(|name| code.words(name));
    let others = others.map(|word| format!("line {}: another module", word.line));
    impurities(code).into_iter().chain(libp2p).chain(others).collect()
}

#[test]
fn sync_stays_pure_without_the_connections_that_it_steers() {
    let network = packages().unwrap();
    let network = network.iter().find(|package| package.short_name() == "network").unwrap();
    let sources = network.sources().unwrap();
    let folder = root().join(&network.folder).join("src");
    let of_sync =
        |(path, code): &(PathBuf, Code)| sync_reaches(path.strip_prefix(&folder).unwrap(), code);
    assert_eq!(sources.iter().flat_map(of_sync).collect::<Vec<_>>(), none());

    let bad = Code::of("use crate::{peers::Bucket, service::Command};\nuse libp2p::PeerId;");
    let found = ["line 2: libp2p", "line 1: another module"];
    assert_eq!(sync_reaches(Path::new("sync/mod.rs"), &bad), found);
    assert_eq!(sync_reaches(Path::new("requests.rs"), &bad), found);
    assert_eq!(sync_reaches(Path::new("service/mod.rs"), &bad), none());
}

#[test]
fn no_modules_of_a_crate_go_in_a_circle() {
    for package in packages().unwrap() {
        let folder = root().join(&package.folder).join("src");
        let below = |path: PathBuf| path.strip_prefix(&folder).unwrap().to_path_buf();
        let sources = package.sources().unwrap().into_iter();
        let found = circles(&sources.map(|(path, code)| (below(path), code)).collect::<Vec<_>>());
        assert_eq!(found, none(), "{}", package.name);
    }
}

/// `testing/run` keeps the suites whose names begin with some letters from the rest, and runs each by its name.
#[test]
fn every_suite_is_run() {
    let script = fs::read_to_string(root().join("testing/run")).unwrap();
    let between = |text: &str, from: &str, to: &str| {
        let after = text.split_once(from)?.1;
        Some(after.split_once(to)?.0.to_owned())
    };
    let apart = between(&script, "--test '[!", "]*'").unwrap();
    let run = script.lines().filter_map(|line| {
        let mut words = line.trim_start().strip_prefix("suite ")?.split(' ');
        Some((PathBuf::from(words.next()?), words.next()?.to_owned()))
    });
    let has_first = |suite: &&String| apart.contains(&suite[..1]);
    let packages = packages().unwrap();
    let named = packages.iter().flat_map(|package| {
        let suites = package.suites.iter().filter(has_first);
        suites.map(|suite| (package.folder.clone(), suite.clone()))
    });
    assert_eq!(run.collect::<BTreeSet<_>>(), named.collect());
}

#[test]
fn every_package_takes_the_workspace_lints() {
    for package in packages().unwrap() {
        let manifest = fs::read_to_string(root().join(package.folder).join("Cargo.toml")).unwrap();
        assert!(takes_workspace_lints(&manifest), "{}", package.name);
    }
}

#[test]
fn tracked_files_hold_no_leftovers() {
    let listed = Command::new("git").args(["ls-files", "-z"]).current_dir(root()).output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("skipped: git does not list the files");
        return;
    };
    let names = String::from_utf8(listed.stdout).unwrap();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        // Deleted but not committed, or not text.
        let Ok(text) = fs::read_to_string(root().join(name)) else { continue };
        assert_eq!(leftovers(&text), Vec::<&str>::new(), "{name}");
    }
}

fn package(name: &str, folder: &str, dependencies: &[(&str, bool)]) -> Package {
    let dependency =
        |(name, is_dev): &(&str, bool)| Dependency { name: (*name).to_owned(), is_dev: *is_dev };
    Package {
        name: name.to_owned(),
        folder: PathBuf::from(folder),
        dependencies: dependencies.iter().map(dependency).collect(),
        suites: Vec::new(),
    }
}

#[test]
fn a_forbidden_arrow_is_found() {
    let low = Layer { name: "low", may_use: &[], tests_may_use: &["high"], is_pure: true };
    let high = Layer { name: "high", may_use: &["low"], tests_may_use: &[], is_pure: false };
    let found = |packages: &[Package]| forbidden_arrows(packages, &[low, high]);
    let packages = |low: &[(&str, bool)], more: &[Package]| {
        let high = package("lamella-high", "crates/high", &[("lamella-low", false)]);
        [&[package("lamella-low", "crates/low", low), high], more].concat()
    };
    assert_eq!(found(&packages(&[("serde", false), ("lamella-high", true)], &[])), none());
    assert_eq!(
        found(&packages(&[("lamella-high", false)], &[])),
        ["lamella-low must not use lamella-high at all"]
    );
    let model = package("lamella-testing-model", "testing/model", &[("lamella-high", false)]);
    assert_eq!(
        found(&packages(&[("lamella-testing-model", true)], std::slice::from_ref(&model))),
        ["lamella-low must not use lamella-testing-model in its tests"]
    );
    let binary = package("lamella", "bin/lamella", &[("lamella-testing-model", false)]);
    assert_eq!(
        found(&packages(&[], &[binary, model])),
        ["lamella must not use lamella-testing-model at all"]
    );
    let unknown = package("lamella-new", "crates/new", &[]);
    assert_eq!(found(&packages(&[], &[unknown])), ["lamella-new has no layer"]);
    assert_eq!(found(&packages(&[], &[])[..1]), ["the layer high has no crate"]);
}

#[test]
fn the_engine_is_found_as_dependency_and_in_source() {
    let tables = package("lamella-tables", "crates/tables", &[("libmdbx", false)]);
    let chain = package("lamella-chain", "crates/chain", &[("mdbx-sys", true)]);
    assert_eq!(engine_dependencies(&[tables, chain]), ["lamella-chain depends on the engine"]);
    let code = Code::of("// MDBX\n/* mdbx */ fn f() {}\nuse libMDBX::Error;\nlet a = \"mdbx\";\n");
    assert_eq!(engine_names(&code), [3, 4]);
}

#[test]
fn object_stores_are_found_as_dependency_of_whatever_kind() {
    let shipping = package("lamella-shipping", "crates/shipping", &[("object_store", false)]);
    let test = package("lamella-testing-archive", "testing/archive", &[("object_store", true)]);
    let chain = package("lamella-chain", "crates/chain", &[("object_store", true)]);
    let found = store_dependencies(&[shipping, test, chain]);
    assert_eq!(found, ["lamella-chain depends on object stores"]);
}

#[test]
fn a_commit_is_found_however_it_is_called() {
    let source = "fn commit(self) {}\ntxn.commit()?; // txn.commit()\nlet s = \"txn.commit()\";\n\
        WriteTxn::commit(txn);\ntxn\n    .commit ();\nlast_commit();\nmap(WriteTxn::commit)\n\
        micros(timings.commit);\n";
    assert_eq!(commits(&Code::of(source)), [2, 4, 6, 8]);
}

#[test]
fn an_impurity_is_found_however_it_is_imported() {
    let source = "use std::{sync::Arc, time::{Duration, Instant}};\nuse std::{\n    fs,\n    \
        collections::{BTreeMap},\n};\nstd :: thread::sleep(a);\ntracing::info!(\"\");\n\
        println!(\"\");\nlet log = tracing;\n// std::fs\nlet a = \"std::net\";\n";
    let expected = [
        "line 1: std::time",
        "line 2: std::fs",
        "line 6: std::thread",
        "line 8: println",
        "line 7: tracing",
    ];
    let mut expected = expected.map(str::to_owned);
    let mut found = impurities(&Code::of(source));
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn only_unit_tests_are_left_out() {
    let source = "#[cfg(test)]\nmod tests;\nfn a() { txn.commit(); }\n#[cfg(test)]\n\
        use std::{fs, io};\n#[cfg(test)]\nmod b { fn c() { \"}\"; '}'; txn.commit(); } }\n\
        fn d<'a>() { r#\"}\"# ; txn.commit(); }\n";
    let code = Code::of(source);
    assert_eq!(commits(&code), [3, 8]);
    assert_eq!(impurities(&code), none());
}

#[test]
fn a_circle_is_found_through_reexports_and_groups_and_at_every_level() {
    let found = |files: &[(&str, &str)]| {
        let read = |(path, source): &(&str, &str)| (PathBuf::from(path), Code::of(source));
        circles(&files.iter().map(read).collect::<Vec<_>>())
    };
    let top = ("lib.rs", "mod a;\nmod b;\npub use b::{B as Bee, other};\n");
    let grouped = ("a.rs", "use super::{\n    other,\n    Bee};");
    assert_eq!(
        found(&[top, grouped, ("b.rs", "fn f(a: crate::a::A) {}")]),
        ["a uses b (a.rs:1), b uses a (b.rs:1)"]
    );
    // Arrows that go one way; names in a comment, a string or a unit test; a parent and its child.
    assert_eq!(found(&[top, grouped, ("b.rs", "use other::a::A;")]), none());
    let hidden =
        "// crate::a::A\nconst C: &str = \"crate::a\";\n#[cfg(test)]\nmod tests { use crate::a; }";
    assert_eq!(found(&[top, grouped, ("b.rs", hidden)]), none());
    let family = [("a/mod.rs", "mod child;\nuse child::C;"), ("a/child.rs", "use super::A;")];
    assert_eq!(found(&[top, family[0], family[1]]), none());
    // `a` only hands on what `b` has, so it is `b` that `c` uses.
    let handed_on = [
        ("lib.rs", "mod a;"),
        ("a.rs", "pub(crate) use crate::b::inner::X;"),
        ("b/mod.rs", "mod inner;"),
        ("b/inner.rs", "use super::super::c;"),
        ("c.rs", "fn f() -> crate::a::X { }"),
    ];
    assert_eq!(found(&handed_on), ["b uses c (b/inner.rs:1), c uses b (c.rs:1)"]);
    let within = [("b/one.rs", "use super::two::T;"), ("b/two.rs", "use super::one;")];
    assert_eq!(
        found(&[("b/mod.rs", "mod one;\nmod two;"), within[0], within[1]]),
        ["in b: one uses two (b/one.rs:1), two uses one (b/two.rs:1)"]
    );
}

#[test]
fn missing_lints_and_leftovers_are_found() {
    assert!(takes_workspace_lints("[package]\n\n[lints]\nworkspace = true\n\n[dependencies]\n"));
    assert!(!takes_workspace_lints("[package]\nworkspace = true\n[dependencies]\n"));
    assert!(!takes_workspace_lints("[lints.rust]\n[lib]\nworkspace = true\n"));
    let text = concat!("see /wo", "rk/main\n// TO", "DO: more");
    assert_eq!(leftovers(text), ["a machine's path", "work left"]);
    assert_eq!(leftovers("a workshop, rooted, to do"), Vec::<&str>::new());
}

/// All that is built for who uses the store as a library, as cargo resolves it.
#[test]
fn the_store_brings_no_runtime_no_network_and_no_signature_scheme() {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "-p", "lamella-store", "-e", "normal", "--prefix", "none", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).unwrap();
    let names: Vec<_> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.len() > 30 && names.iter().any(|name| name.contains("mdbx")), "{names:?}");
    let strangers =
        ["tokio", "async-std", "smol", "mio", "libp2p", "axum", "hyper", "reqwest", "lamella-xmss"];
    let is_strange = |name: &&&str| {
        strangers
            .iter()
            .any(|strange| **name == *strange || name.starts_with(&format!("{strange}-")))
    };
    assert_eq!(names.iter().find(is_strange), None);
}
