//! A store, a hub and the tasks joined as in a server, for tests of those who read them.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::source::Source;
use super::ticks::Ticks;
use crate::domain::{
    Batch, Block, EventId, Kind, Offset, Records, Run, Scope, TaskId, WorkerId, WorkerState,
    encode_run,
};
use crate::hub::Hub;
use crate::store::{self, Durability, StoreOptions, TaskEnd};
use crate::tasks::{LifeCycle, Tasks};

/// A log of one's own, and the source that reads it.
pub(crate) struct Fixture {
    pub(crate) source: Source,
    _dir: TempDir,
}

pub(crate) fn task(name: &str) -> TaskId {
    TaskId::new(name).unwrap()
}

pub(crate) fn in_task(name: &str) -> Scope {
    Scope::Task(task(name))
}

fn run(name: &str, kind: Kind, bodies: &[&str]) -> Run {
    let mut records = Records::default();
    bodies.iter().for_each(|body| records.push(kind, body.as_bytes()));
    Run { task: task(name), worker: WorkerId::new("w").unwrap(), session: None, records }
}

/// Lines of a task as the committer publishes them, the first with the offset `base`.
pub(crate) fn block(name: &str, base: u64, bodies: &[&str]) -> Arc<Block> {
    let mut payload = Vec::new();
    encode_run(&mut payload, &run(name, Kind::Log, bodies));
    let count = bodies.len() as u32;
    Arc::new(Block {
        task: task(name),
        base: Offset(base),
        base_line: 1,
        count,
        lines: count,
        time_ms: 0,
        payload: payload.into(),
    })
}

impl Fixture {
    /// An empty log, and a hub of `hub_bytes`.
    pub(crate) fn new(hub_bytes: usize) -> Self {
        Self::with(hub_bytes, Duration::from_secs(300), |options| options)
    }

    pub(crate) fn with(
        hub_bytes: usize,
        quiet_period: Duration,
        adjust: impl FnOnce(StoreOptions) -> StoreOptions,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options = StoreOptions { durability: Durability::Os, ..StoreOptions::new(dir.path()) };
        let hub = Hub::new(hub_bytes);
        let (published, forgotten) = (hub.clone(), hub.clone());
        let on_commit = Box::new(move |blocks: &[_], tail| published.publish(blocks, tail));
        let on_delete = Box::new(move |tasks: &[TaskId]| forgotten.forget(tasks));
        let recovered = store::recover(adjust(options)).unwrap().on_delete(on_delete);
        let store = recovered.start(on_commit).unwrap();
        let log = Arc::new(store);
        let tasks = Tasks::new(log.clone(), hub.clone(), LifeCycle::without_grace(quiet_period));
        let source = Source { log, hub, tasks, ticks: Ticks::every(Duration::from_millis(1)) };
        Self { source, _dir: dir }
    }

    /// Appends a line per body and waits until they are committed.
    pub(crate) async fn push(&self, task: &str, bodies: &[&str]) {
        self.append(run(task, Kind::Log, bodies)).await;
    }

    pub(crate) async fn push_status(&self, task: &str, state: WorkerState) {
        self.append(run(task, Kind::Status(state), &["\"status\":0}"])).await;
    }

    async fn append(&self, run: Run) {
        self.source.log.append(Batch::of(vec![run])).await.unwrap().await.unwrap();
    }

    /// Deletes a task as it ends now.
    pub(crate) async fn delete(&self, task: &str) {
        let task = TaskId::new(task).unwrap();
        let last = self.source.log.task(&task).await.unwrap().unwrap().last_offset;
        assert_eq!(self.source.log.delete(vec![TaskEnd { task, last }]).await, Ok(1));
    }

    /// The id of the entry at `offset`.
    pub(crate) fn id(&self, offset: u64) -> EventId {
        EventId { epoch: self.source.log.epoch(), offset: Offset(offset) }
    }
}
