//! A replica: `lamella follow` in a process of its own, and an ear at its API.

use std::{
    env,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use lamella::follow::{self, FollowConfig, ReplicaConfig};
use lamella_chain::Settings;
use lamella_http_api::ServerConfig;
use lamella_interrupt::{Bell, Interrupt};
use lamella_types::{Slot, limits::SLOT_MS};
use lamella_xmss::scheme::SchemeName;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::PATIENCE;

/// Tells the child process what to follow, where to keep it, where to serve it, and whether it comes last.
const CHILD: [&str; 4] =
    ["LAMELLA_BENCH_FOLLOW", "LAMELLA_BENCH_DIR", "LAMELLA_BENCH_PORT", "LAMELLA_BENCH_LAST"];

/// Memory as a folder.
const MEMORY: &str = "/dev/shm";

/// Whether it may take the time of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// As this process, its directory where others are.
    Own,
    /// After everybody, its directory in memory.
    Last,
}

/// A block that a replica told of.
pub struct Heard {
    pub slot: Slot,
    pub at: Instant,
}

/// A replica, until this is dropped.
pub struct Replica {
    pub heard: Receiver<Heard>,
    child: Child,
    _directory: TempDir,
}

impl Replica {
    /// One of this source, which is reached by these settings.
    pub fn start(source: &str, priority: Priority, settings: &[(&str, &str)]) -> Self {
        let in_memory = priority == Priority::Last && Path::new(MEMORY).exists();
        let parent = if in_memory { PathBuf::from(MEMORY) } else { env::temp_dir() };
        let directory = TempDir::new_in(parent).unwrap();
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let mut command = Command::new(env::current_exe().unwrap());
        command.env(CHILD[0], source).env(CHILD[1], directory.path());
        command.env(CHILD[2], port.to_string());
        command.envs(settings.iter().map(|(name, value)| (name.to_uppercase(), value)));
        if priority == Priority::Last {
            command.env(CHILD[3], "1");
        }
        let child = command.stdin(Stdio::piped()).spawn().unwrap();
        let (sender, heard) = channel();
        let stream = connect(port);
        thread::spawn(move || {
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                let at = Instant::now();
                let Some(data) = line.strip_prefix("data: ") else { continue };
                let data: serde_json::Value = serde_json::from_str(data).unwrap();
                let slot = data["slot"].as_u64().unwrap();
                if sender.send(Heard { slot, at }).is_err() {
                    return;
                }
            }
        });
        Self { heard, child, _directory: directory }
    }

    /// Lets it stand still, or go on.
    pub fn send(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The stream of blocks of the replica at a port, once it serves.
fn connect(port: u16) -> TcpStream {
    let began = Instant::now();
    loop {
        if let Ok(mut stream) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) {
            let path = "/lean/v0/events?topics=block";
            write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
            return stream;
        }
        assert!(began.elapsed() < PATIENCE, "a replica does not serve");
        thread::sleep(std::time::Duration::from_millis(20));
    }
}

/// Whether this process is one of them.
pub fn is_child() -> bool {
    env::var_os(CHILD[0]).is_some()
}

/// Follows until the process that started it is gone.
pub fn run() {
    let [source, directory, port] =
        [CHILD[0], CHILD[1], CHILD[2]].map(|name| env::var(name).unwrap());
    if env::var_os(CHILD[3]).is_some() {
        be_last();
    }
    thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let config = FollowConfig {
        replica: ReplicaConfig {
            source,
            network: None,
            trusted: None,
            data_dir: directory.into(),
            slot_ms: SLOT_MS,
            proof_scheme: SchemeName::Trust,
            settings: Settings::default(),
        },
        api: ServerConfig::new(Ipv4Addr::LOCALHOST.into(), port.parse().unwrap(), None),
        lag_slots_max: u64::MAX,
        rebuild: false,
    };
    follow::run(&config, &Interrupt::default(), &Bell::default()).unwrap();
}

/// The lowest priority.
pub fn be_last() {
    const NICE: i32 = 19;
    rustix::process::nice(NICE).unwrap();
}
