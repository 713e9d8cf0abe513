//! otto-handler receives CI worker logs over gRPC, keeps them durably, and streams them to browsers.
//!
//! ```text
//! grpc ──▶ ingest ─▶ store ─▶ hub ─▶ subscribe ─▶ http
//! pull ──▶   │         │                │         │
//!          encode    (disk) ────────────┘ replay  └ stats
//! ```
//!
//! In reading order: [`domain`] has the types that all modules share; [`encode`] turns wire bytes
//! into what readers get; [`store`] keeps it; [`hub`] shares the newest of it; [`tasks`] tells when a
//! task is complete; [`ingest`] is the way in and [`subscribe`] the way out; [`grpc`] and [`http`] are
//! their transports, and [`pull`] reads from a source where nobody pushes; [`terminal`] says what of a line is
//! seen; [`stats`] has the numbers
//! that `/health` shows and [`metrics`] writes for Prometheus; [`config`] and [`server`] put it together; [`logging`] is the
//! process's own log, and [`causes`] says errors in words. [`client`], [`simulate`], [`verify`] and [`cli`] are the other side: clients of
//! the protocols, a simulated ottoscaler, a checker, the commands.

pub mod causes;
pub mod cli;
pub mod client;
pub mod config;
pub mod connections;
pub mod counter;
pub mod domain;
pub mod encode;
pub mod grpc;
pub mod histogram;
pub mod http;
pub mod hub;
pub mod ingest;
pub mod log_limiter;
pub mod logging;
pub mod metrics;
pub mod permits;
pub mod proto;
pub mod pull;
pub mod server;
pub mod simulate;
pub mod stats;
pub mod store;
pub mod subscribe;
pub mod tasks;
pub mod terminal;
pub mod verify;
