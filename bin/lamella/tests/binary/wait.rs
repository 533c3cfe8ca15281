//! Waiting for processes, so that a test of one that hangs fails instead of hanging too.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Longest wait for anything; a healthy run on an idle machine needs a tenth of it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);

/// Asks again until there is an answer.
pub(crate) fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "never: {what}");
        thread::sleep(LOOK_INTERVAL);
    }
}

/// What a process writes, line by line.
pub(crate) struct Lines(Receiver<String>);

impl Lines {
    pub(crate) fn of(source: impl Read + Send + 'static) -> Self {
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(source).split(b'\n').map_while(Result::ok);
            for line in lines {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
            }
        });
        Self(lines)
    }

    /// The next line; `None` at the end.
    pub(crate) fn next_before(&self, deadline: Instant) -> Option<String> {
        match self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line nor the end"),
        }
    }

    /// All that are left.
    pub(crate) fn rest(&self) -> Vec<String> {
        let deadline = Instant::now() + PATIENCE;
        std::iter::from_fn(|| self.next_before(deadline)).collect()
    }
}

/// Runs a command that ends by itself.
pub(crate) fn output(command: &mut Command) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    let (stdout, stderr) = (process.stdout.take().unwrap(), process.stderr.take().unwrap());
    let [stdout, stderr] =
        [Box::new(stdout) as Box<dyn Read + Send>, Box::new(stderr)].map(Lines::of);
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = process.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            process.kill().unwrap();
            process.wait().unwrap();
            panic!("never ended: {command:?}: {}", stderr.rest().join("\n"));
        }
        thread::sleep(LOOK_INTERVAL);
    };
    let [stdout, stderr] = [stdout, stderr].map(|lines| {
        let lines = lines.rest().into_iter().map(|line| line + "\n");
        lines.collect::<String>().into_bytes()
    });
    Output { status, stdout, stderr }
}

/// Kills that must land before the end, and what one may take of them: each that came too late shortens the wait.
const KILLS: u32 = 24;
const RUNS_MAX: u32 = 400;

/// Kills a command at one instant after the other; `ended` follows each run that ended before its kill.
pub(crate) fn kill_again_and_again(command: &mut Command, mut ended: impl FnMut(ExitStatus)) {
    let (mut killed, mut begun, mut unit) = (0, 0, Duration::from_millis(8));
    command.stdout(Stdio::null()).stderr(Stdio::null());
    while killed < KILLS {
        assert!(begun < RUNS_MAX, "{killed} killed of {begun}");
        let mut process = command.spawn().unwrap();
        thread::sleep(unit * (begun % 8));
        process.kill().unwrap();
        begun += 1;
        let status = process.wait().unwrap();
        if status.code().is_none() {
            killed += 1;
        } else {
            ended(status);
            unit = unit * 3 / 4;
        }
    }
}
