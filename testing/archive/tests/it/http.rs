//! A node as an archive: asked over HTTP for the objects that shipping would put.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use lamella::node::{Inbox, Node};
use lamella_archive::{Frontier, ObjectName};
use lamella_http_api::ServerConfig;
use lamella_shipping::{
    ShippingError,
    remote::Remote,
    restorer::Target,
    store::{Access, Store, StoreError},
    verifier::verify,
};
use tempfile::TempDir;

use crate::{
    grown::{LAST, SMALL_CHAIN, SMALL_SEGMENTS, from_checkpoint, go_on, restore, rows, small},
    node::open_serving,
};

/// A node on this data directory, whose API has a free port.
pub fn serving(data: &TempDir) -> (Node, SocketAddr) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = ServerConfig::new(Ipv4Addr::LOCALHOST.into(), port, None);
    let node = open_serving(data, None, Some(config), &Inbox::default());
    (node, SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn node_with_all() -> (TempDir, Node, SocketAddr) {
    let data = tempfile::tempdir().unwrap();
    SMALL_CHAIN.copy_to(&data.path().join("db"));
    let (node, api) = serving(&data);
    (data, node, api)
}

pub fn remote(api: SocketAddr) -> Remote {
    let store = Store::open(&format!("http://{api}"), Access::Read).unwrap();
    Remote::find(store, None).unwrap()
}

/// An object as the node serves it: status and body.
pub fn get(api: SocketAddr, path: &str) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(api).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    let status = String::from_utf8_lossy(&answer[9..12]).into_owned();
    (status, answer[end + 4..].to_vec())
}

#[test]
fn a_node_is_an_archive_that_verifies_and_restores_over_http() {
    let (_data, _node, api) = node_with_all();
    let remote = remote(api);
    assert_eq!(remote.network(), SMALL_CHAIN.network());
    let (_folder, shipped, _) = small();
    let of_node = remote.inventory().unwrap();
    assert!(of_node.objects.keys().eq(shipped.inventory().unwrap().objects.keys()));
    assert_eq!((of_node.unknown, remote.writers().unwrap().len()), (Vec::new(), 1));
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!(verified.segments, SMALL_SEGMENTS);
    // Any finalized block's frontier is served, not only the newest, which changes while a client reads a list.
    let root = SMALL_CHAIN.root_at(1_010).unwrap();
    let name = ObjectName::Frontier { slot: 1_010, root };
    let path = format!("/lean/v0/archive/{}/{name}", remote.network());
    assert!(Frontier::verify("older", &get(api, &path).1, &root).is_ok());

    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    restore(&remote, &database, Target::Finalized).unwrap();
    assert!(rows(&database, LAST) == SMALL_CHAIN.rows(SMALL_SEGMENTS * 1024 - 1));
}

/// A segment is made once for all who ask for it at once, and what is not there says why.
#[test]
fn a_node_serves_whoever_asks_at_once_and_refuses_by_name() {
    let (_data, _node, api) = node_with_all();
    let (folder, shipped, _) = small();
    let inventory = shipped.inventory().unwrap();
    let base = format!("/lean/v0/archive/{}", SMALL_CHAIN.network());
    for name in inventory.objects.keys() {
        let path = folder.path().join(shipped.path(name));
        let expected = std::fs::read(path).unwrap();
        let asks = (0..12).map(|_| {
            let path = format!("{base}/{name}");
            thread::spawn(move || get(api, &path))
        });
        for answer in asks.collect::<Vec<_>>() {
            assert!(answer.join().unwrap() == ("200".to_owned(), expected.clone()), "{name}");
        }
    }
    let root = SMALL_CHAIN.root_at(1).unwrap();
    let refusals = [
        ("segments/nothing".to_owned(), "no object has such a name"),
        (ObjectName::Segment { index: 0, root }.to_string(), "segment 0 has root 0x"),
        (ObjectName::Segment { index: 2, root }.to_string(), "from slot 3072 on is finalized"),
        (ObjectName::Frontier { slot: 2, root }.to_string(), "is not finalized on this chain"),
        (ObjectName::Registry { root }.to_string(), "another registry"),
    ];
    for (name, says) in refusals {
        let (status, body) = get(api, &format!("{base}/{name}"));
        let body = String::from_utf8(body).unwrap();
        assert!(status == "404" && body.contains(says) && body.contains("\"unknown\""), "{body}");
    }
    let (status, body) = get(api, "/lean/v0/archive/0011223344556677");
    let body = String::from_utf8(body).unwrap();
    assert!(status == "404" && body.contains(&SMALL_CHAIN.network().to_string()), "{body}");
    let (_, body) = get(api, &format!("{base}?prefix=segments/&after=segments/00000-z"));
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains("segments/00001-") && !body.contains("00000-"), "{body}");
}

