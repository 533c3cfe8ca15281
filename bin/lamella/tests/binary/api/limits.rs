//! What many, slow and late clients cannot do.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use lamella_http_api::{Limits, ServeError, ServerConfig, serve};

use super::support::{Node, any_port, get, get_as, send, wait_until};

#[test]
fn a_read_that_gets_no_turn_is_told_to_come_back() {
    let (node, _) = Node::with_chain();
    let read_wait = Duration::from_millis(1);
    let limits = Limits { reads: 0, read_wait, ..Limits::default() };
    let server = serve(&any_port(None), node.context(limits)).unwrap();
    for path in ["/lean/v0/states/head", "/lean/v0/blocks/3", "/lean/v0/fork_choice"] {
        let answer = get(server.api_address(), path);
        assert_eq!(answer.refusal(), (503, "busy".to_owned()), "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // What needs no read is not in anybody's way.
    assert_eq!(get(server.api_address(), "/lean/v0/health").status, 200);
    assert!(get(server.api_address(), "/metrics").text().contains("refused_reads_total 3\n"));
}

/// Symptom: nothing ended a read of the API, so on a disk that hangs each kept pages from being reused for as long as it took.
/// Mechanism: the answers were bounded in what they read, and only the wait for a turn in time. Fix: a snapshot is read for
/// so long and then gives up, which is said.
#[test]
fn a_read_that_takes_too_long_is_given_up_and_holds_nothing() {
    let (node, _) = Node::with_chain();
    let limits = Limits { read_time: Duration::ZERO, ..Limits::default() };
    let server = serve(&any_port(None), node.context(limits)).unwrap();
    for path in [
        "states/head",
        "states/2",
        "states/3/change",
        "blocks/3",
        "headers/3",
        "tree/0",
        "participation/1",
    ] {
        let answer = get(server.api_address(), &format!("/lean/v0/{path}"));
        assert_eq!(answer.refusal(), (503, "too_long".to_owned()), "{path}");
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    assert_eq!(node.chain.database().stats().unwrap().open_reads, 0);
    // What was published needs no read; the store is as good as before.
    assert_eq!(get(server.api_address(), "/lean/v0/health").status, 200);
    let server = serve(&any_port(None), node.context(Limits::default())).unwrap();
    assert_eq!(get(server.api_address(), "/lean/v0/states/2").status, 200);
}

#[test]
fn answers_share_a_bounded_memory() {
    let node = Node::new(4096);
    let state_bytes = node.made.values().next().unwrap().state.len();
    let answer_bytes = state_bytes.next_multiple_of(1024);
    let limits = Limits { answer_bytes, loopback_part: 1, ..Limits::default() };
    let server = serve(&any_port(None), node.context(limits)).unwrap();
    for _ in 0..5 {
        let answer = get(server.api_address(), "/lean/v0/states/head");
        assert_eq!((answer.status, answer.body.len()), (200, state_bytes));
    }
    let json = get_as(server.api_address(), "/lean/v0/states/head", "application/json");
    assert_eq!(json.refusal(), (503, "busy".to_owned()), "it is twice as long");
}

/// Asks for a 460 KB state a hundred times and reads only the first answer's head: the rest does not fit the
/// sockets' buffers, so the server is stuck in the middle.
fn stuck_client(server: std::net::SocketAddr) -> TcpStream {
    let mut socket = send(server, "GET /lean/v0/states/head HTTP/1.1", "");
    for _ in 0..100 {
        write!(socket, "GET /lean/v0/states/head HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    }
    let mut head = [0; 15];
    socket.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    socket
}

#[test]
fn slow_clients_hold_neither_the_database_nor_each_other() {
    let mut node = Node::new(4096);
    node.extend(1);
    let server = node.serve();
    let stuck: Vec<_> = (0..20).map(|_| stuck_client(server.api_address())).collect();
    for slot in 2..6 {
        node.extend(slot);
        let answer = get(server.api_address(), "/lean/v0/states/head");
        assert_eq!(answer.body, node.made[&node.canonical(slot)].state);
    }
    wait_until("no transaction is left open", || {
        let stats = node.chain.database().stats().unwrap();
        stats.open_reads == 0 && stats.oldest_read == Duration::ZERO
    });
    drop(stuck);
}

#[test]
fn connections_are_bounded_and_the_next_one_waits_its_turn() {
    let node = Node::new(4);
    let limits = Limits { connections: 2, loopback_part: 1, ..Limits::default() };
    let server = serve(&any_port(None), node.context(limits)).unwrap();
    let health = "GET /lean/v0/health HTTP/1.1";
    let mut held: Vec<_> = (0..2).map(|_| send(server.api_address(), health, "")).collect();
    for socket in &mut held {
        socket.read_exact(&mut [0; 15]).unwrap();
    }
    let mut third = send(server.api_address(), health, "");
    third.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    assert!(third.read(&mut [0; 1]).is_err(), "both places are taken");
    drop(held.pop());
    third.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
    third.read_exact(&mut [0; 15]).unwrap();
}

/// Symptom: one program that asked for states and read nothing, 256 connections wide, took every place and all 128 MiB of
/// answers; nobody else was answered until it left.
/// Mechanism: only the sums were bounded. Fix: an address has a part of each.
#[test]
fn one_address_holds_neither_all_connections_nor_all_answers_nor_all_streams() {
    let mut node = Node::new(4096);
    node.extend(1);
    let state_bytes = node.made[&node.canonical(1)].state.len();
    let limits = Limits {
        connections: 32,
        event_streams: 4,
        answer_bytes: 4 * state_bytes.next_multiple_of(1024),
        ..Limits::default()
    };
    let server = serve(&any_port(None), node.context(limits)).unwrap();
    let address = server.api_address();
    // As much of the memory as one address may have, in answers that nobody reads.
    let mut stuck = vec![stuck_client(address), stuck_client(address)];
    wait_until("its part of the memory is taken", || {
        get(address, "/lean/v0/states/head").status == 503
    });
    // Its part of the streams: half of four.
    let topics = "GET /lean/v0/events?topics=head HTTP/1.1";
    stuck.extend((0..2).map(|_| {
        let mut stream = send(address, topics, "");
        let mut head = [0; 15];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        stream
    }));
    // Its part of the connections: half of 32, and the next one is closed unanswered.
    let is_closed = || {
        let mut next = TcpStream::connect(address).unwrap();
        next.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        match next.read(&mut [0; 1]) {
            Ok(bytes) => bytes == 0,
            Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
        }
    };
    assert!(!is_closed());
    stuck.extend((0..12).map(|_| TcpStream::connect(address).unwrap()));
    wait_until("a further connection is closed", is_closed);
    // When they go, there is room again.
    drop(stuck);
    wait_until("what was held is given back", || {
        TcpStream::connect(address).is_ok_and(|mut socket| {
            socket.set_read_timeout(Some(super::support::PATIENCE)).unwrap();
            let request =
                "GET /lean/v0/states/head HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            let mut answer = Vec::new();
            let asked = socket.write_all(request.as_bytes());
            asked.and_then(|()| socket.read_to_end(&mut answer)).is_ok()
                && answer.starts_with(b"HTTP/1.1 200 OK")
        })
    });
}

#[test]
fn stopping_ends_streams_and_frees_the_port() {
    let node = Node::new(4);
    let server = node.serve();
    let address = server.api_address();
    let mut stream = send(address, "GET /lean/v0/events?topics=head HTTP/1.1", "");
    stream.read_exact(&mut [0; 15]).unwrap();
    let again = ServerConfig { api_port: address.port(), ..any_port(None) };
    let taken = serve(&again, node.context(Limits::default())).unwrap_err();
    assert!(matches!(taken, ServeError::Bind { .. }), "{taken}");
    assert!(taken.to_string().contains("--api-port"), "{taken}");
    server.stop();
    let mut rest = Vec::new();
    // An end, polite or not.
    let _ = stream.read_to_end(&mut rest);
    let again = serve(&again, node.context(Limits::default())).unwrap();
    assert_eq!(get(again.api_address(), "/lean/v0/health").status, 200);
}
