//! The model test of the store: seeded random block trees go through the real importer and into a naive model that
//! keeps every state whole. All of it is test code, in `tests/it`; nothing is exported.
//!
//! | question | file |
//! |---|---|
//! | which seeds run, what a failure prints | `seeds` |
//! | one run: what can happen to a chain | `run`, `steps` |
//! | blocks, valid and not | `blocks`, `invalid` |
//! | leanSpec's fork choice, recomputed from scratch | `naive` |
//! | what must hold after every step | `checks` |
//! | damaged rows | `damage` |
//! | findings of earlier runs | `named` |
//!
//! `MODEL_SEED=7 cargo test -p lamella-testing-model seeds` replays seed 7. `MODEL_SEEDS=0..500` and
//! `MODEL_STEPS=300` run more, `MODEL_ALL=1` reads every state and checks every invariant after every step.
