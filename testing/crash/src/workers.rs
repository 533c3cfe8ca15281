//! Processes that judge images, one for each of our threads, each with a time limit.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::Duration,
};

use crate::judge::{Request, Subject, Verdict};

/// Longest time for one image. A healthy one takes some hundredths of a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// A process that judges.
pub struct Worker {
    program: PathBuf,
    subject: Subject,
    running: Option<Running>,
}

struct Running {
    child: Child,
    requests: ChildStdin,
    answers: Receiver<String>,
}

impl Worker {
    /// A worker of this program, for this subject.
    #[must_use]
    pub fn new(program: &Path, subject: Subject) -> Self {
        Self { program: program.to_owned(), subject, running: None }
    }

    /// Judges an image. A process that died or hangs is a finding, and the next image gets another.
    pub fn judge(&mut self, request: &Request) -> Verdict {
        let running = self.running.get_or_insert_with(|| start(&self.program, &self.subject));
        let line = serde_json::to_string(request).unwrap();
        let _ = writeln!(running.requests, "{line}");
        let answer = running.answers.recv_timeout(PATIENCE);
        let error = match answer {
            Ok(answer) => return serde_json::from_str(&answer).unwrap(),
            Err(RecvTimeoutError::Timeout) => format!("no end within {PATIENCE:?}"),
            Err(RecvTimeoutError::Disconnected) => "the process ended".to_owned(),
        };
        let mut dead = self.running.take().unwrap();
        let _ = dead.child.kill();
        let status = dead.child.wait().unwrap();
        Verdict { error: Some(format!("{error}: {status}")), ..Verdict::default() }
    }
}

fn start(program: &Path, subject: &Subject) -> Running {
    let mut child = Command::new(program)
        .arg("judge")
        .arg(serde_json::to_string(subject).unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (requests, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (sender, answers) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    Running { child, requests, answers }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(mut running) = self.running.take() {
            drop(running.requests);
            let _ = running.child.wait();
        }
    }
}
