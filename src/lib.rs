//! otto-handler receives CI worker logs over gRPC, keeps them durably, and streams them to browsers.
//!
//! ```text
//! grpc ─▶ ingest ─▶ store ─▶ hub ─▶ subscribe ─▶ http
//!            │        │                 │
//!          encode   (disk) ─────────────┘ replay
//! ```
//!
//! In reading order: [`domain`] is what all talk about; [`encode`] turns wire bytes into what
//! readers get; [`store`] keeps it; [`hub`] shares the newest of it; [`tasks`] tells when a task is
//! complete; [`ingest`] and [`subscribe`] are the ways in and out, [`grpc`] and [`http`] their
//! transports; [`config`] and [`server`] put it together. [`client`], [`simulate`], [`verify`]
//! and [`cli`] are the other side: what pushes, follows, plays an ottoscaler and checks a server.

pub mod cli;
pub mod client;
pub mod config;
pub mod domain;
pub mod encode;
pub mod grpc;
pub mod http;
pub mod hub;
pub mod ingest;
pub mod proto;
pub mod pull;
pub mod server;
pub mod simulate;
pub mod stats;
pub mod store;
pub mod subscribe;
pub mod tasks;
pub mod verify;
