//! What only a process can show: how it ends, and what it makes of few descriptors, of a full disk
//! and of a standard error that nobody reads.

mod descriptors;
mod disk;
mod endings;
mod log_output;
mod panics;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// A connection on which `bytes` were sent and nothing is read.
async fn silent(addr: &str, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream
}

/// A GET of `path` below the API's prefix.
fn get_request(path: &str) -> Vec<u8> {
    format!("GET /api/v1/log-streaming{path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}
