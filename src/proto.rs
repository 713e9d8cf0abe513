//! Types, clients and servers generated from `proto/`, and the descriptors for reflection.
#![allow(missing_docs, unreachable_pub, clippy::all)]

/// Package `ottoscaler.v1`: the contract with ottoscaler.
pub mod ottoscaler {
    tonic::include_proto!("ottoscaler.v1");
}

/// The compiled descriptors of everything under `proto/`.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("otto_handler_descriptor");
