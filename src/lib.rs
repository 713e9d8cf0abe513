//! otto-handler.
pub mod domain;
pub mod encode;
pub mod grpc;
pub mod hub;
pub mod ingest;
pub mod proto;
pub mod store;
pub mod subscribe;
pub mod tasks;
