//! The HTTP side as its clients see it: a real server, a real store, a real client.

mod access;
mod base_path;
mod deleting;
mod ends;
mod gaps;
mod history;
mod pages;
mod slow;
mod streams;
pub(super) mod support;
mod terminal;
