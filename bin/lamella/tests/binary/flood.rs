//! Clients of the API, from more addresses than it takes to have all of its places: thousands that are slow in every way,
//! and some that are as fast as its answers.

use std::{
    collections::BTreeSet,
    fs,
    io::{ErrorKind, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    runtime::{Builder, Runtime},
    task::JoinSet,
    time::timeout,
};

use crate::{
    node::{Node, configure, field, get, network, verify},
    wait::until,
};

/// Connections that are held or asked for all the time, and the addresses that they come from: 127.0.0.2 and so on.
const CONNECTIONS: usize = 2_000;
const ADDRESSES: [u8; 8] = [2, 3, 4, 5, 6, 7, 8, 9];

/// Connections that the API has places for.
const PLACES: usize = 256;

/// Slots that become final meanwhile.
const SLOTS: u64 = 20;

/// Validators of the node.
const VALIDATORS: u64 = 4;

/// Memory of its own that a node may have meanwhile: 300 MB. It has some 20 otherwise.
const MEMORY_BYTES_MAX: u64 = 300_000_000;

/// What a client begins with, and what it adds, a little at a time.
const WAYS: [(&str, &str); 4] = [
    // A head that never ends.
    ("GET /lean/v0/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", "a"),
    // A body that comes byte by byte.
    (
        "POST /lean/v0/admin/aggregator HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n",
        " ",
    ),
    // Answers that nobody reads.
    ("", "GET /lean/v0/states/head HTTP/1.1\r\nHost: localhost\r\n\r\n"),
    // Events that nobody reads.
    ("GET /lean/v0/events?topics=head,block HTTP/1.1\r\nHost: localhost\r\n\r\n", ""),
];

/// Clients that ask as fast as they are answered, and read it all.
const READERS: usize = 64;

/// What they ask for, in turn.
const ROUTES: [&str; 7] = [
    "states/head",
    "blocks/head",
    "states/genesis",
    "fork_choice",
    "proof/block/1",
    "participation/2",
    "node/peers",
];

#[test]
fn thousands_of_slow_connections_to_the_api_cost_neither_finality_nor_memory() {
    let (asked, made) = under(flood);
    assert!(asked > CONNECTIONS && made > PLACES, "{asked} connections asked for, {made} had");
}

#[test]
fn clients_that_ask_as_fast_as_they_are_answered_cost_a_validator_no_duty() {
    let (asked, answered) = under(|api, is_over| {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let readers = (0..READERS).map(|number| read(api, number, Arc::clone(is_over)));
            let counts = readers.collect::<JoinSet<_>>().join_all().await;
            counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
        })
    });
    assert!(answered > READERS && answered * 2 > asked, "{asked} asked, {answered} answered");
}

/// A validator that finalizes, loses no duty, proposes in its slots and stays small while this lasts; what it came to.
fn under(flood: impl Fn(SocketAddr, &Arc<AtomicBool>) -> (usize, usize) + Sync) -> (usize, usize) {
    let root = tempfile::tempdir().unwrap();
    let (network_dir, data) = (root.path().join("net"), root.path().join("data"));
    network(&network_dir);
    // A quarter of a real slot: a machine with other work misses a shorter one by itself.
    configure(&network_dir, "MILLISECONDS_PER_SLOT", 1_000);
    let mut node = Node::start(&network_dir, &data);
    let line = node.wait_for(|line| line.contains("HTTP API listening"));
    let api = field(&line, "api").unwrap().to_owned();
    let number = |line: &str, name: &str| field(line, name)?.parse::<u64>().ok();
    let begun = node.wait_for(|line| number(line, "finalized") > Some(0));
    let goal = number(&begun, "finalized").unwrap() + SLOTS;

    let id = node.process.id();
    let (calm, mut peak) = (memory_bytes(id), 0);
    // Of a block and of votes of all validators: a duty that was skipped leaves no line.
    let (mut blocks, mut votes, mut missed) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    let is_over = Arc::<AtomicBool>::default();
    let came_to = thread::scope(|scope| {
        let flood = scope.spawn(|| flood(api.parse().unwrap(), &is_over));
        node.wait_for(|line| {
            peak = peak.max(memory_bytes(id));
            if line.contains("Block imported successfully") {
                blocks.extend(number(line, "slot"));
            }
            if line.contains(" Attested ") && number(line, "validators") == Some(VALIDATORS) {
                votes.extend(number(line, "slot"));
            }
            missed.extend(line.contains(" Missed ").then(|| line.to_owned()));
            number(line, "finalized") >= Some(goal)
        });
        is_over.store(true, Ordering::Relaxed);
        flood.join().unwrap()
    });
    let (asked, had) = came_to;
    println!(
        "{asked} asked for, {had} had, {} blocks and {} times votes, {calm} bytes and then {peak}",
        blocks.len(),
        votes.len()
    );
    assert_eq!(missed, [""; 0]);
    for (duty, done) in [("block", blocks), ("votes", votes)] {
        let due = *done.first().unwrap()..=*done.last().unwrap();
        let lost: Vec<u64> = due.filter(|slot| !done.contains(slot)).collect();
        assert!(lost.is_empty(), "{lost:?} are slots without {duty} of {done:?}");
        assert!(done.len() as u64 >= SLOTS, "{duty}: {done:?}");
    }
    assert!(peak < MEMORY_BYTES_MAX, "{peak} bytes, {calm} before");

    // When they are gone, whoever asks is answered.
    until("an answer", || (get(&api, "/lean/v0/states/head").0 == "HTTP/1.1 200 OK").then_some(()));
    node.kill();
    verify(&data);
    came_to
}

