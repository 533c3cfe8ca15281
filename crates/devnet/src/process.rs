//! A node as a child process.
//!
//! The hard idea: a child must not outlive this process however that ends, SIGKILL included. So each child holds the
//! read end of a pipe as its standard input and stops when that closes (`lamella node --exit-with-parent`): closing
//! our end is both the way to stop a node and what the system does for us when we are gone. No signal has to be sent,
//! and a child in a process group of its own gets none from the terminal, so the order of stopping is ours.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use lamella_network_dir::genesis::NodePorts;

/// Time for a node to finish the import under way and close its database; then it is killed, which loses nothing.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// Time between two looks at a child that is to end. The system offers no wait with a deadline.
const LOOK_INTERVAL: Duration = Duration::from_millis(10);

/// Bytes at the end of a log that are searched for its last lines.
const TAIL_BYTES: u64 = 16 << 10;

/// How to start a node.
#[derive(Debug, Clone)]
pub struct NodeCommand {
    /// The `lamella` binary.
    pub program: PathBuf,
    /// Folder of the network's files.
    pub network_dir: PathBuf,
    /// Name of the node in the network.
    pub node_id: String,
    /// Folder of its data.
    pub data_dir: PathBuf,
    /// File its log is added to.
    pub log: PathBuf,
    /// Milliseconds of a slot.
    pub slot_ms: u64,
    /// Its ports, on the loopback address; the API's has the metrics too.
    pub ports: NodePorts,
    /// What its environment has that this process's has not, such as `RUST_LOG`.
    pub environment: Vec<(String, String)>,
    /// Flags beyond these.
    pub flags: Vec<String>,
}

/// A running node. Dropping it stops it.
#[derive(Debug)]
pub struct NodeProcess {
    command: NodeCommand,
    child: Child,
    /// Where this run's lines begin in the log.
    log_start: u64,
}

/// How a node ended that was told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// By itself, with this status.
    Exited(ExitStatus),
    /// It did not end within [`STOP_GRACE`] and was killed.
    Killed,
}

impl NodeProcess {
    /// Starts a node.
    ///
    /// # Errors
    /// The log cannot be written, or the system refuses the process.
    pub fn start(command: NodeCommand) -> io::Result<Self> {
        if let Some(folder) = command.log.parent() {
            fs::create_dir_all(folder)?;
        }
        let log_start = open_log(&command)?.metadata()?.len();
        let child = spawn(&command)?;
        Ok(Self { command, child, log_start })
    }

    /// Starts it again after its end. What it logged before belongs to this run, too.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> io::Result<()> {
        self.child = spawn(&self.command)?;
        Ok(())
    }

    /// How it was started.
    #[must_use]
    pub const fn command(&self) -> &NodeCommand {
        &self.command
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it did.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Tells it to stop, without waiting for it.
    pub fn begin_stop(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Stops it and waits until it is gone.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn stop(&mut self) -> io::Result<Stopped> {
        self.begin_stop();
        let deadline = Instant::now() + STOP_GRACE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(Stopped::Exited(status));
            }
            thread::sleep(LOOK_INTERVAL);
        }
        self.kill()?;
        Ok(Stopped::Killed)
    }

    /// Kills it (SIGKILL) and waits until it is gone.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// What it logged in this run.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn logged(&self) -> io::Result<String> {
        read_from(&self.command.log, self.log_start)
    }

    /// The last lines it logged in this run.
    #[must_use]
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let end = fs::metadata(&self.command.log).map_or(0, |log| log.len());
        let start = self.log_start.max(end.saturating_sub(TAIL_BYTES));
        let text = read_from(&self.command.log, start).unwrap_or_default();
        let lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines[lines.len().saturating_sub(count)..].to_vec()
    }
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        // Nobody is left to tell; a child that goes on regardless would be worse than one that is killed.
        if !matches!(self.child.try_wait(), Ok(Some(_))) && self.stop().is_err() {
            let _ = self.child.kill();
        }
    }
}

fn open_log(command: &NodeCommand) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(&command.log)
}

fn spawn(command: &NodeCommand) -> io::Result<Child> {
    let slot_ms = command.slot_ms.to_string();
    let [api_port, quic_port] = [command.ports.api, command.ports.quic].map(|p| p.to_string());
    Command::new(&command.program)
        .arg("node")
        .arg("--network-dir")
        .arg(&command.network_dir)
        .args(["--node-id", &command.node_id])
        .arg("--data-dir")
        .arg(&command.data_dir)
        .args(["--slot-ms", &slot_ms, "--api-port", &api_port, "--metrics-port", &api_port])
        .args(["--gossipsub-port", &quic_port, "--gossipsub-address", "127.0.0.1"])
        .arg("--exit-with-parent")
        .args(&command.flags)
        .envs(command.environment.iter().map(|(name, value)| (name, value)))
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(open_log(command)?)
        .process_group(0)
        .spawn()
}

fn read_from(path: &Path, start: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
