//! The explorer in a browser, over real chains and nodes. Without a Chromium these tests say that they were skipped.

mod browser;
mod nodes;
mod pages;
mod routes;