/// Asks, reads the answer to its end, and asks again; how often, and how often it was answered.
async fn read(api: SocketAddr, number: usize, is_over: Arc<AtomicBool>) -> (usize, usize) {
    let (mut asked, mut answered) = (0, 0);
    for route in ROUTES.iter().cycle().skip(number) {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        asked += 1;
        let answer = async {
            let mut stream = from(number, api).await?;
            let ask = format!(
                "GET /lean/v0/{route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(ask.as_bytes()).await.ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.ok()?;
            answer.starts_with(b"HTTP/1.1 200 ").then_some(())
        };
        let answer = timeout(Duration::from_secs(5), answer).await;
        answered += usize::from(matches!(answer, Ok(Some(()))));
    }
    (asked, answered)
}

/// Holds as many connections as there may be, and adds a little to each; how many were asked for, and how many had.
fn flood(api: SocketAddr, is_over: &Arc<AtomicBool>) -> (usize, usize) {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut held, mut asked, mut made) = (Vec::new(), 0, 0);
    while !is_over.load(Ordering::Relaxed) {
        let count = CONNECTIONS - held.len();
        let new = connect(&runtime, api, asked, count);
        asked += count;
        made += new.len();
        held.extend(new);
        held.retain_mut(|(stream, more): &mut (TcpStream, &str)| {
            let written = stream.write(more.as_bytes());
            written.map_or_else(|error| error.kind() == ErrorKind::WouldBlock, |_| true)
        });
    }
    (asked, made)
}

/// So many more connections, as far as the system makes them; each has said the first that it has to say.
fn connect(
    runtime: &Runtime,
    api: SocketAddr,
    asked: usize,
    count: usize,
) -> Vec<(TcpStream, &'static str)> {
    runtime.block_on(async {
        let mut tasks = JoinSet::new();
        for number in asked..asked + count {
            tasks.spawn(async move {
                let stream = timeout(Duration::from_secs(1), from(number, api)).await.ok()?;
                let mut stream = stream?.into_std().ok()?;
                let (first, more) = WAYS[number / ADDRESSES.len() % WAYS.len()];
                stream.write_all(first.as_bytes()).ok()?;
                Some((stream, more))
            });
        }
        let mut open = Vec::new();
        while let Some(stream) = tasks.join_next().await {
            open.extend(stream.unwrap());
        }
        open
    })
}

/// A connection from one of the addresses.
async fn from(number: usize, api: SocketAddr) -> Option<tokio::net::TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    let last = ADDRESSES[number % ADDRESSES.len()];
    socket.bind(([127, 0, 0, last], 0).into()).ok()?;
    socket.connect(api).await.ok()
}

/// Bytes of memory that a process has for itself.
fn memory_bytes(id: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{id}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}
