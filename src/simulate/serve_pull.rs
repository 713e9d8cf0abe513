//! Lets a plan's builds be pulled: serves `WorkerLogSource`, and `GetWorkerStatus` beside it.
//!
//! What all workers do is one list in the order in which it happens. The same plan gives the same
//! list, so a cursor means the same after a restart; its epoch is made from the plan.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use super::build::Line;
use super::plan::{Plan, Worker};
use super::rate::LineRate;
use crate::domain::IdError;
use crate::proto::otto::handler::v1::pulled_log_entry::What;
use crate::proto::otto::handler::v1::worker_log_source_server::{
    WorkerLogSource, WorkerLogSourceServer,
};
use crate::proto::otto::handler::v1::{CaughtUp, PullWorkerLogsRequest, PulledLogEntry};
use crate::proto::ottoscaler::ottoscaler_service_server::{
    OttoscalerService, OttoscalerServiceServer,
};
use crate::proto::ottoscaler::worker_status_notification::StatusType;
use crate::proto::ottoscaler::{
    WorkerLogEntry, WorkerMetadata, WorkerPodStatus, WorkerStatusNotification, WorkerStatusRequest,
    WorkerStatusResponse,
};

/// Why the builds are not served.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A task's id is so long that its workers' ids are above the limit.
    #[error(transparent)]
    Id(#[from] IdError),
    /// The listener failed.
    #[error("cannot serve: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Serves `plan` on `listener` until `stop` resolves. The builds begin now.
///
/// # Errors
/// When the plan makes no valid ids, or the listener fails.
pub async fn serve_pull(
    listener: TcpListener,
    plan: &Plan,
    rate: LineRate,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let source = Source(Arc::new(Timeline::new(plan, rate)?));
    let serving = Server::builder()
        .add_service(WorkerLogSourceServer::new(source.clone()))
        .add_service(OttoscalerServiceServer::new(source))
        .serve_with_incoming(TcpListenerStream::new(listener));
    // Pulls never end by themselves, so there is nothing to wait for.
    tokio::select! {
        served = serving => Ok(served?),
        () = stop => Ok(()),
    }
}

/// Something that happens in a build.
#[derive(Debug, Clone)]
enum Event {
    Prints(Line),
    Becomes(StatusType),
}

/// An event, whose it is, and when it happens, in units of effort.
#[derive(Debug, Clone)]
struct Timed {
    at: u64,
    worker: usize,
    event: Event,
}

/// All that happens, in order; event n, from 0, has the cursor n + 1.
#[derive(Debug)]
struct Timeline {
    epoch: String,
    workers: Vec<Worker>,
    events: Vec<Timed>,
    rate: LineRate,
    started: Instant,
    started_at: SystemTime,
}

impl Timeline {
    fn new(plan: &Plan, rate: LineRate) -> Result<Self, IdError> {
        let workers = plan.workers()?;
        let mut events: Vec<_> =
            workers.iter().enumerate().flat_map(|(at, worker)| life(at, worker)).collect();
        // Stable: what a worker does at one time stays in its order.
        events.sort_by_key(|timed| timed.at);
        Ok(Self {
            epoch: format!("simulated-{:08x}", crc32c::crc32c(format!("{plan:?}").as_bytes())),
            workers,
            events,
            rate,
            started: Instant::now(),
            started_at: SystemTime::now(),
        })
    }

    /// How long after the start `at` comes.
    fn after(&self, at: u64) -> Duration {
        self.rate.duration(at)
    }

    fn has_happened(&self, timed: &Timed) -> bool {
        self.started + self.after(timed.at) <= Instant::now()
    }

    /// The time of `at` in whole seconds, as ottoscaler sends it.
    fn timestamp(&self, at: u64) -> String {
        let time = jiff::Timestamp::try_from(self.started_at + self.after(at));
        time.map(|time| format!("{time:.0}")).unwrap_or_default()
    }

    /// The response's content for an event.
    fn what(&self, timed: &Timed) -> What {
        let worker = &self.workers[timed.worker];
        let (worker_id, task_id) = (worker.id.to_string(), worker.task.to_string());
        let timestamp = self.timestamp(timed.at);
        match &timed.event {
            Event::Prints(line) => What::Entry(WorkerLogEntry {
                pod_metadata: Some(WorkerMetadata {
                    pod_name: worker_id.clone(),
                    namespace: "default".into(),
                    created_at: self.timestamp(0),
                    ..Default::default()
                }),
                worker_id,
                task_id,
                timestamp,
                level: line.level.into(),
                source: line.source.into(),
                message: line.message.clone(),
                ..Default::default()
            }),
            Event::Becomes(status) => What::Status(WorkerStatusNotification {
                worker_id,
                task_id,
                status: (*status).into(),
                timestamp,
                reason: reason(*status).into(),
                ..Default::default()
            }),
        }
    }

    /// A worker's pod as Kubernetes would report it now; `None` before it exists.
    fn pod(&self, at: usize) -> Option<WorkerPodStatus> {
        let of_worker = self.events.iter().rev().filter(|timed| timed.worker == at);
        let mut newest_first = of_worker.filter(|timed| self.has_happened(timed));
        let (status, since) = newest_first.find_map(|timed| match timed.event {
            Event::Becomes(status) => Some((status, timed.at)),
            Event::Prints(_) => None,
        })?;
        let worker = &self.workers[at];
        let is_over = status != StatusType::Created && status != StatusType::Running;
        Some(WorkerPodStatus {
            pod_name: worker.id.to_string(),
            task_id: worker.task.to_string(),
            status: phase(status).into(),
            created_at: self.timestamp(0),
            started_at: self.timestamp(0),
            completed_at: if is_over { self.timestamp(since) } else { String::new() },
            error_message: reason(status).into(),
            ..Default::default()
        })
    }
}

/// What a worker does, from its creation to its end.
fn life(at: usize, worker: &Worker) -> Vec<Timed> {
    let mut now = 0;
    let mut events: Vec<_> = [StatusType::Created, StatusType::Running]
        .map(|status| Timed { at: now, worker: at, event: Event::Becomes(status) })
        .into();
    for line in worker.lines() {
        now += u64::from(line.effort);
        events.push(Timed { at: now, worker: at, event: Event::Prints(line) });
    }
    let end = if worker.fails { StatusType::Failed } else { StatusType::Completed };
    events.push(Timed { at: now, worker: at, event: Event::Becomes(end) });
    events
}

fn reason(status: StatusType) -> &'static str {
    if status == StatusType::Failed { "exit code 101" } else { "" }
}

