//! The metrics say what was done, to the entry.

mod described;
mod scrape;

use otto_handler::http::{Claims, sign};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use otto_handler::proto::ottoscaler::log_forward_response::Status;

use crate::support::{Producer, Reader, TestServer, connect, entry, get, numbered, with_token};
use scrape::{Scrape, scraped_once};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn numbered_by_session(seq: u64) -> WorkerLogEntry {
    let mut line = entry("t", &format!("line {seq}"));
    line.worker_id = "counts".into();
    let metadata = [("otto.session", "s".to_owned()), ("otto.seq", seq.to_string())];
    line.metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    line
}

#[tokio::test]
async fn entries_are_counted_by_what_became_of_them_and_each_batch_and_commit_is_timed() {
    let server = TestServer::start().await;
    let before = Scrape::of(&server).await;
    before.has(&[
        ("otto_ready", 1.0),
        ("otto_entries_total{outcome=\"kept\"}", 0.0),
        ("otto_store_state{state=\"ok\"}", 1.0),
        ("otto_pull_state{state=\"off\"}", 1.0),
        ("otto_push_streams_limit", 4096.0),
        ("otto_queue_limit_bytes", f64::from(16 << 20)),
        ("otto_ingest_limit_bytes", f64::from(48 << 20)),
    ]);
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 7)).await;
    // Numbers 3 and 4 are missing, and number 2 is a repeat.
    producer.push_all(8, [1, 2, 5, 2].map(numbered_by_session).to_vec()).await;
    let unnamed = WorkerLogEntry { worker_id: String::new(), ..entry("t", "whose?") };
    producer.send(unnamed).await;
    assert_eq!(producer.response().await.status, i32::from(Status::Drop));
    let after = scraped_once(&server, "otto_gaps_total{reason=\"refused\"}", 1.0).await;
    after.has(&[
        // Ten lines, and the gap for the refused one.
        ("otto_entries_total{outcome=\"kept\"}", 11.0),
        ("otto_entries_total{outcome=\"repeated\"}", 1.0),
        ("otto_entries_total{outcome=\"dropped\"}", 1.0),
        ("otto_entries_total{outcome=\"retried\"}", 0.0),
        ("otto_gaps_total{reason=\"numbering\"}", 1.0),
        ("otto_lost_lines_total{reason=\"numbering\"}", 2.0),
        ("otto_lost_lines_total{reason=\"refused\"}", 1.0),
        ("otto_gaps_total{reason=\"cut\"}", 0.0),
        // A batch and a commit for each line that was waited for; the repeat makes no commit.
        ("otto_ack_latency_seconds_count", 11.0),
        ("otto_commit_seconds_count", 11.0),
        ("otto_commit_entries_count", 11.0),
        // The gap for what the numbers leave out, too.
        ("otto_commit_entries_sum", 12.0),
        ("otto_push_streams_open", 1.0),
        ("otto_push_streams_total", 1.0),
        ("otto_segments", 1.0),
        ("otto_queue_waits_total", 0.0),
    ]);
    let positive = ["otto_ack_latency_seconds_sum", "otto_commit_seconds_sum", "otto_hub_bytes"];
    for series in positive.into_iter().chain(["otto_entry_bytes_total", "otto_volume_free_bytes"]) {
        assert!(after.value(series) > 0.0, "{series}");
    }
    assert!(after.value("otto_commit_bytes_sum") <= after.value("otto_disk_bytes"));
    assert_eq!(after.value("otto_start_time_seconds"), before.value("otto_start_time_seconds"));
    producer.finish().await;
    scraped_once(&server, "otto_push_streams_open", 0.0).await;
}

#[tokio::test]
async fn a_stream_that_its_sender_cuts_is_counted_as_a_gap() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 1)).await;
    drop(producer);
    let after = scraped_once(&server, "otto_gaps_total{reason=\"cut\"}", 1.0).await;
    after.has(&[("otto_lost_lines_total{reason=\"cut\"}", 0.0)]);
}

