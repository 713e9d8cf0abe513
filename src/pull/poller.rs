//! Polls the phases of worker pods and keeps those that changed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::connection::connect;
use super::options::{Polling, PullOptions};
use super::reason;
use super::state::{Handle, PullState};
use crate::domain::{TaskId, WorkerId, WorkerState};
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
    pub(super) handle: Handle,
}

impl Poller {
    /// Polls until it is dropped; returns at once if nothing is to be polled.
    pub(super) async fn run(self) {
        let mut logged = None;
        while let Some(interval) = self.wait_for_turn().await {
            let failed = self.poll().await.err();
            self.handle.counters().failed_polls.add(failed.is_some().into());
            if let Some(reason) = failed.as_ref().filter(|_| failed != logged) {
                tracing::warn!("pull: the workers' status is not known: {reason}");
            }
            logged = failed;
            sleep(interval).await;
        }
    }

    /// Resolves when it is time to poll, to the wait after it; `None` when it never is.
    async fn wait_for_turn(&self) -> Option<Duration> {
        match self.options.polling {
            Polling::Off => None,
            Polling::Always(interval) => Some(interval),
            Polling::WhilePulling(interval) => {
                let turn = self.handle.watch().wait_for(PullState::is_our_turn).await.map(drop);
                turn.is_ok().then_some(interval)
            }
        }
    }

    async fn poll(&self) -> Result<(), String> {
        let mut client = OttoscalerServiceClient::new(connect(&self.options).await?);
        let call = client.get_worker_status(WorkerStatusRequest::default());
        let response = tokio::time::timeout(self.options.response_timeout, call).await;
        let response = response.map_err(|_elapsed| "there is no response")?;
        let response = response.map_err(|status| reason::of_status(&status, METHOD))?;
        for pod in response.into_inner().workers {
            self.note(&pod).await?;
        }
        Ok(())
    }

    /// Keeps a pod's phase if it is further on than what is known.
    async fn note(&self, pod: &WorkerPodStatus) -> Result<(), String> {
        let Some(state) = state_of(&pod.status) else {
            self.handle.counters().invalid.add(1);
            return Ok(());
        };
        if self.known(pod).await?.is_some_and(|known| progress(known) >= progress(state)) {
            return Ok(());
        }
        match self.intake.notify(parts(pod, state)).await {
            Ok(notified) => {
                self.handle.counters().statuses.add((notified == Notified::Kept).into())
            }
            Err(StatusError::Id(_) | StatusError::TooLarge { .. }) => {
                self.handle.counters().invalid.add(1);
            }
            Err(error) => return Err(error.to_string()),
        }
        Ok(())
    }

    async fn known(&self, pod: &WorkerPodStatus) -> Result<Option<WorkerState>, String> {
        let (Ok(task), Ok(worker)) = (TaskId::new(&pod.task_id), WorkerId::new(&pod.pod_name))
        else {
            return Ok(None);
        };
        let known = self.log.worker(task, worker).await;
        known.map(|known| known.and_then(|worker| worker.state)).map_err(|error| error.to_string())
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

/// How far a worker is. Phases lag behind the statuses that workers send, so a phase is kept only
/// when it is further on.
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
