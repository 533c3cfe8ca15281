//! A node that reads its whole store while it runs: what it finds, what its archive gives back, and what is told.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use lamella::{
    config::{NodeConfig, ScrubConfig},
    node::{Inbox, Node},
};
use lamella_http_api::ServerConfig;
use lamella_tables::{Bodies, Database, OpenMode, Options, SlotRoot, Table as _};
use tempfile::TempDir;

use crate::{
    grown::{SMALL_CHAIN, small},
    node::{FOREVER, config, metric},
};

/// Time between two readings.
const EVERY: Duration = Duration::from_secs(2);

/// A node on a copy of the small chain that scrubs, and where it is asked.
struct Scrubbed {
    data: TempDir,
    api: SocketAddr,
    config: NodeConfig,
}

impl Scrubbed {
    fn new(repairs: bool, archive: Option<&Path>) -> Self {
        let data = tempfile::tempdir().unwrap();
        SMALL_CHAIN.copy_to(&data.path().join("db"));
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = NodeConfig {
            api: Some(ServerConfig::new(Ipv4Addr::LOCALHOST.into(), port, None)),
            archive: archive.map(|folder| folder.to_str().unwrap().to_owned()),
            scrub: Some(ScrubConfig { every: EVERY, repairs }),
            ..config(&data)
        };
        Self { data, api: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config }
    }

    fn open(&self) -> Node {
        Node::open(&self.config, None, &Inbox::default()).unwrap()
    }

    fn metric(&self, name: &str) -> u64 {
        metric(self.api, &format!("lean_scrub_{name}"))
    }

    /// Waits until a metric is more than this.
    fn until(&self, name: &str, more_than: u64) {
        let begun = Instant::now();
        while self.metric(name) <= more_than {
            assert!(begun.elapsed() < FOREVER, "{name} is {}", self.metric(name));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The stored body of a block in the first sealed segment.
    fn body(&self) -> (Vec<u8>, Vec<u8>) {
        let (slot, path) = (5, self.data.path().join("db"));
        let key = SlotRoot::new(slot, SMALL_CHAIN.root_at(slot).unwrap());
        let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
        let txn = database.read().unwrap();
        let rows = txn.raw_rows(Bodies::NAME).unwrap().unwrap().map(Result::unwrap);
        let key = lamella_tables::Key::encode(&key);
        rows.map(|row| (row.key, row.stored)).find(|(of, _)| *of == key).unwrap()
    }

    /// Flips a bit of that body; what was there before.
    fn rot(&self) -> (Vec<u8>, Vec<u8>) {
        let (key, stored) = self.body();
        let path = self.data.path().join("db");
        let database = Database::open(&path, Options::new(OpenMode::Existing)).unwrap();
        let (mut txn, mut rotten) = (database.write().unwrap(), stored.clone());
        rotten[stored.len() / 2] ^= 8;
        txn.put_raw(Bodies::NAME, &key, &rotten).unwrap();
        txn.commit().unwrap();
        (key, stored)
    }
}

/// The next event of scrubbing that a node tells.
fn event(api: SocketAddr) -> serde_json::Value {
    let mut stream = TcpStream::connect(api).unwrap();
    stream.set_read_timeout(Some(FOREVER)).unwrap();
    write!(stream, "GET /lean/v0/events?topics=scrub HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
    let data = lines.find_map(|line| line.strip_prefix("data: ").map(str::to_owned)).unwrap();
    serde_json::from_str(&data).unwrap()
}

#[test]
fn a_body_that_rotted_comes_back_from_the_archive_while_the_node_runs() {
    let (folder, _, _) = small();
    let scrubbed = Scrubbed::new(true, Some(folder.path()));
    let before = scrubbed.rot();
    let node = scrubbed.open();
    let told = event(scrubbed.api);
    // The body, and that its block says another.
    assert_eq!((&told["findings"], &told["unrepaired_rows"]), (&2.into(), &0.into()), "{told}");
    scrubbed.until("repaired_rows_total", 0);
    scrubbed.until("runs_total", 1);
    assert_eq!((scrubbed.metric("findings"), scrubbed.metric("unrepaired_rows")), (0, 0));
    drop(node);
    assert!(scrubbed.body() == before, "the body that it was");
}

/// As with `--no-scrub-repair`.
#[test]
fn what_rotted_is_only_told_where_it_is_not_to_be_repaired() {
    let (folder, _, _) = small();
    let scrubbed = Scrubbed::new(false, Some(folder.path()));
    let before = scrubbed.rot();
    let node = scrubbed.open();
    let told = event(scrubbed.api);
    assert_eq!((&told["findings"], &told["unrepaired_rows"]), (&2.into(), &1.into()), "{told}");
    assert_eq!((scrubbed.metric("findings"), scrubbed.metric("repaired_rows_total")), (2, 0));
    drop(node);
    let after = scrubbed.body();
    assert!(after.0 == before.0 && after.1 != before.1, "the row as it rotted");
}

/// Symptom: a store that could not be read left no trace but a line in the log, and the next reading came a day later.
/// Mechanism: only whole readings were counted, and every reading was followed by the same wait. Fix: what fails is counted,
/// the next whole reading has a time by which it is due, and a failed one is tried again soon.
#[test]
fn a_reading_that_fails_is_counted_and_tried_again() {
    let mut scrubbed = Scrubbed::new(true, None);
    let every = Duration::from_secs(24);
    scrubbed.config.scrub = Some(ScrubConfig { every, repairs: true });
    let node = scrubbed.open();
    let file = scrubbed.data.path().join("db/mdbx.dat");
    let aside = file.with_extension("aside");
    fs::rename(&file, &aside).unwrap();
    scrubbed.until("failures_total", 1);
    let (due, last) = (scrubbed.metric("due_time_seconds"), "last_end_time_seconds");
    assert_eq!((scrubbed.metric("runs_total"), scrubbed.metric(last)), (0, 0));
    fs::rename(&aside, &file).unwrap();
    scrubbed.until("runs_total", 0);
    assert!(scrubbed.metric("due_time_seconds") >= due.max(scrubbed.metric(last) + 48));
    drop(node);
}
