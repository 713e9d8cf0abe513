use futures_util::FutureExt;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::domain::{Epoch, Scope};
use crate::http::viewer_permits::{Transport, ViewerPermits};
use crate::log_limiter::LogLimiter;
use crate::subscribe::fixture::{Fixture, block, in_task};
use crate::subscribe::{Filter, Start};

const INFO: &str = "\"level\":\"INFO\",\"message\":\"m\"}";
const ERROR: &str = "\"level\":\"ERROR\",\"message\":\"m\"}";
const HEARTBEAT: Duration = Duration::from_secs(15);

/// A hub whose blocks a test publishes itself, so that a paused clock rules all waiting.
struct Server {
    fixture: Fixture,
    drain: CancellationToken,
    permits: ViewerPermits,
    budget: ReaderBudget,
}

/// What differs between viewers.
struct Wish {
    scope: Scope,
    filter: Filter,
    access: Access,
    expires_in: Option<Duration>,
}

fn everything_of(scope: Scope) -> Wish {
    Wish { scope, filter: Filter::default(), access: Access::All, expires_in: None }
}

fn errors_of(scope: Scope) -> Wish {
    let filter = Filter { levels: vec!["ERROR".into()], ..Filter::default() };
    Wish { filter, ..everything_of(scope) }
}

fn access_to(glob: &str) -> Access {
    Access::only(json!([glob])).unwrap()
}

impl Server {
    fn start() -> Self {
        let drain = CancellationToken::new();
        let (permits, budget) = (ViewerPermits::new(10), ReaderBudget::new(1 << 20));
        Self { fixture: Fixture::new(1 << 20), drain, permits, budget }
    }

    fn publish(&self, block: Arc<Block>) {
        self.fixture.source.hub.publish(&[Arc::clone(&block)], block.end());
    }

    /// A viewer whose greeting was sent.
    async fn viewer(&self, wish: Wish) -> Viewer {
        let source = self.fixture.source.clone();
        let limiter = Arc::new(LogLimiter::new(1, HEARTBEAT));
        let log = ViewerLog::new(limiter, "sse", None, wish.scope.clone());
        let session = ReaderSession::open(source, wish.scope, Start::Beginning, true);
        let mut viewer = Viewer::open(ViewerOptions {
            session: session.await.unwrap(),
            epoch: Epoch(0x1f),
            filter: wish.filter,
            access: wish.access,
            send_position: false,
            heartbeat: HEARTBEAT,
            expires_in: wish.expires_in,
            drain: self.drain.clone(),
            budget: self.budget.clone(),
            permit: self.permits.acquire(Transport::Sse).unwrap(),
            log,
        });
        assert!(next(&mut viewer).await.unwrap().starts_with("retry: "));
        viewer
    }
}

async fn next(viewer: &mut Viewer) -> Option<String> {
    viewer.next().await.map(|chunk| String::from_utf8(chunk.to_vec()).unwrap())
}

/// The offsets in the ids of `frames`.
fn ids(frames: &str) -> Vec<u64> {
    let ids = frames.lines().filter_map(|line| line.strip_prefix("id: 0000001f-"));
    ids.map(|offset| offset.parse().unwrap()).collect()
}

fn is_end(chunk: &str, code: &str) -> bool {
    chunk.contains("retry: ")
        && chunk.contains(&format!("event: error\ndata: {{\"code\":\"{code}\""))
}

#[tokio::test(start_paused = true)]
async fn a_viewer_is_sent_away_with_a_reason_when_the_server_drains() {
    let server = Server::start();
    let mut viewer = server.viewer(everything_of(in_task("a"))).await;
    assert!(next(&mut viewer).now_or_never().is_none());
    server.drain.cancel();
    let end = next(&mut viewer).await.unwrap();
    assert!(is_end(&end, "draining"), "{end}");
    assert_eq!(ids(&end), [0u64; 0]);
    assert_eq!(next(&mut viewer).await, None);
}

