//! Which connections of a peer are alive.
//!
//! A peer that was killed and started again dials us before its old connection is noticed to be dead: QUIC takes ten
//! seconds of silence for that, and the new process cannot reset what it knows nothing of. Until then half of what we
//! send goes to the dead one, and gossipsub, which says hello on the first connection of a peer only, never tells the new
//! process what we listen to. So when a peer's new connection shows that an old one is dead, all of them end, and both
//! sides begin anew.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

use super::book::Direction;

/// Age from which a connection was here before the peer began to dial: QUIC's handshake ends within 5 s.
const HANDSHAKE_MS: u64 = 6_000;

/// So often in so long all connections of a peer are ended. A client that keeps two for reasons of its own is then let
/// alone.
const ANEW_MAX: usize = 6;
/// See [`ANEW_MAX`].
const ANEW_MS: u64 = 600_000;

/// Times of that remembered, of all peers.
const ANEW_REMEMBERED_MAX: usize = 256;

#[derive(Debug)]
struct Open<C> {
    connection: C,
    direction: Direction,
    since_ms: u64,
}

/// Connections by peer.
#[derive(Debug)]
pub(super) struct Connections<P, C> {
    open: HashMap<P, Vec<Open<C>>>,
    /// Who began anew, and when.
    anew: VecDeque<(P, u64)>,
}

impl<P, C> Default for Connections<P, C> {
    fn default() -> Self {
        Self { open: HashMap::new(), anew: VecDeque::new() }
    }
}

impl<P: Copy + Hash + Eq, C: Eq> Connections<P, C> {
    /// A connection was made; whether it shows that others of the peer are dead. Nobody dials who is connected, so who
    /// dials again has lost its connections; but both sides may dial at once.
    pub(super) fn opened(
        &mut self,
        peer: P,
        connection: C,
        direction: Direction,
        now_ms: u64,
    ) -> bool {
        let open = self.open.entry(peer).or_default();
        let is_dead = |old: &Open<C>| {
            old.direction == Direction::Inbound || old.since_ms + HANDSHAKE_MS <= now_ms
        };
        let shows_dead = direction == Direction::Inbound && open.iter().any(is_dead);
        open.push(Open { connection, direction, since_ms: now_ms });
        shows_dead && self.may_begin_anew(peer, now_ms)
    }

    fn may_begin_anew(&mut self, peer: P, now_ms: u64) -> bool {
        self.anew.retain(|(_, at_ms)| at_ms + ANEW_MS > now_ms);
        let may = self.anew.iter().filter(|(anew, _)| *anew == peer).count() < ANEW_MAX;
        if may {
            if self.anew.len() >= ANEW_REMEMBERED_MAX {
                self.anew.pop_front();
            }
            self.anew.push_back((peer, now_ms));
        }
        may
    }

    /// A connection ended; whether others of the peer are to end with it. One that fell silent while others were made
    /// was dead when they began.
    pub(super) fn closed(&mut self, peer: &P, connection: &C, was_silent: bool) -> bool {
        let Some(open) = self.open.get_mut(peer) else { return false };
        open.retain(|open| open.connection != *connection);
        if open.is_empty() {
            self.open.remove(peer);
            return false;
        }
        was_silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Direction::{Inbound, Outbound};

    #[test]
    fn who_dials_again_has_lost_its_connections_unless_both_dialled_at_once() {
        for (old, age_ms, new, shows_dead) in [
            (Inbound, 0, Inbound, true),
            (Outbound, HANDSHAKE_MS, Inbound, true),
            (Outbound, HANDSHAKE_MS - 1, Inbound, false),
            (Inbound, HANDSHAKE_MS, Outbound, false),
        ] {
            let mut connections = Connections::default();
            assert!(!connections.opened(1, 1, old, 0));
            assert!(!connections.opened(2, 2, new, age_ms), "another peer");
            assert_eq!(connections.opened(1, 3, new, age_ms), shows_dead, "{old:?} {new:?}");
            assert!(!connections.closed(&2, &2, true));
            assert!(connections.closed(&1, &1, true));
            assert!(!connections.closed(&1, &3, true), "nothing is left");
            assert!(connections.open.is_empty());
        }
    }

    #[test]
    fn a_client_that_keeps_two_connections_is_let_alone_in_the_end() {
        let mut connections = Connections::default();
        assert!(!connections.opened(1, 0, Inbound, 0));
        let anew = (1..100).filter(|connection| connections.opened(1, *connection, Inbound, 0));
        assert_eq!(anew.count(), ANEW_MAX);
        assert!(connections.opened(1, 100, Inbound, ANEW_MS));
    }
}
