//! Who talks to the server: producers, viewers, and the reading at the end.

pub(super) mod entries;
pub(super) mod producer;
pub(super) mod reader;
pub(super) mod seen;
pub(super) mod viewer;
mod window;
