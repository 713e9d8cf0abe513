//! What a session makes of the responses of a real source.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::*;
use crate::hub::Hub;
use crate::ingest::{Intake, Limits};
use crate::proto::otto::handler::v1::pulled_log_entry::What;
use crate::proto::otto::handler::v1::worker_log_source_server::{
    WorkerLogSource, WorkerLogSourceServer,
};
use crate::proto::otto::handler::v1::{CaughtUp, PullWorkerLogsRequest, PulledLogEntry};
use crate::proto::ottoscaler::{WorkerLogEntry, WorkerStatusNotification};
use crate::pull::{Mode, Polling};
use crate::store::{self, Log, StoreOptions};
use crate::tasks::{LifeCycle, Tasks};

/// Sends the same responses to every request, and ends the stream.
struct ScriptedSource(Vec<PulledLogEntry>);

#[tonic::async_trait]
impl WorkerLogSource for ScriptedSource {
    type PullWorkerLogsStream = BoxStream<'static, Result<PulledLogEntry, Status>>;

    async fn pull_worker_logs(
        &self,
        _: Request<PullWorkerLogsRequest>,
    ) -> Result<Response<Self::PullWorkerLogsStream>, Status> {
        Ok(Response::new(stream::iter(self.0.clone()).map(Ok).boxed()))
    }
}

async fn serve(responses: Vec<PulledLogEntry>) -> http::Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let uri = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let service = WorkerLogSourceServer::new(ScriptedSource(responses));
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    uri
}

/// What a session did until its stream ended.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pulled {
    kept: u64,
    repeated: u64,
    invalid: u64,
    backwards: u64,
    statuses: u64,
    caught_up: bool,
    complaint: Option<String>,
    /// What the log would resume after.
    cursor: Option<Cursor>,
    has_progressed: bool,
    reason: String,
}

/// Pulls `responses` into an empty log.
async fn pull(responses: Vec<PulledLogEntry>) -> Pulled {
    let dir = tempfile::tempdir().unwrap();
    let store = store::open(StoreOptions::new(dir.path()), Box::new(|_, _| {})).unwrap();
    let log: Arc<dyn Log> = Arc::new(store);
    let timeout = Duration::from_secs(30);
    let limits = Limits {
        entry_bytes: 1024,
        line_bytes: 4096,
        streams: 1,
        stall_timeout: timeout,
        idle_ack: Limits::IDLE_ACK,
        budget_bytes: 1 << 24,
    };
    let tasks = Tasks::new(Arc::clone(&log), Hub::new(1 << 20), LifeCycle::without_grace(timeout));
    let intake = Intake::new(Arc::clone(&log), tasks, limits, CancellationToken::new());
    let options = PullOptions::new(serve(responses).await, Mode::Always, Polling::Off);
    let reporter = PullReporter::new();
    let writer = PullWriter::new(intake);
    let session = PullSession::open(&options, writer, Vec::new(), reporter.clone()).await;
    let mut session = session.unwrap();
    let reason = loop {
        let done = async {
            session.ready().await?;
            session.take_in().await
        };
        if let Err(reason) = done.await {
            break reason;
        }
    };
    let PullState::Pulling { caught_up, complaint } = reporter.handle().state() else {
        panic!("{:?}", reporter.handle().state());
    };
    let counters = &reporter.counters;
    Pulled {
        kept: counters.kept.get(),
        repeated: counters.repeated.get(),
        invalid: counters.invalid.get(),
        backwards: counters.backwards.get(),
        statuses: counters.statuses.get(),
        caught_up,
        complaint,
        cursor: log.cursors().pop(),
        has_progressed: session.has_progressed(),
        reason,
    }
}

fn response(epoch: &str, cursor: u64, what: impl Into<Option<What>>) -> PulledLogEntry {
    PulledLogEntry { epoch: epoch.into(), cursor, what: what.into() }
}

