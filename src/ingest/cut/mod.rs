//! Streams that their sender cut: what it had not sent is missing.

mod carried;
mod resumption;

use std::sync::Arc;
use std::time::Duration;

pub(super) use carried::{CarriedWorkers, Workers};
pub(super) use resumption::Resumptions;

use super::batch_builder::{BatchBuilder, LostLines};
use super::intake::Intake;
use super::reader::Ids;
use crate::domain::Gap;

/// Notes that the sender of a stream that carried `workers` cut it: of each some lines may never come.
pub(super) fn note_cut(workers: Workers, intake: &Intake, builder: &mut BatchBuilder) {
    for (ids, session) in workers {
        match &session {
            Some(session) => intake.await_resumption(&ids, session),
            None => builder.add_loss(cut(&ids)),
        }
    }
}

/// A gap for what the sender of a cut stream had not sent.
fn cut(ids: &Ids) -> LostLines {
    LostLines { ids: ids.clone(), lines: None, reason: Gap::CUT.to_owned() }
}

impl Intake {
    /// Waits for a session whose stream was cut to come back, and notes a gap if it does not.
    fn await_resumption(&self, ids: &Arc<Ids>, session: &Arc<str>) {
        let key = (Arc::clone(ids), Arc::clone(session));
        let Some(came_back) = self.shared().resumptions.wait_for(&key) else { return };
        let intake = self.clone();
        let active = self.shared().tasks.activate(&ids.task);
        tokio::spawn(async move {
            let shared = intake.shared();
            let patience = tokio::time::sleep(intake.resumption_patience());
            let is_lost = tokio::select! {
                () = came_back.cancelled() => false,
                // Nobody can come back to a server that shuts down.
                () = shared.drain.cancelled() => false,
                () = patience => true,
            };
            if is_lost && shared.resumptions.remove(&key).is_some() {
                intake.note_cut(&key.0).await;
            }
            drop(active);
        });
    }

    fn resumption_patience(&self) -> Duration {
        self.shared().tasks.life_cycle().grace
    }

    async fn note_cut(&self, ids: &Ids) {
        let mut builder = BatchBuilder::starting_at(1);
        builder.add_loss(cut(ids));
        let batch = builder.finish().batch;
        let appended = async { self.shared().log.append(batch).await?.await };
        if let Err(error) = appended.await {
            let (task, worker) = (ids.task.as_str(), ids.worker.as_str());
            tracing::warn!(%error, task, worker, "a cut stream cannot be noted");
        }
    }
}