#[tokio::test(start_paused = true)]
async fn draining_comes_before_entries_and_tells_the_id_of_hidden_ones() {
    let server = Server::start();
    let mut viewer = server.viewer(errors_of(in_task("a"))).await;
    server.publish(block("a", 1, &[INFO]));
    assert_eq!(next(&mut viewer).await.unwrap(), "id: 0000001f-1\n\n");
    server.publish(block("a", 2, &[INFO]));
    // It was read, and its id waits until one may be sent again.
    let in_time = tokio::time::timeout(ID_ONLY_INTERVAL / 2, next(&mut viewer));
    assert!(in_time.await.is_err());
    server.publish(block("a", 3, &[ERROR]));
    server.drain.cancel();
    let end = next(&mut viewer).await.unwrap();
    assert!(is_end(&end, "draining"), "{end}");
    assert_eq!(ids(&end), [2]);
    assert_eq!(next(&mut viewer).await, None);
}

#[tokio::test(start_paused = true)]
async fn the_timer_sends_a_heartbeat_after_each_silence_and_ends_the_stream_at_expiry() {
    let server = Server::start();
    let expires_in = Some(4 * HEARTBEAT);
    let wish = Wish { expires_in, ..everything_of(in_task("a")) };
    let (opened, mut viewer) = (Instant::now(), server.viewer(wish).await);
    let almost = HEARTBEAT - Duration::from_secs(1);
    for beats in 1..=2 {
        assert!(next(&mut viewer).await.unwrap().starts_with("event: heartbeat\n"));
        assert_eq!(opened.elapsed(), beats * HEARTBEAT);
    }
    tokio::time::advance(almost).await;
    server.publish(block("a", 1, &[INFO]));
    assert_eq!(ids(&next(&mut viewer).await.unwrap()), [1]);
    // The entries broke the silence.
    assert!(next(&mut viewer).await.unwrap().starts_with("event: heartbeat\n"));
    assert_eq!(opened.elapsed(), 3 * HEARTBEAT + almost);
    let end = next(&mut viewer).await.unwrap();
    assert!(is_end(&end, "token_expired"), "{end}");
    assert_eq!(opened.elapsed(), 4 * HEARTBEAT);
    assert_eq!(next(&mut viewer).await, None);
}

#[tokio::test(start_paused = true)]
async fn hidden_entries_move_the_id_once_a_second_and_a_visible_one_does_at_once() {
    let server = Server::start();
    let mut viewer = server.viewer(errors_of(in_task("a"))).await;
    server.publish(block("a", 1, &[INFO]));
    assert_eq!(next(&mut viewer).await.unwrap(), "id: 0000001f-1\n\n");
    let moved = Instant::now();
    server.publish(block("a", 2, &[INFO, INFO]));
    assert_eq!(next(&mut viewer).await.unwrap(), "id: 0000001f-3\n\n");
    assert_eq!(moved.elapsed(), ID_ONLY_INTERVAL);
    server.publish(block("a", 4, &[INFO, ERROR]));
    let frames = next(&mut viewer).await.unwrap();
    assert_eq!(ids(&frames), [5]);
    assert!(frames.starts_with("event: log\n"));
    // Nothing is hidden after it, so the next thing is a heartbeat.
    assert!(next(&mut viewer).await.unwrap().starts_with("event: heartbeat\n"));
}

#[tokio::test(start_paused = true)]
async fn a_narrowed_token_sees_its_tasks_and_ids_of_the_others() {
    let server = Server::start();
    let wish = Wish { access: access_to("a*"), ..everything_of(Scope::All) };
    let mut viewer = server.viewer(wish).await;
    server.publish(block("a1", 1, &[INFO]));
    server.publish(block("b", 2, &[INFO, INFO]));
    server.publish(block("a2", 4, &[INFO]));
    server.publish(block("b", 5, &[INFO]));
    assert_eq!(ids(&next(&mut viewer).await.unwrap()), [1, 4]);
    assert_eq!(next(&mut viewer).await.unwrap(), "id: 0000001f-5\n\n");
}