fn entry(task: &str) -> What {
    let (task_id, worker_id, message) = (task.into(), "w".into(), "a line".into());
    What::Entry(WorkerLogEntry { task_id, worker_id, message, ..Default::default() })
}

fn status(task: &str, status: i32) -> What {
    let (task_id, worker_id) = (task.into(), "w".into());
    What::Status(WorkerStatusNotification { task_id, worker_id, status, ..Default::default() })
}

fn caught_up() -> What {
    What::CaughtUp(CaughtUp {})
}

fn cursor(source: &str, number: u64) -> Option<Cursor> {
    Some(Cursor { source: source.into(), number })
}

/// One kept entry, and the end of the stream.
fn one_kept() -> Pulled {
    Pulled {
        kept: 1,
        cursor: cursor("e", 1),
        has_progressed: true,
        reason: "the source ended the stream".into(),
        ..Pulled::default()
    }
}

#[tokio::test]
async fn entries_and_statuses_are_kept_with_the_last_cursor_and_repeats_are_not() {
    let numbered = {
        let What::Entry(entry) = entry("t") else { unreachable!() };
        let metadata = [("otto.session", "s"), ("otto.seq", "1")];
        let metadata = metadata.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        What::Entry(WorkerLogEntry { metadata, ..entry })
    };
    let first = || response("e", 1, entry("t"));
    let cases = [
        ("one entry", vec![first()], one_kept()),
        (
            "two, and the end of the list",
            vec![first(), response("", 2, entry("t")), response("", 0, caught_up())],
            Pulled { kept: 2, cursor: cursor("e", 2), caught_up: true, ..one_kept() },
        ),
        (
            "more after the end of the list",
            vec![first(), response("", 0, caught_up()), response("", 2, entry("t"))],
            Pulled { kept: 2, cursor: cursor("e", 2), ..one_kept() },
        ),
        (
            "a numbered entry twice",
            vec![response("e", 1, numbered.clone()), response("", 2, numbered)],
            Pulled { repeated: 1, cursor: cursor("e", 2), ..one_kept() },
        ),
        (
            "a status twice",
            vec![first(), response("", 2, status("t", 1)), response("", 3, status("t", 1))],
            Pulled { statuses: 1, cursor: cursor("e", 3), ..one_kept() },
        ),
        (
            "another epoch",
            vec![first(), response("f", 1, entry("t"))],
            Pulled { kept: 2, cursor: cursor("f", 1), ..one_kept() },
        ),
    ];
    for (name, responses, expected) in cases {
        assert_eq!(pull(responses).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_breaks_a_rule_is_skipped_with_a_complaint_and_the_cursor_moves_on() {
    let skipped = |complaint: &str| Pulled {
        invalid: 1,
        complaint: Some(complaint.into()),
        cursor: cursor("e", 2),
        ..one_kept()
    };
    let cases = [
        (
            response("", 2, entry("")),
            skipped("entries that break a rule are skipped; their task's log says which"),
        ),
        (response("", 2, None), skipped("a response holds nothing that is known here")),
        (
            response("", 2, status("t", 9)),
            skipped("a status is not kept: status is 9, it needs 0 (CREATED) to 4 (TERMINATED)"),
        ),
        (
            response("", 2, status("", 1)),
            skipped("a status is not kept: task_id is empty, it needs 1 to 253 bytes"),
        ),
        (
            response("", 1, entry("t")),
            Pulled {
                backwards: 1,
                complaint: Some("a response has the cursor 1, the one before had 1".into()),
                ..one_kept()
            },
        ),
    ];
    for (broken, expected) in cases {
        let pulled = pull(vec![response("e", 1, entry("t")), broken]).await;
        assert_eq!(pulled, expected);
    }
}

#[tokio::test]
async fn a_stream_without_an_epoch_ends_and_keeps_nothing() {
    let pulled = pull(vec![response("", 1, entry("t"))]).await;
    let reason = "the source's first response names no epoch".into();
    assert_eq!(pulled, Pulled { reason, ..Pulled::default() });
}
