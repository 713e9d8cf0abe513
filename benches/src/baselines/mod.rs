//! What the server is measured against. Each does one thing in the usual way and nothing else.

pub mod axum_sse;
pub mod bare_tonic;
pub mod segment;
pub mod write_loop;

use std::net::SocketAddr;

use serde_json::{Map, Value};

/// Prints where a baseline listens, as the real server does.
pub fn print_addrs(addrs: &[(&str, SocketAddr)]) {
    let addrs: Map<String, Value> =
        addrs.iter().map(|(name, addr)| ((*name).to_owned(), addr.to_string().into())).collect();
    println!("{}", Value::from(addrs));
}
