//! otto-handler.
pub mod client;
pub mod domain;
pub mod hub;
pub mod proto;
pub mod simulate;
pub mod store;
