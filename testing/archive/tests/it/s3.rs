//! A real S3 endpoint over HTTP, in this process, and between it and us a proxy that breaks one request in a given way.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use lamella_shipping::{
    ShippingError,
    remote::Remote,
    restorer::Target,
    store::Store,
    verifier::{Depth, Verify, verify},
};
use lamella_types::Root;
use s3s::auth::SimpleAuth;
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub use crate::server::{BUCKET, settings};
use crate::{
    grown::{SMALL_CHAIN, SMALL_SEGMENTS, go_on, restore, rows, ship},
    proofs::ship as ship_proofs,
    server::{access, serve},
    world::{Outcome, Reader, Writer, assert_equal},
};

/// A server of S3 with one bucket.
pub struct Server {
    pub address: SocketAddr,
    _folder: TempDir,
    _runtime: Runtime,
}

impl Server {
    pub fn start() -> Self {
        Self::with_access(Some(access()))
    }

    /// One that takes requests without a signature, which a proxy may change.
    fn open_to_all() -> Self {
        Self::with_access(None)
    }

    fn with_access(access: Option<SimpleAuth>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (address, runtime) = serve(folder.path(), access);
        Self { address, _folder: folder, _runtime: runtime }
    }
}

/// The archive's store, at an endpoint.
pub fn store(endpoint: SocketAddr, prefix: &str) -> Store {
    let settings = settings(endpoint);
    let settings = settings.each_ref().map(|(name, value)| (*name, value.as_str()));
    Store::in_bucket(&format!("s3://{BUCKET}/{prefix}"), &settings).unwrap()
}

/// What is done to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Break {
    /// 500, without an effect.
    Error,
    /// 503, without an effect.
    Busy,
    /// The connection is reset before the server hears of it.
    ResetBefore,
    /// The server does it, and the answer is lost.
    ResetAfter,
    /// Half of the answer comes.
    Cut,
    /// The server does it twice, and the second answer comes.
    Twice,
    /// 409, without an effect: another put of the same name was under way.
    Conflict,
    /// Nothing comes for as long as the client waits.
    Stall,
}

pub const BREAKS: [Break; 8] = [
    Break::Error,
    Break::Busy,
    Break::ResetBefore,
    Break::ResetAfter,
    Break::Cut,
    Break::Twice,
    Break::Conflict,
    Break::Stall,
];

/// Longest that an attempt takes here: no answer takes as long, but for those that never come.
const ATTEMPT_TIME: Duration = Duration::from_millis(500);

/// A store behind the proxy.
pub fn impatient(endpoint: SocketAddr, prefix: &str) -> Store {
    store(endpoint, prefix).with_attempt_time(ATTEMPT_TIME)
}

/// A proxy that breaks the request of this number. Its thread ends with the process.
pub fn proxy(server: SocketAddr, broken: u64, how: Break) -> (SocketAddr, Arc<AtomicU64>) {
    proxy_with(server, move |number, request| (request, (number == broken).then_some(how)))
}

/// A proxy that does this with each request, by number.
fn proxy_with(
    server: SocketAddr,
    change: impl Fn(u64, Vec<u8>) -> (Vec<u8>, Option<Break>) + Send + Sync + 'static,
) -> (SocketAddr, Arc<AtomicU64>) {
    let change = Arc::new(change);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let requests = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&requests);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (counted, change) = (Arc::clone(&counted), Arc::clone(&change));
            thread::spawn(move || {
                if let Some(request) = read_request(&stream) {
                    let number = counted.fetch_add(1, Ordering::Relaxed);
                    let (request, how) = change(number, request);
                    drop(answer(stream, server, &request, how));
                }
            });
        }
    });
    (address, requests)
}

/// A whole request; `None` if the client has closed.
fn read_request(mut stream: &TcpStream) -> Option<Vec<u8>> {
    let (mut request, mut chunk) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            let length = length.map_or(0, |length| length.trim().parse().unwrap());
            if request.len() >= end + 4 + length {
                return Some(request);
            }
        }
        match stream.read(&mut chunk).ok()? {
            0 => return None,
            count => request.extend_from_slice(&chunk[..count]),
        }
    }
}

/// Says in the head of a message that the connection ends with it.
fn closing(message: &[u8]) -> Vec<u8> {
    let line = message.windows(2).position(|two| two == b"\r\n").unwrap_or(message.len());
    [&message[..line], b"\r\nconnection: close", &message[line..]].concat()
}

