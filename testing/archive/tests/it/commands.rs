//! `lamella archive` as a user meets it: what each command says last, every field that it prints as JSON, and that
//! docs/archive.md quotes what the commands say. How they fail: [`failures`].

mod failures;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use lamella_shipping::store::{Access, Store};
use lamella_tables::{Canonical, Table as _};
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    grown::{SMALL_CHAIN, SMALL_SEGMENTS},
    processes::BINARY,
    world::Writer,
};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/archive.md");

/// Blocks of the small chain that a tail tells, over the first segment's end.
const TOLD: usize = 160;

/// How a command ended, and what it said.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    error: String,
}

fn archive(arguments: &[&str]) -> Ran {
    let output = Command::new(BINARY).arg("archive").args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
}

/// A command that does what it should.
fn done(arguments: &[&str]) -> Ran {
    let ran = archive(arguments);
    assert!(ran.code == Some(0) && ran.error.is_empty(), "{arguments:?}: {}", ran.error);
    ran
}

impl Ran {
    fn last(&self) -> &str {
        self.out.lines().last().unwrap()
    }

    /// The document that is all it printed, with these fields and no others.
    fn json(&self, fields: &[&str]) -> Value {
        let value: Value = serde_json::from_str(&self.out).unwrap();
        let found: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(found, fields.iter().copied().collect(), "{}", self.out);
        value
    }
}

/// An archive of the small chain in a folder, with proofs and a tail, and the directory that was shipped.
struct World {
    folder: TempDir,
    data: TempDir,
}

/// Shipped once, by the command.
static MADE: LazyLock<(World, Vec<String>)> = LazyLock::new(|| {
    let world = World { folder: tempfile::tempdir().unwrap(), data: tempfile::tempdir().unwrap() };
    SMALL_CHAIN.copy_to(&world.data.path().join("db"));
    let export = ["export", "--to", world.url(), "--data-dir", world.data()];
    let mut said = vec![done(&export).last().to_owned()];
    said.push(done(&export).last().to_owned());
    said.push(done(&[&export[..], &["--proofs"]].concat()).last().to_owned());
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, TOLD);
    writer.ship_tail(&|| Store::open(world.url(), Access::Write).unwrap(), false).unwrap();
    (world, said)
});

