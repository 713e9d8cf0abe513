//! The builds themselves, and their way to a server that records what reaches it.

use std::sync::{Arc, Mutex};

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{TcpListenerStream, UnboundedReceiverStream};
use tonic::{Request, Response, Status, Streaming};

use super::*;
use crate::domain::TaskId;
use crate::proto::ottoscaler::otto_handler_log_service_server::{
    OttoHandlerLogService, OttoHandlerLogServiceServer,
};
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{
    LogForwardResponse, WorkerLogEntry, WorkerStatusAck, WorkerStatusNotification,
};

fn plan(seed: u64) -> Plan {
    let tasks = ["build-1", "build-2"].map(|task| TaskId::new(task).unwrap()).to_vec();
    Plan { seed, tasks, workers: 2, failing: vec![2] }
}

fn all_lines(plan: &Plan) -> Vec<Vec<Line>> {
    plan.workers().unwrap().iter().map(|worker| worker.lines().collect()).collect()
}

#[test]
fn the_same_plan_gives_the_same_lines_and_every_worker_its_own() {
    assert_eq!(all_lines(&plan(7)), all_lines(&plan(7)));
    assert_ne!(all_lines(&plan(7)), all_lines(&plan(8)));
    let lines = all_lines(&plan(7));
    for (index, worker) in lines.iter().enumerate() {
        assert!(lines[index + 1..].iter().all(|other| other != worker));
    }
}

#[test]
fn a_build_shows_what_real_builds_show() {
    let lines = plan(7).workers().unwrap()[1].lines().collect::<Vec<_>>();
    let some = |wanted: &dyn Fn(&Line) -> bool| lines.iter().any(wanted);
    assert!(some(&|line| line.message.is_empty()), "a blank line");
    assert!(some(&|line| line.message.contains("\x1b[1;32m")), "colours");
    assert!(some(&|line| line.message.contains('\r')), "a progress bar");
    assert!(some(&|line| !line.message.is_ascii()), "more than ASCII");
    assert!(some(&|line| line.level == "WARN" && line.source == "stderr"), "a warning");
    assert!(some(&|line| line.level == "ERROR" && line.message.contains("stack backtrace")));
    assert!(lines.iter().all(|line| !line.message.contains('\n')));
}

#[test]
fn only_the_failing_workers_fail() {
    for worker in plan(3).workers().unwrap() {
        let has_failed = worker.lines().any(|line| line.message.contains("FAILED"));
        assert_eq!((has_failed, worker.fails), (worker.number == 2, worker.number == 2));
    }
}

#[derive(Clone, Default)]
struct Recorder {
    received: Arc<Mutex<Received>>,
    ended: Option<mpsc::UnboundedSender<()>>,
}

#[derive(Default)]
struct Received {
    streams: Vec<Vec<WorkerLogEntry>>,
    deadlines: Vec<String>,
    statuses: Vec<(String, StatusType)>,
}

#[tonic::async_trait]
impl OttoHandlerLogService for Recorder {
    type ForwardWorkerLogsStream = BoxStream<'static, Result<LogForwardResponse, Status>>;

    async fn forward_worker_logs(
        &self,
        request: Request<Streaming<WorkerLogEntry>>,
    ) -> Result<Response<Self::ForwardWorkerLogsStream>, Status> {
        let deadline = request.metadata().get("grpc-timeout").unwrap().to_str().unwrap();
        self.received.lock().unwrap().deadlines.push(deadline.to_owned());
        let mut entries = request.into_inner();
        let (acks, receiver) = mpsc::unbounded_channel();
        let recorder = self.clone();
        tokio::spawn(async move {
            let mut stream = Vec::new();
            while let Some(Ok(entry)) = entries.next().await {
                stream.push(entry);
                let sequence = stream.len() as i64;
                acks.send(Ok(LogForwardResponse { sequence, ..Default::default() })).ok();
            }
            recorder.received.lock().unwrap().streams.push(stream);
            recorder.ended.unwrap().send(()).unwrap();
        });
        Ok(Response::new(UnboundedReceiverStream::new(receiver).boxed()))
    }

    async fn notify_worker_status(
        &self,
        request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        let notification = request.into_inner();
        let status = notification.status();
        self.received.lock().unwrap().statuses.push((notification.worker_id, status));
        Ok(Response::new(WorkerStatusAck::default()))
    }
}

#[tokio::test]
async fn every_line_of_every_worker_reaches_the_server_although_streams_are_cancelled() {
    let (ended, mut streams_ended) = mpsc::unbounded_channel();
    let recorder = Recorder { ended: Some(ended), ..Default::default() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let service = OttoHandlerLogServiceServer::new(recorder.clone());
    let incoming = TcpListenerStream::new(listener);
    tokio::spawn(
        tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming),
    );

    let plan = plan(5);
    let report = push(to, &plan, LineRate::Unbounded, Ending::Cancel).await.unwrap();
    let workers = plan.workers().unwrap();
    for _ in &workers {
        streams_ended.recv().await.unwrap();
    }

    let received = recorder.received.lock().unwrap();
    assert_eq!(received.streams.len(), workers.len());
    assert!(received.deadlines.iter().all(|deadline| deadline == "1800000m"));
    let mut sent = 0;
    for worker in &workers {
        let of_worker = |stream: &&Vec<WorkerLogEntry>| stream[0].worker_id == worker.id.as_str();
        let stream = received.streams.iter().find(of_worker).unwrap();
        let messages: Vec<_> = stream.iter().map(|entry| entry.message.clone()).collect();
        let expected: Vec<_> = worker.lines().map(|line| line.message).collect();
        assert!(messages == expected, "{} of {} lines", messages.len(), expected.len());
        assert_eq!(stream[0].timestamp.len(), "2025-09-01T12:34:56Z".len());
        assert_eq!(stream[0].pod_metadata.as_ref().unwrap().namespace, "default");
        sent += expected.len() as u64;

        let of_worker = received.statuses.iter().filter(|(id, _)| id == worker.id.as_str());
        let statuses: Vec<_> = of_worker.map(|(_, status)| *status).collect();
        let last = if worker.fails { StatusType::Failed } else { StatusType::Completed };
        assert_eq!(statuses, [StatusType::Created, StatusType::Running, last]);
    }
    assert_eq!((report.sent, report.dropped, report.status_warnings), (sent, 0, 0));
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let pushed = push(to, &plan(1), LineRate::Unbounded, Ending::ReadAcks).await;
    assert!(matches!(pushed, Err(Error::Connect { .. })));
}
