//! What lean consensus nodes say to each other, as bytes. Peers, gossip and sync are not here yet.

pub mod wire;
