//! Who reads the chain as an archive: the followers of this node, and whoever restores from it.
//!
//! They are known by what they ask for and by their address alone, so two behind one address are one, and one that ended is
//! here until it is forgotten. Who follows a folder or a bucket, no node can know.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use serde::Serialize;

/// Followers that are remembered; one more takes the place of that which was silent for longest.
const FOLLOWERS_MAX: usize = 64;

/// Who asked for nothing for so long follows no more: a follower asks several times a slot.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);

/// Those who asked last.
#[derive(Debug, Default)]
pub(super) struct Followers(Mutex<HashMap<IpAddr, Asked>>);

#[derive(Debug)]
struct Asked {
    first: Instant,
    last: Instant,
    requests: u64,
    object: Option<String>,
}

/// One of them, as it is told.
#[derive(Debug, Serialize)]
pub(super) struct Follower {
    address: IpAddr,
    /// Since when it asks, in seconds.
    since_s: u64,
    /// When it asked last, in seconds.
    silent_s: u64,
    requests: u64,
    /// The object that it had last; `None` if it only asked what there is.
    object: Option<String>,
}

impl Followers {
    /// A client asked for an object, or for what there is.
    pub(super) fn asked(&self, address: IpAddr, object: Option<&str>) {
        let (now, mut all) = (Instant::now(), self.0.lock());
        if !all.contains_key(&address) && all.len() >= FOLLOWERS_MAX {
            let silent =
                all.iter().min_by_key(|(_, asked)| asked.last).map(|(address, _)| *address);
            silent.map(|address| all.remove(&address));
        }
        let new = Asked { first: now, last: now, requests: 0, object: None };
        let asked = all.entry(address).or_insert(new);
        (asked.last, asked.requests) = (now, asked.requests.saturating_add(1));
        if let Some(object) = object {
            asked.object = Some(object.to_owned());
        }
    }

    /// Those who asked in the last ten minutes, the last one first.
    pub(super) fn list(&self) -> Vec<Follower> {
        self.list_at(Instant::now())
    }

    fn list_at(&self, now: Instant) -> Vec<Follower> {
        let mut all = self.0.lock();
        all.retain(|_, asked| now.saturating_duration_since(asked.last) < FORGOTTEN_AFTER);
        let mut list: Vec<_> = all
            .iter()
            .map(|(address, asked)| Follower {
                address: *address,
                since_s: now.saturating_duration_since(asked.first).as_secs(),
                silent_s: now.saturating_duration_since(asked.last).as_secs(),
                requests: asked.requests,
                object: asked.object.clone(),
            })
            .collect();
        list.sort_by_key(|follower| (follower.silent_s, follower.address));
        list
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn they_are_bounded_and_the_silent_ones_are_forgotten() {
        let followers = Followers::default();
        let address =
            |number: usize| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).unwrap()));
        for number in 0..=FOLLOWERS_MAX {
            followers.asked(address(number), None);
        }
        let listed = followers.list();
        assert_eq!(listed.len(), FOLLOWERS_MAX);
        assert!(
            listed.iter().all(|one| one.address != address(0)),
            "the first was silent for longest"
        );
        followers.asked(address(7), Some("tail/0"));
        followers.asked(address(7), None);
        let of_seven = followers.list().into_iter().find(|one| one.address == address(7)).unwrap();
        assert_eq!((of_seven.requests, of_seven.object.as_deref()), (3, Some("tail/0")));
        assert!(followers.list_at(Instant::now() + FORGOTTEN_AFTER).is_empty());
    }
}
