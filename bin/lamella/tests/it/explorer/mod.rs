//! The explorer, over real chains.

mod routes;
