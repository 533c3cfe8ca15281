//! Hearing that a node has something new: its server-sent events ring a bell, and say nothing else.
//!
//! What an event says is not believed and not even read. A stream that breaks costs time and nothing else: objects are looked
//! for a few times a slot anyway.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    thread,
    time::Duration,
};

use lamella_interrupt::{Bell, Interrupt};
use tracing::debug;
use ureq::Agent;

/// Where a node tells what happens.
const EVENTS_PATH: &str = "/lean/v0/events?topics=block";

/// Time for name, connection and the head of the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest silence of a stream: a node shows each 15 s that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Wait before a stream is asked for again.
const PAUSE: Duration = Duration::from_secs(2);

/// Longest line of an event that is read: a slot and a root.
const LINE_BYTES_MAX: u64 = 4_096;

/// Rings the bell whenever the node at this address says that it imported something, on a thread that ends with the process
/// or when it is stopped. A source of another kind tells nobody.
pub(super) fn listen(source: &str, bell: Bell, stop: Interrupt) {
    let is_node = source.starts_with("http://") || source.starts_with("https://");
    let base = source.trim_end_matches('/');
    if !is_node || base.split_once("://").is_some_and(|(_, rest)| rest.contains('/')) {
        return;
    }
    let url = format!("{base}{EVENTS_PATH}");
    let hear = move || {
        let config = Agent::config_builder()
            .timeout_connect(Some(ANSWER_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(SILENCE_MAX))
            .proxy(None)
            .build();
        let agent = config.new_agent();
        while !stop.is_triggered() {
            if let Err(error) = hear(&agent, &url, &bell) {
                debug!(%error, url, "Not hearing");
            }
            if stop.pause(PAUSE) {
                return;
            }
        }
    };
    // Without the thread it is as deaf as for a folder.
    drop(thread::Builder::new().name("ear".to_owned()).spawn(hear));
}

fn hear(agent: &Agent, url: &str, bell: &Bell) -> Result<(), ureq::Error> {
    let body = agent.get(url).call()?.into_body();
    let mut lines = BufReader::new(body.into_reader());
    loop {
        let mut line = Vec::new();
        let read = lines.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        if line.starts_with(b"event:") {
            bell.ring();
        }
    }
}
