//! A simulated ottoscaler: deterministic builds, pushed the way the real one pushes.
//!
//! A [`Plan`] says which builds there are; the same plan gives the same lines.
//! [`push()`] sends them as ottoscaler's client does, [`serve_pull()`] lets them be pulled.

mod build;
mod plan;
mod push;
mod rate;
mod serve_pull;
#[cfg(test)]
mod tests;

pub use build::{Line, Lines};
pub use plan::{Plan, Worker};
pub use push::{Ending, Error, Report, push};
pub use rate::LineRate;
pub use serve_pull::{ServeError, serve_pull};
