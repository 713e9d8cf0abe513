//! otto-handler.
pub mod domain;
pub mod hub;
pub mod proto;
pub mod store;
