//! The rows that this crate packs by hand, from bytes to the bytes that it would write for them. For the fuzzer: a row
//! that is read otherwise is found by its key and proves itself first.

use lamella_fork_choice::VoteRow;

use crate::{ForkChoiceRow, Identity, identity, vote_rows};

/// A row of `Votes`.
#[must_use]
pub fn vote(bytes: &[u8]) -> Option<Vec<u8>> {
    vote_rows::decode(bytes).as_ref().map(put_vote)
}

/// What is written for a vote.
#[must_use]
pub fn put_vote(row: &VoteRow) -> Vec<u8> {
    vote_rows::encode(row)
}

/// The fork choice row of `Meta`.
#[must_use]
pub fn fork_choice(bytes: &[u8]) -> Option<Vec<u8>> {
    ForkChoiceRow::decode(bytes).as_ref().map(put_fork_choice)
}

/// What is written for a view.
#[must_use]
pub fn put_fork_choice(row: &ForkChoiceRow) -> Vec<u8> {
    row.encode()
}

/// The identity row of `Meta`.
#[must_use]
pub fn identity(bytes: &[u8]) -> Option<Vec<u8>> {
    Identity::decode(bytes).as_ref().map(put_identity)
}

/// What is written for an identity.
#[must_use]
pub fn put_identity(identity: &Identity) -> Vec<u8> {
    identity.encode()
}

/// Whether the schema row of `Meta` says what this version writes.
#[must_use]
pub fn is_our_schema(bytes: &[u8]) -> bool {
    identity::check_schema(bytes).is_ok()
}

/// The schema row that this version writes.
#[must_use]
pub fn our_schema() -> Vec<u8> {
    identity::schema(identity::SCHEMA_VERSION)
}