fn answer(
    mut client: TcpStream,
    server: SocketAddr,
    request: &[u8],
    how: Option<Break>,
) -> std::io::Result<()> {
    let refused = match how {
        Some(Break::Error) => Some("500 Internal Server Error"),
        Some(Break::Busy) => Some("503 Slow Down"),
        Some(Break::Conflict) => Some("409 Conflict"),
        // It ends when the client gives the connection up.
        Some(Break::Stall) => return client.read_to_end(&mut Vec::new()).map(drop),
        Some(Break::ResetBefore) => return Ok(()),
        _ => None,
    };
    if let Some(status) = refused {
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return client.write_all(head.as_bytes());
    }
    let ask = || {
        let (mut server, mut response) = (TcpStream::connect(server)?, Vec::new());
        server.write_all(&closing(request))?;
        server.read_to_end(&mut response)?;
        std::io::Result::Ok(response)
    };
    let mut response = ask()?;
    match how {
        Some(Break::ResetAfter) => return Ok(()),
        Some(Break::Twice) => response = ask()?,
        Some(Break::Cut) => response.truncate(response.len() / 2),
        _ => {}
    }
    client.write_all(&if response.starts_with(b"HTTP/1.1") { closing(&response) } else { response })
}

/// An archive is shipped to a server, with proofs, verified, restored, and shipped once more.
pub fn lives(server: SocketAddr) {
    let store = || store(server, "a/prefix");
    let (remote, shipment) = ship(&SMALL_CHAIN.chain, store()).unwrap();
    assert_eq!((shipment.segments, shipment.put), (SMALL_SEGMENTS, SMALL_SEGMENTS));
    assert_eq!(remote.inventory().unwrap().segments().count() as u64, SMALL_SEGMENTS);
    assert_eq!(ship_proofs(&SMALL_CHAIN.chain, &remote, SMALL_SEGMENTS).put, SMALL_SEGMENTS);
    let remote = Remote::find(store(), None).unwrap();
    let root = shipment.frontier.unwrap().root;
    let verify = Verify { trusted: Some(root), depth: Depth::States, proofs: true };
    let verified = verify.run(&remote, &mut go_on).unwrap();
    assert_eq!((verified.segments, verified.is_trusted), (SMALL_SEGMENTS, true));
    assert!(verified.proofs > 100 && verified.without_proof == 0, "{verified:?}");
    let directory = tempfile::tempdir().unwrap();
    let database = directory.path().join("db");
    restore(&remote, &database, Target::Finalized).unwrap();
    assert!(rows(&database, u64::MAX) == SMALL_CHAIN.rows(SMALL_SEGMENTS * 1024 - 1));
    let (_, again) = ship(&SMALL_CHAIN.chain, store()).unwrap();
    assert_eq!((again.put, again.verified), (0, SMALL_SEGMENTS));
}

#[test]
fn an_archive_in_a_bucket_is_shipped_verified_and_restored_over_http() {
    lives(Server::start().address);
}

/// Each request that a shipment makes, broken in each way: it is shipped all the same, or fails by name and is shipped by the
/// next run; and what is there then is whole.
#[test]
fn whatever_breaks_a_request_over_http_the_archive_ends_whole() {
    for how in BREAKS {
        let server = Server::start();
        for broken in 0.. {
            let (endpoint, requests) = proxy(server.address, broken, how);
            match ship(&SMALL_CHAIN.chain, impatient(endpoint, "a/prefix")) {
                Ok((_, shipment)) => assert_eq!(shipment.segments, SMALL_SEGMENTS),
                Err(ShippingError::Store(_)) => {}
                // The other put did not come to its end.
                Err(ShippingError::Missing { .. }) if how == Break::Conflict => {}
                Err(other) => panic!("{how:?} of request {broken}: {other}"),
            }
            if requests.load(Ordering::Relaxed) <= broken {
                assert!(broken > 6, "{broken} requests");
                break;
            }
        }
        let (_, shipment) = ship(&SMALL_CHAIN.chain, store(server.address, "a/prefix")).unwrap();
        assert_eq!(shipment.segments, SMALL_SEGMENTS);
        let remote = Remote::find(store(server.address, "a/prefix"), None).unwrap();
        let verified = verify(&remote, None, true, &mut go_on).unwrap();
        assert_eq!(verified.segments, SMALL_SEGMENTS, "{how:?}");
    }
}

