//! Each rule of the accounts by itself. Where they meet is `simulation`.

mod simulation;

use core::net::Ipv4Addr;

use super::*;

fn address(host: u8) -> Option<IpAddr> {
    Some(Ipv4Addr::new(203, 0, 113, host).into())
}

fn is_banned(peers: &Peers<usize>, peer: usize, now_ms: u64) -> bool {
    peers.records.get(&peer).is_some_and(|record| record.banned_until_ms > now_ms)
}

#[test]
fn certain_faults_add_up_to_a_ban_fade_and_end() {
    let (mut peers, peer) = (Peers::new([]), 7);
    for _ in 0..3 {
        assert_eq!(peers.penalise(peer, Offence::BrokeProtocol, 0), []);
    }
    assert_eq!(peers.penalise(peer, Offence::BrokeProtocol, 25_000), [], "25 points faded");
    assert_eq!(peers.penalise(peer, Offence::BrokeProtocol, 25_000), [peer]);
    assert_eq!(peers.penalise(peer, Offence::WrongNetwork, 25_001), [], "told once");
    assert!(is_banned(&peers, peer, 25_000 + BAN_MS - 1));
    assert!(!is_banned(&peers, peer, 25_000 + BAN_MS));
    assert_eq!(peers.forget(25_000 + BAN_MS - 1), []);
    assert_eq!(peers.forget(25_001 + BAN_MS), [peer]);
}

/// Symptom: five garbage messages made us ban an honest relay; a peer that did not answer `status` was banned after 143 s
/// while its blocks were imported.
/// Mechanism: a message's forwarder was taken for its author, and silence for an attack.
/// Fix: what anybody may have made lowers a bounded score that heals; silence costs nothing here.
#[test]
fn what_a_peer_relays_and_what_it_leaves_unsaid_never_bans_it() {
    let mut peers = Peers::new([]);
    assert!(peers.connected(1, address(1), 0));
    let mut now_ms = 0;
    for offence in [Offence::Garbage, Offence::Invalid, Offence::Flood, Offence::Stalled] {
        for _ in 0..10_000 {
            assert_eq!(peers.penalise(1, offence, now_ms), []);
        }
    }
    // It is heard at a quarter of the rate,
    let quarter = GOSSIP_BURST / 4;
    let heard = |peers: &mut Peers<usize>, now_ms| {
        (0..2 * GOSSIP_BURST)
            .filter(|_| peers.allows(&1, Demand::Gossip { bytes: 100 }, now_ms))
            .count() as u64
    };
    assert_eq!(heard(&mut peers, now_ms), quarter);
    // and soon at all of it.
    now_ms += 1_000 * u64::from(RUBBISH_POINTS_MAX);
    assert_eq!(heard(&mut peers, now_ms), GOSSIP_BURST);
}

#[test]
fn an_account_that_asks_for_more_than_its_share_waits_and_costs_others_nothing() {
    let mut peers = Peers::new([9]);
    let half = Demand::Blocks { bytes: SERVED_BYTES_BURST / 2 };
    for (peer, host) in [(1, 1), (2, 1), (3, 2), (9, 1)] {
        assert!(peers.connected(peer, address(host), 0));
    }
    assert!(peers.allows(&1, half, 0));
    assert!(peers.allows(&2, half, 0), "a second identity of the address");
    assert!(!peers.allows(&1, half, 0) && !peers.allows(&2, half, 0));
    assert!(peers.allows(&3, half, 0), "another address");
    assert!(peers.allows(&9, half, 0), "a node that we dial, at the same address");
    assert!(peers.allows(&1, half, 1_000));
    assert!(!peers.allows(&1, half, 1_000));
    assert!(!peers.allows(&4, Demand::Status, 0), "not connected");
}

