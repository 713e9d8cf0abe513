//! One round: producers and viewers side by side, then the reading at the end.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::actors::entries::PushTarget;
use super::actors::producer::Producer;
use super::actors::reader::{ReadTarget, read_history};
use super::actors::viewer::{Ends, Viewer};
use super::metrics::Metrics;
use super::plan::RoundPlan;
use super::recorder::Recorder;

/// Where a round takes place.
#[derive(Debug, Clone)]
pub(super) struct Targets {
    pub(super) push: PushTarget,
    pub(super) read: ReadTarget,
}

/// A round under way.
pub(super) struct Round {
    tasks: Vec<String>,
    read: ReadTarget,
    recorder: Recorder,
    patience: Duration,
    producers: JoinSet<()>,
    viewers: JoinSet<()>,
    stop: CancellationToken,
    ends: watch::Sender<Ends>,
}

impl Round {
    /// Starts everyone.
    pub(super) fn start(
        plan: &RoundPlan,
        targets: &Targets,
        recorder: Recorder,
        metrics: &Arc<Metrics>,
        patience: Duration,
    ) -> Self {
        let (stop, ends) = (CancellationToken::new(), watch::Sender::new(None));
        let (mut producers, mut viewers) = (JoinSet::new(), JoinSet::new());
        for (turn, viewer) in plan.viewers.iter().enumerate() {
            let named = recorder.named(format!("viewer-{}", turn + 1));
            let (url, token) =
                (targets.read.stream(viewer.task.as_deref()), targets.read.token.clone());
            let (metrics, ends) = (Arc::clone(metrics), ends.subscribe());
            viewers.spawn(
                Viewer::new(viewer.clone(), url, token, named, metrics, ends, patience).run(),
            );
        }
        for (turn, producer) in plan.producers.iter().enumerate() {
            let named = recorder.named(format!("producer-{}", turn + 1));
            let (push, metrics) = (targets.push.clone(), Arc::clone(metrics));
            let stop = stop.clone();
            producers
                .spawn(Producer::new(producer.clone(), push, named, metrics, stop, patience).run());
        }
        let (tasks, read) = (plan.tasks.clone(), targets.read.clone());
        Self { tasks, read, recorder, patience, producers, viewers, stop, ends }
    }

    /// Ends the making of lines and waits until everything is answered.
    pub(super) async fn finish_producing(&mut self) {
        self.stop.cancel();
        while let Some(ended) = self.producers.join_next().await {
            self.check(ended).await;
        }
    }

    /// Reads what was kept, and lets viewers read up to there.
    pub(super) async fn finish_reading(mut self) {
        let ends = read_history(&self.read, &self.tasks, &self.recorder, self.patience).await;
        self.ends.send_replace(Some(Arc::new(ends)));
        while let Some(ended) = self.viewers.join_next().await {
            self.check(ended).await;
        }
    }

    async fn check(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended {
            self.recorder.violated(format!("the checker itself failed: {error}")).await;
        }
    }
}