/// A bucket with the small chain's segments and its tail, and the root that proves them.
fn followed(server: &Server) -> (Writer, Root) {
    let open = || store(server.address, "a/prefix");
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    writer.import(&SMALL_CHAIN, SMALL_CHAIN.blocks.len());
    writer.ship(&open).unwrap();
    let remote = Remote::find(open(), None).unwrap();
    let verified = verify(&remote, None, false, &mut go_on).unwrap();
    (writer, verified.root.root)
}

/// One request of each reader, broken in each way: it is asked again, and what is read is right.
#[test]
fn whatever_breaks_a_request_over_http_who_reads_comes_to_the_right_end() {
    let server = Server::start();
    let (writer, root) = followed(&server);
    for (at, how) in (0..).zip(BREAKS) {
        for broken in [at, at + 3] {
            let (endpoint, requests) = proxy(server.address, broken, how);
            let remote = Remote::find(impatient(endpoint, "a/prefix"), None).unwrap();
            let verified = verify(&remote, Some(root), false, &mut go_on).unwrap();
            assert_eq!(verified.segments, SMALL_SEGMENTS, "{how:?} of request {broken}");
            assert!(requests.load(Ordering::Relaxed) > broken, "{broken}");
        }
        let (endpoint, _) = proxy(server.address, at + 4, how);
        let remote = Remote::of(impatient(endpoint, "a/prefix"), SMALL_CHAIN.network());
        let directory = tempfile::tempdir().unwrap();
        let database = directory.path().join("db");
        restore(&remote, &database, Target::Finalized).unwrap();
        assert!(
            rows(&database, u64::MAX) == SMALL_CHAIN.rows(SMALL_SEGMENTS * 1024 - 1),
            "{how:?}"
        );
        let (endpoint, _) = proxy(server.address, at + 12, how);
        let mut reader = Reader::new();
        let outcome = reader.follow_quickly(&|| impatient(endpoint, "a/prefix"));
        assert_eq!(outcome, Outcome::Tail, "{how:?}");
        assert_equal(&reader, &writer, &format!("{how:?}"));
    }
}

/// A store may answer a list in pages of any length.
#[test]
fn lists_in_pages_of_one_key_are_lists() {
    let server = Server::open_to_all();
    let pages = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&pages);
    let (endpoint, _) = proxy_with(server.address, move |_, request| {
        let text = String::from_utf8_lossy(&request);
        if !text.contains("list-type=2") {
            return (request, None);
        }
        counted.fetch_add(1, Ordering::Relaxed);
        (text.replacen("list-type=2", "list-type=2&max-keys=1", 1).into_bytes(), None)
    });
    let unsigned = |endpoint: SocketAddr| {
        let endpoint = format!("http://{endpoint}");
        let settings = [
            ("aws_endpoint", endpoint.as_str()),
            ("aws_region", "us-east-1"),
            ("aws_skip_signature", "true"),
        ];
        Store::in_bucket(&format!("s3://{BUCKET}/a/prefix"), &settings).unwrap()
    };
    let (whole, paged) = (|| unsigned(server.address), || unsigned(endpoint));
    let mut writer = Writer::new(&SMALL_CHAIN, 1);
    for _ in 0..4 {
        writer.import(&SMALL_CHAIN, SMALL_CHAIN.blocks.len() / 3);
        writer.ship(&paged).unwrap();
    }
    let list = |store| Remote::find(store, None).unwrap().inventory_with_tails().unwrap();
    let (one, other) = (list(whole()), list(paged()));
    assert!(one.objects.keys().eq(other.objects.keys()) && one.objects.len() > 8);
    assert!(pages.load(Ordering::Relaxed) > one.objects.len() as u64);
    let remote = Remote::find(paged(), None).unwrap();
    let verified = verify(&remote, None, true, &mut go_on).unwrap();
    assert_eq!((verified.segments, verified.unknown), (SMALL_SEGMENTS, 0));
    let mut reader = Reader::new();
    assert_eq!(reader.follow_quickly(&paged), Outcome::Tail);
    assert_equal(&reader, &writer, "in pages of one key");
}
