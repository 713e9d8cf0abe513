//! Worker pods that push their own logs.

use otto_handler::proto::ottoscaler::log_response::Status;
use otto_handler::proto::ottoscaler::log_streaming_service_client::LogStreamingServiceClient;
use otto_handler::proto::ottoscaler::registration_response::Status as Registration;
use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use otto_handler::proto::ottoscaler::{
    LogEntry, LogResponse, WorkerRegistration, WorkerStatusNotification,
};
use tonic::Code;
use tonic::transport::Channel;

use crate::support::{TestServer, connect, json, ndjson, text, within};

type Client = LogStreamingServiceClient<Channel>;

async fn client(server: &TestServer) -> Client {
    LogStreamingServiceClient::connect(server.grpc()).await.unwrap()
}

fn registration(worker: &str) -> WorkerRegistration {
    let (worker_id, task_id) = (worker.into(), "t".into());
    WorkerRegistration { worker_id, task_id, ..Default::default() }
}

fn entry(worker: &str, message: &str) -> LogEntry {
    LogEntry {
        worker_id: worker.into(),
        task_id: "t".into(),
        message: message.into(),
        metadata: [("step".to_owned(), "1".to_owned())].into(),
        ..Default::default()
    }
}

async fn push(client: &mut Client, entries: Vec<LogEntry>) -> Vec<LogResponse> {
    let stream = client.stream_logs(tokio_stream::iter(entries)).await.unwrap();
    let mut responses = stream.into_inner();
    let mut acks = Vec::new();
    while let Some(response) = responses.message().await.unwrap() {
        acks.push(response);
    }
    acks
}

#[tokio::test]
async fn a_registered_worker_pushes_and_its_sequence_goes_on_over_streams() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    let registered = client.register_worker(registration("w")).await.unwrap().into_inner();
    assert_eq!(registered.status(), Registration::Success);
    let config = registered.config.unwrap();
    assert_eq!((config.rate_limit, config.buffer_size, config.max_message_size), (100, 50, 1024));
    let again = client.register_worker(registration("w")).await.unwrap().into_inner();
    assert_eq!(again.status(), Registration::AlreadyRegistered);
    assert_eq!(again.session_id, registered.session_id);

    let first = push(&mut client, vec![entry("w", "one"), entry("w", "two")]).await;
    let second = push(&mut client, vec![entry("w", "three")]).await;
    let acks: Vec<_> =
        first.iter().chain(&second).map(|ack| (ack.status(), ack.sequence)).collect();
    assert_eq!(acks, [(Status::Ack, 1), (Status::Ack, 2), (Status::Ack, 3)]);
    assert_eq!(text(|path| server.api(path), "t").await, "one\ntwo\nthree\n");
    assert_eq!(ndjson(|path| server.api(path), "t").await[0]["metadata"]["step"], "1");
}

#[tokio::test]
async fn an_unregistered_workers_entry_is_dropped_by_name_and_leaves_a_gap() {
    let server = TestServer::start().await;
    let mut client = client(&server).await;
    client.register_worker(registration("known")).await.unwrap();
    let acks = push(&mut client, vec![entry("known", "in"), entry("stranger", "out")]).await;
    assert_eq!((acks[0].status(), acks[1].status()), (Status::Ack, Status::Drop));
    let expected =
        "worker_id \"stranger\" of task_id \"t\" is not registered, call RegisterWorker first";
    assert_eq!(acks[1].message, expected);
    let gap = format!("--- 1 line is missing here: {expected} ---\n");
    assert_eq!(text(|path| server.api(path), "t").await, format!("in\n{gap}"));
    // That the log has a gap of it makes it no registered worker.
    let again = push(&mut client, vec![entry("stranger", "out"), entry("stranger", "out")]).await;
    assert!(again.iter().all(|ack| ack.status() == Status::Drop));
    let task = json(&server.api("/tasks/t")).await;
    assert_eq!((&task["lines"], &task["lostLines"]), (&1.into(), &3.into()));
}

#[tokio::test]
async fn a_registration_without_an_id_is_invalid_and_one_too_many_is_told_that_it_is_full() {
    let server = TestServer::start_with(&["--max-registered-workers=1"]).await;
    let mut client = client(&server).await;
    let refused = client.register_worker(registration("")).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert_eq!(refused.message(), "worker_id is empty, it needs 1 to 253 bytes");
    client.register_worker(registration("a")).await.unwrap();
    let full = client.register_worker(registration("b")).await.unwrap().into_inner();
    assert_eq!(full.status(), Registration::ServerFull);
    assert_eq!(full.message, "1 workers are registered, which is the limit");
}

#[tokio::test]
async fn a_worker_that_has_ended_gives_its_place_to_another_of_its_task() {
    let server = TestServer::start_with(&["--max-registered-workers=1"]).await;
    let mut client = client(&server).await;
    client.register_worker(registration("a")).await.unwrap();
    push(&mut client, vec![entry("a", "line")]).await;
    let completed = WorkerStatusNotification {
        worker_id: "a".into(),
        task_id: "t".into(),
        status: StatusType::Completed.into(),
        ..Default::default()
    };
    connect(&server.grpc()).await.notify_worker_status(completed).await.unwrap();
    within("the free place", async {
        while json(&server.api("/health")).await["pushed"]["registeredWorkers"] != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let next = client.register_worker(registration("b")).await.unwrap().into_inner();
    assert_eq!(next.status(), Registration::Success);
}

#[tokio::test]
async fn a_worker_that_the_log_knows_counts_as_registered_after_a_restart() {
    let server = TestServer::start().await;
    let mut before = client(&server).await;
    before.register_worker(registration("w")).await.unwrap();
    push(&mut before, (1..=5).map(|turn| entry("w", &format!("line {turn}"))).collect()).await;
    drop(before);
    let (dir, stopped) = server.begin_stop();
    within("the shutdown", stopped).await.unwrap().unwrap();
    let server = TestServer::start_in(dir, &[], |_| {}).await;
    let mut after = client(&server).await;
    let acks = push(&mut after, vec![entry("w", "two"), entry("stranger", "out")]).await;
    assert_eq!((acks[0].status(), acks[1].status()), (Status::Ack, Status::Drop));
    let lines = text(|path| server.api(path), "t").await;
    assert!(lines.starts_with("line 1\nline 2\nline 3\nline 4\nline 5\ntwo\n"), "{lines}");
    assert_eq!(json(&server.api("/tasks/t")).await["lostLines"], 1);
}
