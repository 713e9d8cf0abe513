use super::*;
use crate::domain::{TaskId, WorkerState};
use crate::store::Durability;
use crate::subscribe::fixture::Fixture;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const DAY_MS: i64 = 24 * 60 * 60 * 1000;
const LINE: &str = "\"message\":\"m\"}";

/// A log whose clock can be stepped, with complete tasks, the one named first the oldest.
async fn with_tasks(names: &[&str], durability: Durability) -> (Fixture, WallClock) {
    let clock = WallClock::default();
    let stepped = clock.clone();
    let fixture = Fixture::with(1 << 20, Duration::from_secs(300), |options| {
        crate::store::StoreOptions { clock: stepped, durability, segment_chunks: 3, ..options }
    });
    for name in names {
        push_complete(&fixture, name).await;
    }
    (fixture, clock)
}

async fn push_complete(fixture: &Fixture, name: &str) {
    fixture.push(name, &[LINE]).await;
    fixture.push_status(name, WorkerState::Completed).await;
}

async fn service(fixture: &Fixture, kept: TaskRetention, clock: &WallClock) -> RetentionService {
    RetentionService::new(fixture.source.tasks.clone(), kept, clock.clone()).await.unwrap()
}

async fn names(fixture: &Fixture) -> Vec<String> {
    let query = TaskQuery { before: None, limit: 100, max_scanned: 100, filter: None };
    let page = fixture.source.log.tasks(query).await.unwrap();
    page.tasks.into_iter().map(|summary| summary.task.to_string()).collect()
}

#[tokio::test]
async fn the_oldest_finished_tasks_beyond_the_count_go_and_running_ones_stay() {
    for durability in [Durability::Os, Durability::Memory] {
        let (fixture, clock) = with_tasks(&[], durability).await;
        fixture.push("running", &[LINE]).await;
        for name in ["a", "b", "c", "d"] {
            push_complete(&fixture, name).await;
        }
        let active = fixture.source.tasks.activate(&TaskId::new("a").unwrap());
        let kept = TaskRetention { count: Some(3), age: None };
        let mut service = service(&fixture, kept, &clock).await;
        assert_eq!(service.pass().await, Ok(2));
        assert_eq!(names(&fixture).await, ["d", "a", "running"]);
        assert_eq!(service.pass().await, Ok(0));
        drop(active);
        fixture.push("new", &[LINE]).await;
        assert_eq!(service.pass().await, Ok(1));
        assert_eq!(names(&fixture).await, ["new", "d", "running"]);
        assert_eq!(fixture.source.log.stats().deleted_tasks, 3);
    }
}

#[tokio::test]
async fn finished_tasks_go_once_they_are_too_old_at_most_a_tenth_a_pass() {
    let (fixture, clock) = with_tasks(&["a", "b", "c"], Durability::Os).await;
    let kept = TaskRetention { age: Some(DAY / 2), count: None };
    let mut service = service(&fixture, kept, &clock).await;
    assert_eq!(service.pass().await, Ok(0));
    // Less than a day ahead is a server that was busy, not a clock that was set.
    clock.step(DAY_MS * 3 / 4);
    push_complete(&fixture, "young").await;
    let mut later = RetentionService::new(fixture.source.tasks.clone(), kept, clock).await.unwrap();
    assert_eq!(later.pass().await, Ok(1));
    assert_eq!(names(&fixture).await, ["young", "c", "b"]);
    assert_eq!(later.pass().await, Ok(0), "the next pass comes later");
}

#[tokio::test]
async fn a_clock_ten_years_ahead_deletes_no_task() {
    let (fixture, clock) = with_tasks(&["a", "b", "c"], Durability::Os).await;
    let kept = TaskRetention { age: Some(30 * DAY), count: None };
    let mut running = service(&fixture, kept, &clock).await;
    clock.step(3650 * DAY_MS);
    assert_eq!(running.pass().await, Ok(0));
    let mut started = service(&fixture, kept, &clock).await;
    assert_eq!(started.pass().await, Ok(0));
    assert_eq!(names(&fixture).await.len(), 3);
}
