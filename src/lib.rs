//! otto-handler.
pub mod domain;
pub mod encode;
pub mod http;
pub mod hub;
pub mod proto;
pub mod store;
pub mod subscribe;
pub mod tasks;