fn phase(status: StatusType) -> &'static str {
    match status {
        StatusType::Created => "Pending",
        StatusType::Running => "Running",
        StatusType::Completed => "Succeeded",
        StatusType::Failed | StatusType::Terminated => "Failed",
    }
}

/// The two services on one timeline.
#[derive(Debug, Clone)]
struct Source(Arc<Timeline>);

/// A stream of responses: where it is, and what it has sent.
struct PullCall {
    timeline: Arc<Timeline>,
    next: usize,
    has_sent_epoch: bool,
    has_sent_caught_up: bool,
}

/// A response, and the call that goes on behind it.
type Sent = (Result<PulledLogEntry, Status>, PullCall);

impl PullCall {
    async fn next_response(mut self) -> Option<Sent> {
        loop {
            let due = self.timeline.events.get(self.next);
            if due.is_some_and(|timed| self.timeline.has_happened(timed)) {
                return Some(self.event_response());
            }
            if !self.has_sent_caught_up {
                self.has_sent_caught_up = true;
                return Some(self.response(What::CaughtUp(CaughtUp {})));
            }
            match due {
                Some(timed) => {
                    sleep_until(self.timeline.started + self.timeline.after(timed.at)).await
                }
                None => std::future::pending().await,
            }
        }
    }

    fn event_response(mut self) -> Sent {
        let what = self.timeline.what(&self.timeline.events[self.next]);
        self.next += 1;
        self.has_sent_caught_up = false;
        self.response(what)
    }

    fn response(mut self, what: What) -> Sent {
        let is_first = !std::mem::replace(&mut self.has_sent_epoch, true);
        let epoch = if is_first { self.timeline.epoch.clone() } else { String::new() };
        (Ok(PulledLogEntry { cursor: self.next as u64, epoch, what: Some(what) }), self)
    }
}

#[tonic::async_trait]
impl WorkerLogSource for Source {
    type PullWorkerLogsStream = BoxStream<'static, Result<PulledLogEntry, Status>>;

    async fn pull_worker_logs(
        &self,
        request: Request<PullWorkerLogsRequest>,
    ) -> Result<Response<Self::PullWorkerLogsStream>, Status> {
        let PullWorkerLogsRequest { cursor, epoch, done } = request.into_inner();
        if done {
            return Ok(Response::new(stream::empty().boxed()));
        }
        let kept = if epoch == self.0.epoch { cursor } else { 0 };
        let call = PullCall {
            timeline: Arc::clone(&self.0),
            next: usize::try_from(kept).unwrap_or(usize::MAX),
            has_sent_epoch: false,
            has_sent_caught_up: false,
        };
        Ok(Response::new(stream::unfold(call, PullCall::next_response).boxed()))
    }
}

#[tonic::async_trait]
impl OttoscalerService for Source {
    async fn get_worker_status(
        &self,
        request: Request<WorkerStatusRequest>,
    ) -> Result<Response<WorkerStatusResponse>, Status> {
        let request = request.into_inner();
        let pods = (0..self.0.workers.len()).filter_map(|at| self.0.pod(at));
        let matches = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        let workers: Vec<_> = pods
            .filter(|pod| {
                matches(&request.task_id, &pod.task_id)
                    && matches(&request.worker_pod_name, &pod.pod_name)
                    && matches(&request.status_filter, &pod.status)
            })
            .collect();
        let count = |phase: &str| workers.iter().filter(|pod| pod.status == phase).count() as i32;
        Ok(Response::new(WorkerStatusResponse {
            total_count: workers.len() as i32,
            running_count: count("Running"),
            pending_count: count("Pending"),
            succeeded_count: count("Succeeded"),
            failed_count: count("Failed"),
            workers,
        }))
    }
}