/// A node that began at a checkpoint says which segments it lacks, and nobody takes that for a gap that heals.
#[test]
fn what_a_node_that_began_later_cannot_seal_is_said_by_name() {
    let data = from_checkpoint(&SMALL_CHAIN, 1_020);
    let (_node, api) = serving(&data);
    let remote = remote(api);
    let segments: Vec<u32> =
        remote.inventory().unwrap().segments().map(|(index, _)| index).collect();
    assert_eq!(segments, [1]);
    let error = verify(&remote, None, false, &mut go_on).unwrap_err();
    assert!(matches!(error, ShippingError::Store(StoreError::NotHeld { .. })), "{error}");
    let text = error.to_string();
    assert!(text.contains("segments/00000-") && text.contains("has slots 1020 to 2300"), "{text}");
}

/// Answers each request with the next of these bodies.
fn liar(bodies: Vec<String>) -> SocketAddr {
    liar_that(move |request| bodies.get(request).cloned()).0
}

/// Answers each request, by number, with what this says, until it says nothing; and how many there were.
fn liar_that(
    says: impl Fn(usize) -> Option<String> + Send + 'static,
) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for body in (0..).map_while(says) {
            let mut stream = asked(&listener, body.len());
            counted.fetch_add(1, Ordering::Relaxed);
            stream.write_all(body.as_bytes()).unwrap();
        }
    });
    (address, requests)
}

/// The next request, to which a body of this length is promised.
fn asked(listener: &TcpListener, length: usize) -> TcpStream {
    let (mut stream, _) = listener.accept().unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")
        .unwrap();
    stream
}

/// A page of a list.
fn page<S: AsRef<str>>(names: impl IntoIterator<Item = S>, more: bool) -> String {
    let objects = names.into_iter().map(|name| {
        let name = name.as_ref();
        format!("{{\"name\":\"{name}\",\"bytes\":null}}")
    });
    let objects = objects.collect::<Vec<_>>().join(",");
    format!("{{\"objects\":[{objects}],\"more\":{more}}}")
}

#[test]
fn pages_of_a_list_are_put_together_and_one_that_goes_in_a_circle_is_an_error() {
    let (first, second) = (page(["a", "b"], true), page(["c", "d"], false));
    let open = |bodies| Store::open(&format!("http://{}", liar(bodies)), Access::Read).unwrap();
    let listed = open(vec![first.clone(), second]).list("0011223344556677", 10).unwrap();
    let names: Vec<_> = listed.iter().map(|listed| &listed.name[17..]).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
    let circle = open(vec![first; 8]).list("0011223344556677", 10).unwrap_err();
    assert!(circle.to_string().contains("a list with a after b"), "{circle}");
    let longer = open(vec![page(["a", "b"], true), page(["c", "d"], true)]);
    let longer = longer.list("0011223344556677", 3).unwrap_err();
    assert!(matches!(longer, StoreError::TooMany { .. }), "{longer}");
}