/// Symptom: who connected again had all its limits anew.
/// Mechanism: they were forgotten with its connection.
/// Fix: they belong to an account, which is kept until a new one would be no better.
#[test]
fn coming_again_under_the_same_or_another_name_gives_a_stranger_nothing() {
    let mut peers = Peers::new([]);
    let all = Demand::Blocks { bytes: SERVED_BYTES_BURST };
    assert!(peers.connected(1, address(1), 0));
    assert!(peers.allows(&1, all, 0));
    for peer in [1, 2] {
        peers.gone(&1, 0);
        peers.forget(0);
        assert!(peers.connected(peer, address(1), 0));
        assert!(!peers.allows(&peer, all, 0), "as {peer}");
    }
    peers.gone(&2, 0);
    peers.forget(REFILL_MS - 1);
    assert_eq!(peers.accounts.len(), 1);
    peers.forget(REFILL_MS);
    assert_eq!(peers.accounts.len(), 0);
}

#[test]
fn an_address_that_brings_liar_after_liar_is_closed_and_its_honest_peers_stay() {
    let mut peers = Peers::new([99]);
    let honest = [0, 99];
    for peer in honest {
        assert!(peers.connected(peer, address(1), 0));
    }
    let mut banned = 0;
    for liar in 1..=10 {
        if peers.connected(liar, address(1), 0) {
            // Gone before its answer is found to be bad.
            peers.gone(&liar, 0);
            for _ in 0..4 {
                banned += peers.penalise(liar, Offence::InvalidAnswer, 0).len();
            }
        }
    }
    assert_eq!(banned, 4);
    assert!(honest.iter().all(|peer| peers.allows(peer, Demand::Status, 0)));
    assert!(peers.connected(1_000, address(2), 0), "another address");
    peers.gone(&99, 0);
    assert!(peers.connected(99, address(1), 0), "a node that we dial");
    assert!(!peers.connected(1_001, address(1), BAN_MS - 1));
    assert!(peers.connected(1_001, address(1), BAN_MS));
}

#[test]
fn so_many_identities_of_an_address_may_be_here_at_once() {
    let mut peers = Peers::new([]);
    for peer in 0..IDENTITIES_PER_ADDRESS {
        assert!(peers.connected(peer, address(1), 0));
    }
    assert!(!peers.connected(100, address(1), 0));
    peers.gone(&0, 0);
    assert!(peers.connected(100, address(1), 0));
    for peer in 200..300 {
        assert!(peers.connected(peer, Some(Ipv4Addr::LOCALHOST.into()), 0), "this machine");
    }
}

#[test]
fn memory_of_peers_is_bounded_and_bans_outlive_points() {
    let mut peers = Peers::new([]);
    let banned = 0;
    assert_eq!(peers.penalise(banned, Offence::WrongNetwork, 0), [banned]);
    for peer in 1..=2 * REMEMBERED_MAX {
        peers.penalise(peer, Offence::Haste, 0);
    }
    assert_eq!(peers.records.len(), REMEMBERED_MAX);
    assert!(is_banned(&peers, banned, 1));
    // Whoever is forgotten is told, so that nobody stays blocked for ever.
    for peer in 1..=REMEMBERED_MAX {
        peers.penalise(peer, Offence::WrongNetwork, 1);
    }
    assert!(!is_banned(&peers, banned, 2));
    assert!(peers.forget(2).contains(&banned));
}

#[test]
fn memory_of_accounts_is_bounded_whatever_comes_and_goes() {
    let mut peers = Peers::new([]);
    let host = |index: usize| {
        Some(Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(index).unwrap()).into())
    };
    assert!(peers.connected(0, host(0), 0));
    for peer in 1..=2 * REMEMBERED_MAX {
        assert!(peers.connected(peer, host(peer), 0));
        peers.gone(&peer, 0);
    }
    assert_eq!(peers.accounts.len(), REMEMBERED_MAX);
    assert!(peers.homes.len() <= REMEMBERED_MAX + 1, "{}", peers.homes.len());
    assert!(peers.allows(&0, Demand::Status, 0), "who is here is not forgotten");
}
