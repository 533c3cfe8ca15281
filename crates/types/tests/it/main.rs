//! The shared-structure state against the plain `ssz_rs` containers, and the decoders against garbage.

mod decoding;
mod history;
mod plain;
mod state;