/// Symptom: a node that told names without end kept whoever listed it for ever, and took all of its memory. Mechanism: what lies in
/// a folder was counted when every page was there; a page blocks, so the time limit of an attempt was never looked at; and a name
/// was as long as its page. Fix: no page is asked for beyond the limit, the time is looked at before each, and names are bounded.
#[test]
fn a_list_without_end_ends_at_its_limit_or_with_its_time() {
    const NETWORK: &str = "0011223344556677";
    const PAGES: usize = 2_000;
    let open = |api| Store::open(&format!("http://{api}"), Access::Read).unwrap();
    // All in one folder: however many there are, that is one entry.
    let endless = || {
        liar_that(|page_number| {
            let name = format!("tail/0011223344556677/{page_number:012}.ltal");
            Some(page([name], page_number < PAGES))
        })
    };
    let no_time = |api| open(api).with_attempt_time(Duration::ZERO);
    let (api, requests) = endless();
    let entries = no_time(api).entries(NETWORK, 10).unwrap_err();
    assert!(entries.to_string().contains("no answer in 0 s"), "{entries}");
    assert!(requests.load(Ordering::Relaxed) < PAGES);
    let (api, requests) = endless();
    let list = no_time(api).list(NETWORK, 10 * PAGES).unwrap_err();
    assert!(list.to_string().contains("no answer in 0 s"), "{list}");
    assert!(requests.load(Ordering::Relaxed) < PAGES);

    for entries_max in [10, usize::MAX] {
        let (api, requests) = liar_that(|page_number| {
            let names = (0..1_000).map(|name| format!("{page_number:06}-{name:06}"));
            Some(page(names, page_number < 20))
        });
        let wide = open(api).entries(NETWORK, entries_max).unwrap_err();
        assert!(matches!(wide, StoreError::TooMany { .. }), "{wide}");
        assert_eq!(requests.load(Ordering::Relaxed), 5, "no folder has as many as 5,000");
    }

    let named = |length| liar(vec![page(["x".repeat(length)], false); 4]);
    assert_eq!(open(named(128)).list(NETWORK, 10).unwrap().len(), 1);
    let long = open(named(129)).list(NETWORK, 10).unwrap_err();
    assert!(long.to_string().contains("a name of 129 bytes"), "{long}");
}

/// Symptom: a node could make whoever wanted 100 bytes of an object read and hold as many as it liked. Mechanism: it was asked for
/// a part, answers with the whole, and what came was counted after. Fix: another part than was asked for is refused before.
#[test]
fn a_part_of_an_object_that_a_node_answers_with_the_whole_is_not_read() {
    const WHOLE_BYTES: usize = 64 << 20;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = listener.local_addr().unwrap();
    let most = Arc::new(AtomicU64::new(0));
    let taken_most = Arc::clone(&most);
    thread::spawn(move || {
        let chunk = vec![0; 64 << 10];
        loop {
            let mut stream = asked(&listener, WHOLE_BYTES);
            let mut chunks = 0..WHOLE_BYTES / chunk.len();
            let taken = chunks.position(|_| stream.write_all(&chunk).is_err());
            let taken = taken.map_or(WHOLE_BYTES, |chunks| chunks * chunk.len());
            taken_most.fetch_max(taken as u64, Ordering::Relaxed);
        }
    });
    let open = |api| Store::open(&format!("http://{api}"), Access::Read).unwrap();
    let error = open(api).range("0011223344556677/proofs/any", 0..100).unwrap_err();
    assert!(error.to_string().contains("0..100 were asked for"), "{error}");
    // Some of it lies in the system's buffers, unread.
    assert!(most.load(Ordering::Relaxed) < WHOLE_BYTES as u64);
    // The whole is a part too.
    let whole = open(liar(vec!["whole".to_owned()])).range("0011223344556677/any", 0..5).unwrap();
    assert_eq!(whole.unwrap(), b"whole");
}

#[test]
fn a_node_s_archive_is_only_read() {
    let error = Store::open("http://127.0.0.1:1", Access::Write).unwrap_err();
    assert!(error.to_string().contains("only read"), "{error}");
    let nobody = Store::open("http://127.0.0.1:1", Access::Read).unwrap();
    let error = Remote::find(nobody, None).unwrap_err();
    let is_transport = matches!(&error, ShippingError::Store(error) if error.is_transport());
    assert!(is_transport, "{error}");
}