#[tokio::test]
async fn viewers_are_counted_with_what_they_were_sent_and_what_was_refused() {
    let server = TestServer::start_with(&["--max-viewers=2"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 25)).await;
    let mut all = Reader::open(&server.api("/stream/t")).await;
    let mut few = Reader::open(&server.api("/stream/t?keywords=line%207")).await;
    assert_eq!((all.logs(25).await.len(), few.logs(1).await.len()), (25, 1));
    assert_eq!(get(&server.api("/stream/t"), None).await.status(), 503);
    assert_eq!(get(&server.api("/stream/t?errors=events"), None).await.status(), 200);
    assert_eq!(get(&server.api("/tasks/none"), None).await.status(), 404);
    let scrape = Scrape::of(&server).await;
    scrape.has(&[
        ("otto_viewers_open{transport=\"sse\"}", 2.0),
        ("otto_viewers_total{transport=\"sse\"}", 2.0),
        ("otto_viewers_limit", 2.0),
        ("otto_delivered_entries_total{transport=\"sse\"}", 26.0),
        ("otto_refusals_total{reason=\"viewers\"}", 2.0),
        ("otto_problems_total{code=\"too_many_viewers\"}", 2.0),
        ("otto_problems_total{code=\"not_found\"}", 1.0),
        ("otto_viewer_gaps_total{reason=\"retention\"}", 0.0),
    ]);
    assert!(scrape.value("otto_delivered_bytes_total{transport=\"sse\"}") > 26.0 * 100.0);
    assert!(scrape.value("otto_connections_open") >= 3.0, "{scrape:?}");
    drop((all, few));
    scraped_once(&server, "otto_viewers_open{transport=\"sse\"}", 0.0).await;
}

#[tokio::test]
async fn a_viewer_that_is_before_the_newest_entries_is_counted_as_a_replay() {
    let server = TestServer::start_with(&["--hub-bytes=1MiB"]).await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    let line = "x".repeat(64 << 10);
    producer.push_all(1, (0..40).map(|_| entry("t", &line)).collect()).await;
    Reader::open(&server.api("/stream/t")).await.logs(40).await;
    let scrape = Scrape::of(&server).await;
    assert!(scrape.value("otto_replay_reads_total") > 0.0, "{scrape:?}");
    assert!(scrape.value("otto_hub_bytes") <= scrape.value("otto_hub_limit_bytes"));
    scrape.has(&[("otto_viewer_lags_total", 0.0)]);
}

#[tokio::test]
async fn on_a_port_of_their_own_the_metrics_are_for_everyone_and_only_there() {
    let flags = [&format!("--jwt-secret={SECRET}"), "--auth=jwt", "--metrics-addr=127.0.0.1:0"];
    let server = TestServer::start_with(&flags).await;
    let own = server.metrics_port().unwrap();
    assert_eq!(Scrape::at(&own).await.value("otto_ready"), 1.0);
    assert_eq!(get(&server.root("/metrics"), None).await.status(), 404);
    assert_eq!(get(&own.replace("/metrics", "/livez"), None).await.status(), 404);
}

#[tokio::test]
async fn on_the_http_port_the_metrics_need_a_token_that_may_read_every_task() {
    let server = TestServer::start_with(&[&format!("--jwt-secret={SECRET}"), "--auth=jwt"]).await;
    let token = |tasks: Option<&str>| {
        let tasks = tasks.map(|glob| vec![glob.to_owned()]);
        let claims =
            Claims { sub: "p".into(), exp: u64::MAX >> 12, tasks, delete: false, push: false };
        sign(SECRET.as_bytes(), &claims).unwrap()
    };
    let url = server.root("/metrics");
    assert_eq!(get(&url, None).await.status(), 401);
    assert_eq!(with_token(&url, &token(Some("*"))).await.status(), 403);
    let response = with_token(&url, &token(None)).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
}
