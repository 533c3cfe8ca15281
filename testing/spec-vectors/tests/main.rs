//! leanSpec's vectors, one module for each group.

mod api_endpoint;
mod fork_choice;
mod gossip_frames;
mod justifiability;
mod networking_codec;
mod node_records;
mod poseidon_permutation;
mod slot_clock;
mod ssz;
mod ssz_types;
mod state_transition;
mod sync;
mod xmss;
