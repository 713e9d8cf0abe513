//! Measures the real server against baselines. Every measured server runs in its own process;
//! the load runs in this one, on one thread, and is cheap enough not to be the limit.
//!
//! `entry` → `shape` → `load` make what is pushed and read it;
//! `process` starts servers and reads their CPU time, `rounds` interleaves, `report` prints
//! and `document` keeps.

pub mod baselines;
pub mod cases;
pub mod document;
pub mod entry;
pub mod foreign;
pub mod load;
pub mod process;
pub mod report;
pub mod rounds;
pub mod shape;
pub mod stats;
