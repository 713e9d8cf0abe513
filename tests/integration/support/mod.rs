//! What the tests share: servers in this process and in their own, producers, readers.

mod http2_frames;
mod process;
mod producer;
pub(crate) mod raw_http2;
mod reader;
mod server;
pub(crate) mod source;

pub(crate) use process::{Process, binary, free_port, run, run_with_variable, run_with_variables};
pub(crate) use producer::{Producer, ack, connect, entry, large_lines, numbered};
pub(crate) use reader::{Reader, get, json, messages, ndjson, numbers, text, with_token};
pub(crate) use server::TestServer;

use std::time::Duration;

/// How long anything may take before a test gives up on it. Decides no outcome otherwise.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future` and says what was waited for when it does not come.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("gave up waiting for {what}"))
}
