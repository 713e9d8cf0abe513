//! Polls worker pods' phases and keeps what changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;
use tonic::transport::Channel;

use super::connection::endpoint;
use super::options::{Polling, PullOptions};
use super::reason;
use super::session::add;
use super::state::{Counters, PullState};
use crate::domain::{TaskId, WorkerState};
use crate::encode::StatusParts;
use crate::ingest::{Intake, Notified, StatusError};
use crate::proto::ottoscaler::ottoscaler_service_client::OttoscalerServiceClient;
use crate::proto::ottoscaler::{WorkerPodStatus, WorkerStatusRequest};
use crate::store::Log;

const METHOD: &str = "ottoscaler.v1.OttoscalerService/GetWorkerStatus";

/// Polls GetWorkerStatus.
pub(super) struct Poller {
    pub(super) options: PullOptions,
    pub(super) intake: Intake,
    pub(super) log: Arc<dyn Log>,
    pub(super) state: watch::Receiver<PullState>,
    pub(super) counters: Arc<Counters>,
}

impl Poller {
    /// Works until it is dropped, or at once if nothing is to be polled.
    pub(super) async fn run(mut self) {
        let mut logged = None;
        while let Some(interval) = self.turn().await {
            let failed = self.poll().await.err();
            add(&self.counters.failed_polls, failed.is_some().into());
            if let Some(reason) = failed.as_ref().filter(|_| failed != logged) {
                tracing::warn!("pull: the workers' status is not known: {reason}");
            }
            logged = failed;
            sleep(interval).await;
        }
    }

    /// Resolves when it is time to poll, to the wait after it; `None` when it never is.
    async fn turn(&mut self) -> Option<Duration> {
        match self.options.polling {
            Polling::Off => None,
            Polling::Always(interval) => Some(interval),
            Polling::WhilePulling(interval) => {
                let turn = self.state.wait_for(PullState::is_our_turn).await;
                turn.is_ok().then_some(interval)
            }
        }
    }

    async fn poll(&self) -> Result<(), String> {
        let channel = self.channel().await?;
        let mut client = OttoscalerServiceClient::new(channel);
        let asking = client.get_worker_status(WorkerStatusRequest::default());
        let answered = tokio::time::timeout(self.options.answer_timeout, asking).await;
        let answer = answered.map_err(|_elapsed| "there is no answer")?;
        let answer = answer.map_err(|status| reason::of_status(&status, METHOD))?;
        for pod in answer.into_inner().workers {
            self.note(&pod).await?;
        }
        Ok(())
    }

    async fn channel(&self) -> Result<Channel, String> {
        let endpoint = endpoint(&self.options)?;
        let connecting = tokio::time::timeout(self.options.answer_timeout, endpoint.connect());
        let connected = connecting.await.map_err(|_elapsed| "the connection is not up")?;
        connected.map_err(|error| reason::of_error(&error))
    }

    /// Keeps a pod's phase where it leads on from what is known.
    async fn note(&self, pod: &WorkerPodStatus) -> Result<(), String> {
        let Some(state) = state_of(&pod.status) else {
            add(&self.counters.invalid, 1);
            return Ok(());
        };
        if self.known(pod).is_some_and(|known| progress(known) >= progress(state)) {
            return Ok(());
        }
        match self.intake.notify(parts(pod, state)).await {
            Ok(notified) => add(&self.counters.statuses, (notified == Notified::Kept).into()),
            Err(StatusError::Id(_) | StatusError::TooLarge { .. }) => {
                add(&self.counters.invalid, 1);
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    fn known(&self, pod: &WorkerPodStatus) -> Option<WorkerState> {
        let task = self.log.task(&TaskId::new(&pod.task_id).ok()?)?;
        let mut workers = task.workers.into_iter();
        workers.find(|worker| worker.worker.as_str() == pod.pod_name)?.state
    }
}

/// What a Kubernetes phase means for a worker; `Unknown` means nothing.
fn state_of(phase: &str) -> Option<WorkerState> {
    match phase {
        "Pending" => Some(WorkerState::Created),
        "Running" => Some(WorkerState::Running),
        "Succeeded" => Some(WorkerState::Completed),
        "Failed" => Some(WorkerState::Failed),
        _ => None,
    }
}

/// How far a worker is. Phases lag behind what workers tell of themselves, so a state is kept
/// only when it is further on.
fn progress(state: WorkerState) -> u8 {
    match state {
        WorkerState::Created => 0,
        WorkerState::Running => 1,
        _ended => 2,
    }
}

fn parts(pod: &WorkerPodStatus, state: WorkerState) -> StatusParts<'_> {
    let timestamp = match state {
        WorkerState::Created => &pod.created_at,
        WorkerState::Running => &pod.started_at,
        _ended => &pod.completed_at,
    };
    StatusParts {
        task_id: &pod.task_id,
        worker_id: &pod.pod_name,
        state,
        timestamp,
        reason: &pod.error_message,
        metadata: Vec::new(),
    }
}
