//! A second implementation of S3, in Python: `moto`, which `.ci/deps test` installs where pip can.

use std::{
    env,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lamella_shipping::{ShippingError, remote::Remote, verifier::verify};

use crate::{
    grown::{SMALL_CHAIN, SMALL_SEGMENTS, go_on, ship},
    s3::{BREAKS, BUCKET, Break, impatient, lives, proxy, store},
};

/// Where `.ci/deps test` puts it, and where it may be otherwise.
const PYTHONS: [&str; 3] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/moto/bin/python"),
    "python3",
    "/usr/bin/python3",
];

/// Longer than a start of it takes on a busy machine.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// One request in so many is broken: it answers a tenth as fast as the server in this process.
const BROKEN_EVERY: usize = 5;

/// A server with one bucket, killed in the end.
struct Moto {
    child: Child,
    address: SocketAddr,
}

impl Drop for Moto {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Moto {
    /// `None`, and a line that says so, where no Python has it.
    fn start() -> Option<Self> {
        let has_module = |python: &&str| {
            let run = Command::new(python).args(["-c", "import moto.server"]).output();
            run.is_ok_and(|run| run.status.success())
        };
        let Some(python) = PYTHONS.into_iter().find(has_module) else {
            assert!(
                env::var_os("CI").is_none(),
                "no python3 with the module moto.server: sh .ci/deps test"
            );
            let text =
                "skipped: no python3 with the module moto.server (pip install 'moto[server]')";
            // Not `println`: the runner would keep it to itself.
            writeln!(std::io::stdout().lock(), "{text}").unwrap();
            return None;
        };
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let port = address.port().to_string();
        let mut command = Command::new(python);
        command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &port]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let moto = Self { child, address };
        let begun = Instant::now();
        while !moto.makes_bucket() {
            assert!(begun.elapsed() < START_TIME_MAX, "{python} -m moto.server does not answer");
            thread::sleep(Duration::from_millis(50));
        }
        Some(moto)
    }

    fn makes_bucket(&self) -> bool {
        let ask = || -> std::io::Result<String> {
            let (mut stream, mut answer) = (TcpStream::connect(self.address)?, String::new());
            let host = self.address;
            write!(
                stream,
                "PUT /{BUCKET} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )?;
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
    }
}

#[test]
fn an_archive_lives_in_a_bucket_of_another_implementation_too() {
    let Some(moto) = Moto::start() else { return };
    lives(moto.address);
    for how in BREAKS {
        for broken in (0..).step_by(BROKEN_EVERY) {
            let prefix = format!("{how:?}");
            let (endpoint, requests) = proxy(moto.address, broken as u64, how);
            match ship(&SMALL_CHAIN.chain, impatient(endpoint, &prefix)) {
                Ok((_, shipment)) => assert_eq!(shipment.segments, SMALL_SEGMENTS),
                Err(ShippingError::Store(_)) => {}
                Err(ShippingError::Missing { .. }) if how == Break::Conflict => {}
                Err(other) => panic!("{how:?} of request {broken}: {other}"),
            }
            if requests.load(std::sync::atomic::Ordering::Relaxed) <= broken as u64 {
                break;
            }
        }
        let prefix = format!("{how:?}");
        ship(&SMALL_CHAIN.chain, store(moto.address, &prefix)).unwrap();
        let remote = Remote::find(store(moto.address, &prefix), None).unwrap();
        let verified = verify(&remote, None, true, &mut go_on).unwrap();
        assert_eq!(verified.segments, SMALL_SEGMENTS, "{how:?}");
    }
}