#[tokio::test]
async fn only_an_unnarrowed_token_is_told_how_many_lines_a_gap_has() {
    let server = Server::start();
    for (access, lines) in [(Access::All, "\"lines\":7"), (access_to("a*"), "\"lines\":null")] {
        let mut viewer = server.viewer(Wish { access, ..everything_of(Scope::All) }).await;
        viewer.hidden = Some(Offset(3));
        let gap = Gap { from: Offset(4), to: Offset(9), lines: Some(7), reason: "retention" };
        let frame = viewer.on_event(Event::Gap(gap)).unwrap();
        let frame = std::str::from_utf8(&frame).unwrap();
        assert!(frame.starts_with("event: gap\nid: 0000001f-9\n") && frame.contains(lines));
        assert_eq!(viewer.hidden, None, "the gap's id is later");
    }
}

#[tokio::test]
async fn viewers_that_see_all_are_sent_the_same_bytes_and_filtered_ones_their_own() {
    let server = Server::start();
    let mut viewers = Vec::new();
    for wish in [everything_of(in_task("a")), everything_of(in_task("a")), errors_of(in_task("a"))]
    {
        viewers.push(server.viewer(wish).await);
    }
    server.publish(block("a", 1, &[ERROR, ERROR]));
    let mut chunks = Vec::new();
    for viewer in &mut viewers {
        chunks.push(viewer.next().await.unwrap());
    }
    assert_eq!(chunks[0].as_ptr(), chunks[1].as_ptr());
    assert_eq!(chunks[0], chunks[2]);
    assert_ne!(chunks[0].as_ptr(), chunks[2].as_ptr());
}

#[tokio::test]
async fn what_a_viewer_sees_of_a_long_range_comes_in_several_chunks() {
    let server = Server::start();
    let long = format!("\"level\":\"ERROR\",\"message\":\"{}\"}}", "x".repeat(PIECE_BYTES / 2));
    for base in 1..=5 {
        server.publish(block("a", base, &[&long]));
    }
    let mut viewer = server.viewer(errors_of(in_task("a"))).await;
    let mut chunks = Vec::new();
    while chunks.iter().map(Vec::len).sum::<usize>() < 5 {
        chunks.push(ids(&next(&mut viewer).await.unwrap()));
    }
    assert_eq!(chunks, [vec![1, 2], vec![3, 4], vec![5]]);
}

#[tokio::test]
async fn a_viewer_without_budget_gets_every_entry_in_small_pieces_and_waits_for_a_large_one() {
    let server = Server::start();
    let line = format!("\"message\":\"{}\"}}", "x".repeat(PIECE_BYTES / 4));
    let large = format!("\"message\":\"{}\"}}", "x".repeat(2 * PIECE_BYTES));
    let lines: Vec<&str> = vec![&line; 10];
    server.publish(block("a", 1, &lines));
    server.publish(block("a", 11, &[&large]));
    server.publish(block("a", 12, &lines));
    let mut viewer = server.viewer(everything_of(in_task("a"))).await;
    let all =
        (server.budget.try_ahead(1 << 20).unwrap(), server.budget.try_large(1 << 20).unwrap());
    let mut seen = Vec::new();
    while seen.len() < 10 {
        let chunk = next(&mut viewer).await.unwrap();
        assert!(chunk.len() < 2 * PIECE_BYTES, "{} bytes", chunk.len());
        seen.extend(ids(&chunk));
    }
    assert!(next(&mut viewer).now_or_never().is_none(), "there was no memory");
    drop(all);
    while seen.len() < 21 {
        seen.extend(ids(&next(&mut viewer).await.unwrap()));
    }
    assert_eq!(seen, (1..=21).collect::<Vec<u64>>());
}
