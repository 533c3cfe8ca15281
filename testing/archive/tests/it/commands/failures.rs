//! Each exit code that the help lists, and that what the manual's table explains is what the commands say.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    net::TcpListener,
    process::{Command, Stdio},
};

use lamella_archive::ObjectName;
use lamella_chain::ReadOnlyChain;
use lamella_inspect::objects::ObjectError;
use lamella_shipping::{
    ShippingError,
    seal::Shipped,
    store::{Access, Store},
};
use lamella_types::Root;

use super::{MANUAL, Ran, World, archive, copy_folder, done};
use crate::{
    backfill::BEGAN,
    grown::{OTHER_CHAIN, SMALL_CHAIN, from_checkpoint},
    processes::{BINARY, Process},
    world::Writer,
};

/// What fails, with its exit code and what it says.
fn failures() -> Vec<(i32, &'static str, Ran)> {
    let mut failures = Vec::new();
    let restore = |world: &World, target: &[&str]| {
        archive(
            &[&["restore", "--from", world.url(), "--data-dir", world.data()][..], target].concat(),
        )
    };
    // 1: nobody listens there any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    failures.push((1, "tried 4 times", archive(&["ls", &format!("http://127.0.0.1:{port}")])));
    // 2
    let whole = World::copy();
    failures.push((2, "unexpected argument", archive(&["verify", whole.url(), "--deeper"])));
    failures.push((2, "ftp:// is not known", archive(&["ls", "ftp://host/archive"])));
    let other = whole.folder.path().join("0000000000000000");
    fs::create_dir(&other).unwrap();
    copy_folder(&whole.network(), &other);
    failures.push((2, "say which with --network", archive(&["verify", whole.url()])));
    // 3
    let empty = tempfile::tempdir().unwrap();
    let url = empty.path().to_str().unwrap();
    failures.push((3, "no archive is there", archive(&["verify", url])));
    let whole = World::copy();
    failures.push((3, "slot 500 is empty", restore(&whole, &["--slot", "500"])));
    let unknown = Root::new([9; 32]).to_string();
    failures.push((
        3,
        "no block of the archive has root",
        archive(&["verify", whole.url(), "--root", &unknown]),
    ));
    let later = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let began = later.path().to_str().unwrap();
    let says = "this directory began later and cannot seal it";
    failures.push((3, says, archive(&["export", "--to", url, "--data-dir", began])));
    let gap = World::copy();
    fs::remove_file(&gap.files("segments")[0]).unwrap();
    failures.push((3, "is not there; the archive has a gap", archive(&["verify", gap.url()])));
    let unproven = World::copy();
    unproven.files("frontier").iter().for_each(|file| fs::remove_file(file).unwrap());
    let says = "it has no frontier, so nothing is proven";
    failures.push((3, says, archive(&["verify", unproven.url()])));
    // 5
    let damaged = World::copy();
    let [cut, flipped] = &damaged.files("segments")[..] else { panic!("two segments") };
    let bytes = fs::read(cut).unwrap();
    fs::write(cut, &bytes[..bytes.len() / 2]).unwrap();
    failures.push((5, "the file was cut", archive(&["verify", damaged.url()])));
    fs::write(cut, bytes).unwrap();
    let mut bytes = fs::read(flipped).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(flipped, bytes).unwrap();
    failures.push((5, "digest does not match", archive(&["verify", damaged.url()])));
    failures.push((
        5,
        "1 objects are not what their names say",
        archive(&["clean", damaged.url()]),
    ));
    // 6
    let data = tempfile::tempdir().unwrap();
    OTHER_CHAIN.copy_to(&data.path().join("db"));
    let data = data.path().to_str().unwrap();
    let says = "are of two chains";
    failures.push((6, says, archive(&["export", "--to", whole.url(), "--data-dir", data])));
    // A restoration that was broken off.
    let unfinished = World::copy();
    fs::create_dir(unfinished.data.path().join("db.restoring")).unwrap();
    let export = ["export", "--to", unfinished.url(), "--data-dir", unfinished.data()];
    failures.push((1, "the restoration of", archive(&export)));
    failures.push((130, "stopped", stopped()));
    failures
}

