//! Networks side by side: how many nodes run at once, and ports that a network has for itself while nodes of it are down.
//!
//! A port that the system gives may go to somebody else while its node is down. So a network has a lane: a range of ports
//! below those, whose first one it holds for as long as it lives. Test runs beside this one take other lanes.

use std::{
    net::{Ipv4Addr, UdpSocket},
    sync::{Condvar, Mutex, PoisonError},
};

use lamella_devnet::ports::{Place, Ports};

/// Nodes that two cores keep up with: those of one network more take each other's cores, and miss their slots.
const NODES_MAX: u64 = 4;

/// Validators of a network beside which another one may run: making and checking signatures is what takes cores.
const VALIDATORS_MAX: u64 = 4;

/// Ports of the lanes: below those that the system gives by itself, from 32,768 on.
const FIRST_PORT: u16 = 20_000;
const LANE_PORTS: u16 = 64;
const LANES: u16 = 150;

static RUNNING: Mutex<u64> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

/// A network's place among the others, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lane {
    nodes: u64,
    next_port: u16,
    _mark: UdpSocket,
}

impl Lane {
    /// Waits until a network of so many nodes and validators may run.
    pub(crate) fn take(nodes: u64, validators: u64) -> Self {
        let nodes = if validators > VALIDATORS_MAX { NODES_MAX } else { nodes.min(NODES_MAX) };
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        while *running + nodes > NODES_MAX {
            running = ENDED.wait(running).unwrap_or_else(PoisonError::into_inner);
        }
        *running += nodes;
        let mut marks = (0..LANES).map(|lane| FIRST_PORT + lane * LANE_PORTS);
        let mark =
            |port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|mark| (port, mark));
        let (port, mark) = marks.find_map(mark).unwrap();
        Self { nodes, next_port: port + 1, _mark: mark }
    }

    /// The places of further nodes.
    pub(crate) fn places(&mut self, nodes: u64) -> Vec<Place> {
        let Ports(places) = Ports::free_from(self.next_port, nodes).unwrap();
        self.next_port = places.last().unwrap().ports.quic + 1;
        places
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        *RUNNING.lock().unwrap_or_else(PoisonError::into_inner) -= self.nodes;
        ENDED.notify_all();
    }
}
