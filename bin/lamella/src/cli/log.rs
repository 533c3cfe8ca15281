//! The log: lines wait in a bounded queue, and a thread of its own writes them to stderr.
//!
//! Whoever reads the log may stop reading, go away, or be a disk without room. None of that may hold the consensus up or
//! end it, so whoever logs never writes and never waits: what does not fit or cannot be written is lost and counted, and the
//! log says how much was lost as soon as it can be written again.
//!
//! Own code, since `tracing-appender` counts no line that could not be written and prints to stdout when it ends late.

use std::{
    collections::VecDeque,
    io::{self, IsTerminal, Write},
    panic,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tracing::error;
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        format::Writer,
        time::{FormatTime, SystemTime},
    },
};

/// Bytes of lines that wait: some 10,000 lines, an hour of a healthy node.
const WAITING_BYTES_MAX: usize = 4 << 20;

/// How long the end of the process waits for its last lines to be read.
const END_WAIT: Duration = Duration::from_secs(1);

/// Lines between those who log and the one thread that writes.
#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    /// Lines that were lost, told of or not.
    lost_lines: Arc<AtomicU64>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of `lines`.
    bytes: usize,
    /// Lines that were lost and not yet told of.
    lost: u64,
    is_writing: bool,
}

/// Logging, until it is dropped: then the last lines are waited for, not for long.
#[derive(Debug)]
pub(super) struct Log(Arc<Queue>);

impl Log {
    /// Sends the log of this process to stderr, and its panics to the log.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start() -> io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let source = Arc::clone(&queue);
        let writer = move || source.write_all_to(&mut io::stderr());
        thread::Builder::new().name("log".into()).spawn(writer)?;
        let sink = Arc::clone(&queue);
        let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        // A second subscriber can only mean that this process logs already.
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter())
            .with_writer(move || Sink(Arc::clone(&sink)))
            // It would tell of them on stderr, and panic where that cannot be written.
            .log_internal_errors(false)
            .with_ansi(colour)
            .try_init();
        // The default writes to stderr at once, and so waits for whoever does not read it.
        panic::set_hook(Box::new(|panic| {
            let thread = thread::current();
            let backtrace = std::backtrace::Backtrace::capture();
            error!(thread = thread.name(), %backtrace, "{panic}");
        }));
        Ok(Self(queue))
    }
}

impl Log {
    /// How many lines were lost since the start, as long as it runs.
    pub(super) fn lost_lines(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.0.lost_lines)
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.wait_until_written(END_WAIT);
    }
}

fn filter() -> EnvFilter {
    // The engine and libp2p tell of files and addresses at the level at which we tell of blocks.
    let default = || {
        EnvFilter::new(format!(
            "info,{}=warn,libp2p=warn,libp2p_swarm=warn",
            lamella_tables::LOG_TARGET
        ))
    };
    EnvFilter::try_from_default_env().unwrap_or_else(|_| default())
}

/// Writes the last line of a command to stderr, and waits for it no longer than for the log.
pub(super) fn last_line(line: String) {
    let (done, written) = mpsc::channel();
    let write = move || {
        // Without a stderr there is nobody to tell.
        let _ = writeln!(io::stderr(), "{line}");
        let _ = done.send(());
    };
    if thread::Builder::new().spawn(write).is_ok() {
        let _ = written.recv_timeout(END_WAIT);
    }
}

impl Queue {
    /// Takes a line, or counts it as lost.
    fn push(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + line.len() > WAITING_BYTES_MAX {
            waiting.lost += 1;
            self.lost_lines.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        self.changed.notify_all();
    }

    fn next(&self) -> Vec<u8> {
        let mut waiting = self.waiting.lock();
        loop {
            if let Some(line) = waiting.lines.pop_front() {
                waiting.bytes -= line.len();
                waiting.is_writing = true;
                return line;
            }
            waiting.is_writing = false;
            self.changed.notify_all();
            self.changed.wait(&mut waiting);
        }
    }

    /// Writes lines as they come, for ever.
    fn write_all_to(&self, out: &mut impl Write) {
        loop {
            let line = self.next();
            self.write(&line, out);
        }
    }

    /// Writes a line, and before it how many were lost.
    fn write(&self, line: &[u8], out: &mut impl Write) {
        let lost = self.waiting.lock().lost;
        if lost > 0 && out.write_all(lost_notice(lost).as_bytes()).is_ok() {
            self.waiting.lock().lost -= lost;
        }
        if out.write_all(line).is_err() {
            self.waiting.lock().lost += 1;
            self.lost_lines.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn wait_until_written(&self, at_most: Duration) {
        let ends = Instant::now() + at_most;
        let mut waiting = self.waiting.lock();
        while waiting.is_writing || !waiting.lines.is_empty() {
            if self.changed.wait_until(&mut waiting, ends).timed_out() {
                return;
            }
        }
    }
}

fn lost_notice(lost: u64) -> String {
    let mut time = String::new();
    // A line without its time is a line.
    let _ = SystemTime.format_time(&mut Writer::new(&mut time));
    // The last line may have been cut short.
    format!(
        "\n{time}  WARN lamella::log: Lines of this log are lost: nobody read them, or they could not be written lines={lost}\n"
    )
}

/// One line on its way.
struct Sink(Arc<Queue>);

impl Write for Sink {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that has room or has not.
    #[derive(Default)]
    struct Disk {
        has_room: bool,
        written: Vec<u8>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if !self.has_room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.written.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_nobody_reads_are_lost_and_told_of_when_somebody_does() {
        let queue = Queue::default();
        let line = [b'x'; 1 << 20];
        // Four fit, whoever logs never waits, and the disk that is full takes none of three.
        (0..9).for_each(|_| queue.push(&line));
        let mut disk = Disk::default();
        (0..3).for_each(|_| queue.write(&queue.next(), &mut disk));
        disk.has_room = true;
        queue.write(&queue.next(), &mut disk);
        let text = String::from_utf8(disk.written).unwrap();
        let (notice, last) = text.split_at(text.find('x').unwrap());
        assert!(notice.starts_with('\n') && notice.ends_with("lines=8\n"), "{notice}");
        assert_eq!(last.len(), line.len());
        assert_eq!(queue.lost_lines.load(Ordering::Relaxed), 8);
        queue.wait_until_written(Duration::ZERO);
        let mut quiet = Disk { has_room: true, ..Disk::default() };
        queue.push(b"after");
        queue.write(&queue.next(), &mut quiet);
        assert_eq!(quiet.written, b"after");
    }

    #[test]
    fn the_end_of_the_process_waits_for_the_last_lines_but_not_for_long() {
        let queue = Arc::new(Queue::default());
        queue.push(b"never written");
        queue.wait_until_written(Duration::from_millis(1));
        let writer = Arc::clone(&queue);
        thread::spawn(move || writer.write_all_to(&mut io::sink()));
        queue.wait_until_written(Duration::from_secs(3_600));
        assert!(queue.waiting.lock().lines.is_empty());
    }
}
