//! Finds out whether an address speaks HTTP/1. The transport's own error for that differs from try
//! to try and never names it.

use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A request whose response tells an HTTP/1 server from an HTTP/2 server.
const REQUEST: &[u8] = b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// How long the address may take to respond.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Adds to `reason`, why `uri` did not respond, that the address speaks HTTP/1 where it does.
pub(super) async fn explained(reason: String, uri: &Uri) -> String {
    let responded = tokio::time::timeout(RESPONSE_TIMEOUT, speaks_http1(uri)).await;
    match responded {
        Ok(Ok(true)) => format!("the address speaks HTTP/1, gRPC needs HTTP/2 ({reason})"),
        _ => reason,
    }
}

async fn speaks_http1(uri: &Uri) -> std::io::Result<bool> {
    if uri.scheme() != Some(&Scheme::HTTP) {
        return Ok(false);
    }
    let (host, port) = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let mut socket = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    socket.write_all(REQUEST).await?;
    let mut begin = [0; b"HTTP/1.".len()];
    socket.read_exact(&mut begin).await?;
    Ok(&begin == b"HTTP/1.")
}
