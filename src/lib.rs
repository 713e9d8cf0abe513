//! otto-handler.
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
pub mod server;
pub mod simulate;
pub mod store;
pub mod subscribe;
pub mod tasks;
pub mod vitals;
