//! The checker: does a server keep its word while things go wrong?
//!
//! ```text
//! plan ─▶ actors ─▶ recorder ─▶ judge ─▶ verdict
//!   │                  │          ▲
//!   └─▶ server         └─ file ───┘ replay
//!       (process, proxy, faults)
//! ```
//! Producers send lines that name themselves and record which were acknowledged. Viewers follow the
//! streams in several ways and record what they saw. Meanwhile faults are injected, if the server is
//! our own. At the end the log is read whole, and the judge compares; see [`judge`] for the rules.
//!
//! # The history file
//! One JSON object a line: `time` (milliseconds since the run began), `actor`, `event`, and the
//! event's own members. Runs stand one after another, each begun by `plan`. [`replay`] recomputes
//! the verdicts from the file alone.
//!
//! | event | members | who |
//! |---|---|---|
//! | `plan` | `seed`; `excuses`: gap reasons that explain a loss | `run` |
//! | `sent`, `acked` | `task`, `worker`, `from`, `to`: numbers of the worker's lines | `producer-N` |
//! | `dropped` | the same, and `message` | `producer-N` |
//! | `opened` | `task` (`null`: all), `at`: `first` or `resume` | readers |
//! | `saw` | `task`, `runs`: arrays of worker, number, line, offset, count | readers |
//! | `gap` | `task`, `from`, `to`: offsets; `reason` | readers |
//! | `foreign` | `task`, `worker`, `line`, `text`: a line that nobody sent | readers |
//! | `ended` | `task`: read to the end | readers |
//! | `fault` | `what` | `faults` |
//! | `violated` | `what`: a violation that the actor itself saw | anyone |
//! | `note` | `what`: changes no verdict | anyone |
//!
//! Readers are `viewer-N`, `history` (the stream at the end: what counts as kept) and `download`
//! (the same as NDJSON).

mod actors;
pub mod judge;
mod line;
pub mod metrics;
mod own;
pub mod plan;
mod probe;
pub mod progress;
pub mod record;
mod recorder;
mod round;
mod server;

pub use own::{Error, OwnServer, Report, run_own};
pub use probe::{SharedServer, probe};
pub use recorder::replay;
