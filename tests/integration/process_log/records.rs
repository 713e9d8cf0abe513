//! A server's log, read when it has ended.

use std::fs::{self, File};

use serde_json::Value;

use crate::support::{Process, binary, get, within};

/// A server whose log goes to a file.
pub(super) struct LoggingServer {
    pub(super) process: Process,
    dir: tempfile::TempDir,
}

/// Everything that a server logged.
pub(super) struct Records {
    pub(super) text: String,
    records: Vec<Value>,
}

impl LoggingServer {
    pub(super) async fn start(flags: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log")).unwrap();
        let ports = ["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--log-format=json"];
        let flags = [&ports[..], flags].concat();
        let data = dir.path().join("data");
        Self { process: Process::start_logging_to(log, binary(), &data, &flags).await, dir }
    }

    /// The URL of `path` under the API's prefix.
    pub(super) fn api(&self, path: &str) -> String {
        self.root(&format!("/api/v1/log-streaming{path}"))
    }

    pub(super) fn root(&self, path: &str) -> String {
        format!("http://{}{path}", self.process.http)
    }

    /// Waits until no push stream is open.
    pub(super) async fn until_nobody_pushes(&self) {
        within("the streams' ends", async {
            loop {
                let health = get(&self.api("/health"), None).await.text().await.unwrap();
                let health: Value = serde_json::from_str(&health).unwrap();
                if health["pushed"]["openStreams"] == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
    }

    /// Stops it, and reads its log.
    pub(super) async fn stop(self) -> Records {
        assert_eq!(self.process.terminate().await, Some(0));
        let text = fs::read_to_string(self.dir.path().join("log")).unwrap();
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        Records { text, records }
    }
}

impl Records {
    /// The fields of the lines with this message, with their `target`, and the span `request` that they are in.
    pub(super) fn of(&self, message: &str) -> Vec<Value> {
        let same = self.records.iter().filter(|record| record["fields"]["message"] == message);
        let fields = same.map(|record| {
            let mut fields = record["fields"].clone();
            fields["target"] = record["target"].clone();
            fields["request"] = record["span"].clone();
            fields
        });
        fields.collect()
    }
}
