//! `grpc.health.v1.Health`: whether the log takes entries, per service.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::store::Log;

/// The services that this server serves, by their full names.
pub(super) const SERVICES: [&str; 4] = [
    "ottoscaler.v1.OttoHandlerLogService",
    "ottoscaler.v1.LogStreamingService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
];

/// What the health service reports. Clones share it.
#[derive(Clone)]
pub struct Health(HealthReporter);

impl Health {
    /// Reports SERVING.
    pub async fn new() -> Self {
        let health = Self(HealthReporter::new());
        health.set(ServingStatus::Serving).await;
        health
    }

    /// Reports NOT_SERVING while `log` takes nothing, and for good once `drain` is cancelled; then
    /// it returns.
    pub async fn follow(self, log: Arc<dyn Log>, drain: CancellationToken) {
        let mut state = log.write_state();
        loop {
            let is_ok = state.borrow_and_update().is_ok();
            self.set(if is_ok { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
            let changed = drain.run_until_cancelled(state.changed()).await;
            if !matches!(changed, Some(Ok(()))) {
                return self.set(ServingStatus::NotServing).await;
            }
        }
    }

    /// The empty name stands for the server as a whole.
    async fn set(&self, status: ServingStatus) {
        for service in SERVICES.into_iter().chain([""]) {
            self.0.set_service_status(service, status).await;
        }
    }

    pub(super) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.0.clone()))
    }
}
