//! One chain of 262,145 slots, the most that a state's history can hold, imported block by block through the node's
//! own path with votes that justify and finalize. All of it is test code, in `tests/it`; nothing is exported.
//!
//! | question | file |
//! |---|---|
//! | which block is in which slot | `script` |
//! | the chain, and what must hold of it | `chain` |