/// A command that waits for a node which says nothing, and is sent a signal.
fn stopped() -> Ran {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let mut command = Command::new(BINARY);
    command.args(["archive", "verify", &url]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _asked = silent.accept().unwrap();
    let process = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &process]).status().unwrap().success());
    let (mut out, mut error) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut out).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    Ran { code: child.wait().unwrap().code(), out, error }
}

#[test]
fn each_failure_has_the_exit_code_that_the_help_lists_and_says_what_the_manual_explains() {
    let failures = failures();
    let is_as_said = |(code, says, ran): &&(i32, &str, Ran)| {
        ran.code == Some(*code) && ran.error.contains(says) && !ran.out.contains("verified:")
    };
    let others: Vec<_> = failures.iter().filter(|failure| !is_as_said(failure)).collect();
    assert!(others.is_empty(), "{others:#?}");
    let help = done(&["--help"]).out;
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let codes = codes.lines().map_while(|line| line.split_whitespace().next()?.parse::<i32>().ok());
    let shown: BTreeSet<i32> = failures.iter().map(|(code, ..)| *code).chain([0]).collect();
    assert_eq!(codes.collect::<BTreeSet<_>>(), shown);

    // Each line of the manual's table is something that is said.
    let fenced =
        ShippingError::Fenced { url: String::new(), name: ObjectName::Format, digest: Root::ZERO };
    // And of a node that is asked for what it has not.
    let data = from_checkpoint(&SMALL_CHAIN, BEGAN);
    let chain = ReadOnlyChain::open(&data.path().join("db")).unwrap();
    let held = Shipped::new(chain.database(), chain.states(), chain.identity()).held().unwrap();
    let later = ObjectError::BeforeBootstrap { name: ObjectName::Format, held };
    let mut said: Vec<String> = failures.into_iter().map(|(_, _, ran)| ran.error).collect();
    said.extend([fenced.to_string(), later.to_string()]);
    let manual = fs::read_to_string(MANUAL).unwrap();
    let quotes: Vec<&str> = manual.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    let quotes: Vec<&str> = quotes
        .iter()
        .filter_map(|row| row.split_once("` | "))
        .filter(|(_, meaning)| !meaning.contains(" | "))
        .flat_map(|(cell, _)| cell.split("`, `"))
        .collect();
    let is_said = |quote: &&str| {
        let parts: Vec<&str> = quote.split("...").map(str::trim).collect();
        said.iter().any(|text| parts.iter().all(|part| text.contains(part)))
    };
    let unsaid: Vec<_> = quotes.iter().filter(|quote| !is_said(quote)).collect();
    assert!(unsaid.is_empty() && quotes.len() >= 10, "nothing says {unsaid:?} of {quotes:?}");
}

/// A follower whose source has finalized another chain serves what it has, says so at its end, and exits with 3.
#[test]
fn a_follower_whose_chain_has_parted_from_the_sources_says_so_at_its_end() {
    let (ours, theirs) = (World::copy(), tempfile::tempdir().unwrap());
    let to = theirs.path().to_str().unwrap();
    let mut writer = Writer::new(&OTHER_CHAIN, 2);
    writer.import(&OTHER_CHAIN, OTHER_CHAIN.blocks.len());
    writer.ship(&|| Store::open(to, Access::Write).unwrap()).unwrap();
    let ended = |from: &str, state: &str| {
        let said = ours.data.path().join("said");
        let mut command = Command::new(BINARY);
        command
            .args(["follow", "--proof-scheme", "trust", "--api-port", "0", "--max-lag-slots", "0"])
            .args(["--slot-ms", "400"])
            .args(["--from", from, "--data-dir", ours.data()])
            .stdout(fs::File::create(&said).unwrap());
        let mut follower = Process::spawn(command);
        follower.wait_for(state);
        (follower.stop(), fs::read_to_string(said).unwrap())
    };
    let (code, said) = ended(ours.url(), "to=\"stale\"");
    assert!(code == Some(0) && said.starts_with("stopped: stale ("), "{code:?} {said}");
    let proven = " blocks and states of segments under root ";
    let not = " by transition; not verified: signatures (proof scheme trust)\n";
    assert!(said.contains(proven) && said.ends_with(not), "{said}");
    let (code, said) = ended(to, "to=\"diverged\"");
    assert!(code == Some(3) && said.starts_with("stopped: diverged ("), "{code:?} {said}");
    assert!(!said.contains(proven), "nothing was proven in this run: {said}");
}