impl World {
    fn url(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn data(&self) -> &str {
        self.data.path().to_str().unwrap()
    }

    /// The network's folder.
    fn network(&self) -> PathBuf {
        self.folder.path().join(SMALL_CHAIN.network().to_string())
    }

    /// The files of a kind, in the order of their names.
    fn files(&self, kind: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.network().join(kind)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files
    }

    /// A copy whose files may be damaged; the directory is not copied.
    fn copy() -> Self {
        let (made, _) = &*MADE;
        let copy =
            Self { folder: tempfile::tempdir().unwrap(), data: tempfile::tempdir().unwrap() };
        copy_folder(made.folder.path(), copy.folder.path());
        copy
    }

    /// The newest frontier's slot and root.
    fn frontier(&self) -> (u64, String) {
        let newest = self.files("frontier").pop().unwrap();
        let name = newest.file_stem().unwrap().to_str().unwrap();
        let (slot, root) = name.split_once('-').unwrap();
        (slot.parse().unwrap(), format!("0x{root}"))
    }
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_folder(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// What the commands said last that did what they should.
fn last_lines() -> Vec<String> {
    let (made, exported) = &*MADE;
    let (_, root) = made.frontier();
    let mut said = exported.clone();
    let restored = tempfile::tempdir().unwrap();
    let to = ["--proof-scheme", "trust", "--data-dir", restored.path().to_str().unwrap()];
    for arguments in [
        &["ls", made.url()][..],
        &["verify", made.url()],
        &["verify", made.url(), "--deep", "--root", &root],
        &["verify", made.url(), "--transition", "--proofs"],
        &["clean", made.url()],
        &[&["restore", "--from", made.url(), "--finalized", "--trusted", &root][..], &to].concat(),
    ] {
        said.push(done(arguments).last().to_owned());
    }
    said
}

#[test]
fn the_last_line_of_each_command_says_what_was_verified_and_what_was_not() {
    let said = last_lines();
    let (made, _) = &*MADE;
    let (slot, root) = made.frontier();
    let bytes = |kind: &str| -> u64 {
        made.files(kind).iter().map(|file| fs::metadata(file).unwrap().len()).sum()
    };
    let rows = SMALL_CHAIN.rows(SMALL_SEGMENTS * 1_024 - 1);
    let blocks = rows.keys().filter(|(table, _)| *table == Canonical::NAME).count();
    let put = bytes("segments");
    let head = SMALL_CHAIN.blocks.last().unwrap().block.slot;
    let left = head + 1 - 2_048;
    let shipped = "shipped and confirmed: 2 segments, 2048 slots";
    let rest = format!("not shipped: {left} slots up to the head, forks, proofs of");
    let under = format!("under root {root} at slot {slot}");
    let untrusted = "no root was given: compare this one with a node that you trust";
    let others = "0 segments beyond the frontier, 0 objects with names that say nothing";
    let tails = made.files("tail").len() as u64;
    assert_eq!(tails, 1, "one writer");
    let unproven = 2 + fs::read_dir(&made.files("tail")[0]).unwrap().count();
    let [first, again, proofs, ls, content, deep, transition, clean, restored] = &said[..] else {
        panic!("{said:?}")
    };
    let there = "0 were there and verified";
    assert_eq!(
        first,
        &format!("{shipped} (2 put now, {put} bytes; {there}) {under}; {rest} blocks")
    );
    let there = "(0 put now, 0 bytes; 2 were there and verified)";
    assert_eq!(again, &format!("{shipped} {there} {under}; {rest} blocks"));
    let sidecars = bytes("proofs");
    assert_eq!(
        proofs,
        &format!(
            "{shipped} {there} {under}; {rest} 0 blocks, pruned or never checked; {} proofs shipped, 2 objects put now ({sidecars} bytes), 0 were there and compared",
            blocks - 1,
        )
    );
    let network = SMALL_CHAIN.network();
    assert!(ls.starts_with(&format!("listed, not read: network {network}: format 1 of ")), "{ls}");
    assert!(ls.contains(&format!("segments 2 of {} bytes", bytes("segments"))), "{ls}");
    let begins = format!("verified: 2 segments, 2048 slots, {blocks} blocks");
    let root_at = format!("root {root} at slot {slot}");
    let objects = format!("{unproven} objects of proofs and tails, {others}");
    assert_eq!(
        content,
        &format!(
            "{begins}, not verified: states (--deep); {root_at} ({untrusted}); not proven: {objects}"
        )
    );
    assert_eq!(
        deep,
        &format!("{begins}, {blocks} states; {root_at} (the root you gave); not proven: {objects}")
    );
    assert_eq!(
        transition,
        &format!(
            "{begins}, {blocks} states, {blocks} made again by the transition; {root_at} ({untrusted}); not proven: proofs of {} blocks, which are undamaged (0 blocks have none), {objects}",
            blocks - 1
        )
    );
    assert!(
        clean.ends_with(
            "0 unusable and 0 expired found, nothing was deleted; not judged: 1 objects"
        ),
        "{clean}"
    );
    assert!(restored.contains(&format!("{blocks} blocks and states, every invariant checked; proven {under} (the root you gave); not restored: proofs of blocks, forks, votes, the sign guard")), "{restored}");
}

#[test]
fn every_json_document_has_the_fields_that_scripts_read() {
    let (made, _) = &*MADE;
    let (url, (slot, root)) = (made.url(), made.frontier());
    let export = ["export", "--to", url, "--data-dir", made.data(), "--json"];
    let fields = [
        "network",
        "segments",
        "segments_put",
        "segments_verified",
        "bytes_put",
        "slots",
        "frontier_slot",
        "frontier_root",
        "slots_not_shipped",
        "proofs",
    ];
    let exported = done(&export).json(&fields);
    assert_eq!(exported["segments_verified"], SMALL_SEGMENTS);
    assert_eq!((&exported["frontier_slot"], &exported["proofs"]), (&slot.into(), &Value::Null));
    let proofs = &done(&[&export[..], &["--proofs"]].concat()).json(&fields)["proofs"];
    assert_eq!((&proofs["objects_put"], &proofs["objects_compared"]), (&0.into(), &2.into()));
    assert_eq!(
        (&proofs["blocks_without_proof"], &proofs["waits_for_checks_of_segment"]),
        (&0.into(), &Value::Null)
    );

    let listed = done(&["ls", url, "--json"]).json(&["network", "objects", "unknown"]);
    assert_eq!(listed["network"], SMALL_CHAIN.network().to_string());
    let of_kind = |kind| {
        let objects = listed["objects"].as_array().unwrap().iter();
        objects.filter(|object| object["kind"] == kind).count() as u64
    };
    assert_eq!((of_kind("segments"), of_kind("format")), (SMALL_SEGMENTS, 1));
    assert!(
        listed["objects"][0]["bytes"].as_u64() > Some(0)
            && listed["objects"][0]["name"].is_string()
    );

    let fields = [
        "network",
        "root",
        "root_slot",
        "root_is_trusted",
        "segments",
        "slots_below",
        "blocks",
        "states",
        "transitions",
        "proofs_undamaged",
        "blocks_without_proof",
        "bad_frontiers",
        "segments_beyond",
        "objects_unproven",
        "objects_unknown",
    ];
    let content = done(&["verify", url, "--json"]).json(&fields);
    assert_eq!((&content["states"], &content["proofs_undamaged"]), (&0.into(), &Value::Null));
    assert_eq!(
        (&content["root"], &content["root_is_trusted"]),
        (&root.as_str().into(), &false.into())
    );
    let whole = done(&["verify", url, "--transition", "--proofs", "--root", &root, "--json"]);
    let whole = whole.json(&fields);
    assert_eq!((&whole["states"], &whole["root_is_trusted"]), (&whole["blocks"], &true.into()));
    // Genesis has no proof.
    let blocks = whole["blocks"].as_u64().unwrap();
    assert_eq!(
        (&whole["proofs_undamaged"], &whole["transitions"]),
        (&(blocks - 1).into(), &blocks.into())
    );

    let restored = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let restore = |data: &TempDir, target: &[&str], fields: &[&str]| {
        let from = ["restore", "--from", url, "--proof-scheme", "trust", "--json", "--data-dir"];
        done(&[&from[..], &[data.path().to_str().unwrap()], target].concat()).json(fields)
    };
    let finalized = restore(
        &restored[0],
        &["--finalized", "--proofs"],
        &[
            "slot",
            "root",
            "frontier_slot",
            "frontier_root",
            "root_is_trusted",
            "blocks",
            "segments_read",
            "resumed",
            "proofs_from_slot",
        ],
    );
    assert_eq!(
        (&finalized["frontier_slot"], &finalized["blocks"]),
        (&slot.into(), &content["blocks"])
    );
    assert_eq!((&finalized["resumed"], &finalized["proofs_from_slot"]), (&false.into(), &1.into()));
    let told = listed["objects"].as_array().unwrap().iter();
    let last = told.filter(|object| object["kind"] == "tail").count() - 1;
    let to_object = restore(
        &restored[1],
        &["--seq", &last.to_string()],
        &[
            "writer",
            "sequence",
            "slot",
            "root",
            "blocks_of_tail",
            "blocks_of_segments",
            "frontier_slot",
            "frontier_root",
            "root_is_trusted",
        ],
    );
    assert_eq!(
        (&to_object["writer"], &to_object["sequence"]),
        (&"0101010101010101".into(), &last.into())
    );
    assert!(to_object["blocks_of_tail"].as_u64() > Some(0), "{to_object}");
    let segments = &to_object["blocks_of_segments"];
    assert_eq!(segments.is_null(), to_object["frontier_root"].is_null(), "{to_object}");

    let cleaned = done(&["clean", url, "--json"]);
    let cleaned =
        cleaned.json(&["judged", "unusable", "expired", "newer", "not_judged", "deleted"]);
    assert_eq!((&cleaned["not_judged"], &cleaned["deleted"]), (&1.into(), &false.into()));
}

/// What docs/archive.md says, paragraph by paragraph, wrapped lines joined.
fn documented() -> Vec<String> {
    let text = fs::read_to_string(MANUAL).unwrap();
    let joined = |paragraph: &str| paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    text.split("\n\n").map(joined).collect()
}

/// A line with its numbers, roots and paths left out.
fn shape(line: &str) -> String {
    let word = |word: &str| {
        let core = word.trim_matches(['(', ')', ',', ';', ':', '.']);
        let is_number = !core.is_empty() && core.bytes().all(|byte| byte.is_ascii_digit());
        match core {
            core if core.starts_with("0x") => word.replace(core, "ROOT").replace("..", ""),
            core if core.contains('/') => word.replace(core, "PATH"),
            core if core.len() == 16 && core.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                word.replace(core, "ID")
            }
            core if is_number => word.replace(core, "N"),
            _ => word.to_owned(),
        }
    };
    line.split_whitespace().map(word).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_manual_quotes_what_the_commands_say() {
    let said: Vec<String> = last_lines().iter().map(|line| shape(line)).collect();
    let begins = ["shipped and confirmed:", "listed, not read:", "verified:", "restored:"];
    let is_quote = |line: &String| begins.iter().any(|begin| line.starts_with(begin));
    let quotes: Vec<String> = documented().into_iter().filter(is_quote).collect();
    for quote in &quotes {
        let wanted = shape(quote.split(" ...").next().unwrap());
        assert!(
            said.iter().any(|line| line.starts_with(&wanted)),
            "{wanted:?} is not in {said:#?}"
        );
    }
    assert!(quotes.len() >= 3, "{quotes:?}");
}
