//! Streams: what is sent, where it begins, and how it ends.

use std::time::Duration;

use super::support::{Events, Server, json, refusal, soon};
use crate::domain::{TaskId, WorkerState};
use crate::http::HttpOptions;

fn names(events: &[super::support::Event]) -> Vec<&str> {
    events.iter().map(|event| event.name.as_str()).collect()
}

#[tokio::test]
async fn a_stream_begins_with_a_jittered_retry_and_gives_each_line_its_id_and_json() {
    let server = Server::start().await;
    server.push("build", "w1", &["one", "two\nlines"]).await;
    let mut events = server.events("/stream/build").await;
    assert!((1000..=3000).contains(&events.retry_ms));
    let first = events.expect("log").await;
    let json = first.json();
    assert_eq!(json["offset"], 1);
    assert_eq!(json["line"], 1);
    assert_eq!(json["workerId"], "w1");
    assert_eq!(json["level"], "INFO");
    assert!(first.id.unwrap().ends_with("-1"));
    assert_eq!(events.expect("log").await.json()["message"], "two\nlines");
    server.stop().await;
}

#[tokio::test]
async fn two_viewers_one_late_get_the_same_frames_in_the_same_order() {
    let server = Server::start().await;
    server.push("build", "w", &["a", "b"]).await;
    let mut early = server.events("/stream/build").await;
    let mut seen = vec![early.expect("log").await];
    server.push("other", "w", &["not this"]).await;
    server.push("build", "w", &["c"]).await;
    for _ in 0..2 {
        seen.push(early.expect("log").await);
    }
    let mut late = server.events("/logs/build/stream").await;
    for event in seen {
        assert_eq!(late.expect("log").await, event);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_task_not_seen_yet_opens_and_waits() {
    let server = Server::start().await;
    let mut events = server.events("/stream/soon%2Fhere").await;
    server.push("soon/here", "w", &["first"]).await;
    assert_eq!(events.lines(1).await, ["first"]);
    server.stop().await;
}

#[tokio::test]
async fn a_viewer_cut_off_by_a_restart_misses_and_repeats_nothing() {
    let server = Server::start().await;
    server.push("build", "w", &["1", "2", "3"]).await;
    let mut events = server.events("/stream/build").await;
    events.lines(1).await;
    let last_id = events.expect("log").await.id.unwrap();
    let dir = server.stop().await;
    let server = Server::start_in(dir, HttpOptions::default(), |options| options).await;
    server.push("build", "w", &["4"]).await;
    let by_header = server.api("/stream/build").header("last-event-id", &last_id);
    assert_eq!(Events::of(by_header).await.lines(2).await, ["3", "4"]);
    let by_query = format!("/stream/build?from=start&lastEventId={last_id}");
    assert_eq!(server.events(&by_query).await.lines(2).await, ["3", "4"]);
    server.stop().await;
}

#[tokio::test]
async fn an_id_of_another_epoch_or_never_given_resets_the_stream_to_its_start() {
    let server = Server::start().await;
    server.push("build", "w", &["1", "2"]).await;
    let given = server.events("/stream/build").await.expect("log").await.id.unwrap();
    let epoch = given.split_once('-').unwrap().0.to_owned();
    for id in ["00000000-1".to_owned(), format!("{epoch}-3")] {
        let request = server.api("/stream/build").header("last-event-id", id);
        let mut events = Events::of(request).await;
        let reset = events.expect("reset").await;
        assert_eq!(reset.json()["epoch"], epoch);
        assert_eq!(events.lines(2).await, ["1", "2"]);
        // Cut off right after the reset, the viewer resumes at the start without another one.
        let again = server.api("/stream/build").header("last-event-id", reset.id.unwrap());
        assert_eq!(Events::of(again).await.lines(2).await, ["1", "2"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_malformed_last_event_id_is_refused_with_the_form_it_needs() {
    let server = Server::start().await;
    let request = server.api("/stream/build").header("last-event-id", "seven");
    let detail = refusal(soon(request.send()).await.unwrap(), 400).await;
    assert_eq!(
        detail,
        "Last-Event-ID: \"seven\" is not an event id, it needs the form <8 hex digits>-<offset>, as in \
         1f2e3d4c-1207"
    );
    let detail = refusal(server.get("/stream?lastEventId=7").await, 400).await;
    assert!(detail.starts_with("lastEventId is \"7\", it must be an event id"), "{detail}");
    server.stop().await;
}

#[tokio::test]
async fn statuses_and_gaps_are_sent_and_a_complete_task_ends_with_its_outcome() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    server.push_gap("build", 3).await;
    server.push_status("build", "w", WorkerState::Failed).await;
    let mut events = server.events("/stream/build").await;
    let all = events.rest().await;
    assert_eq!(names(&all), ["log", "gap", "status", "complete"]);
    let gap = all[1].json();
    assert_eq!((&gap["from"], &gap["to"], &gap["lines"]), (&2.into(), &2.into(), &3.into()));
    assert_eq!(gap["reason"], "too_large");
    assert_eq!(all[2].json()["status"], "FAILED");
    let expected = serde_json::json!({
        "taskId": "build", "lines": 1, "lostLines": 3, "outcome": "failed", "failed": true,
        "workerCounts": {
            "total": 1, "unknown": 0, "created": 0, "running": 0, "completed": 0, "failed": 1,
            "terminated": 0, "unended": 0, "silent": 0, "cut": 0,
        },
        "workers": [{
            "workerId": "w", "lines": 1, "cut": 0, "missing": 0, "exitCode": null, "state": "FAILED",
        }],
    });
    assert_eq!(all[3].json(), expected);
    let last_id = all[3].id.clone().unwrap();
    assert_eq!(Some(&last_id), all[2].id.as_ref());
    let again = server.api("/stream/build").header("last-event-id", last_id);
    assert_eq!(soon(again.send()).await.unwrap().status(), 204);
    // One that was not at the end yet gets what it misses, and how its task ended.
    let id = all[0].id.clone().unwrap();
    let mut late = Events::of(server.api("/stream/build").header("last-event-id", id)).await;
    assert_eq!(names(&late.rest().await), ["gap", "status", "complete"]);
    server.until_viewers(0).await;
    server.stop().await;
}

#[tokio::test]
async fn an_active_task_completes_when_its_last_stream_ends() {
    let server = Server::start().await;
    let active = server.tasks.activate(&TaskId::new("build").unwrap());
    server.push("build", "w", &["one"]).await;
    server.push_status("build", "w", WorkerState::Completed).await;
    let mut events = server.events("/stream/build").await;
    events.expect("log").await;
    events.expect("status").await;
    drop(active);
    assert_eq!(events.expect("complete").await.json()["failed"], false);
    assert_eq!(events.next().await, None);
    server.stop().await;
}

#[tokio::test]
async fn filters_hide_lines_and_move_the_resume_point_past_them() {
    let server = Server::start().await;
    server.push_at("build", "ERROR", "bad").await;
    server.push_at("build", "INFO", "fine").await;
    server.push_at("build", "INFO", "finer").await;
    let mut events = server.events("/stream/build?level=error,warn").await;
    assert_eq!(events.lines(1).await, ["bad"]);
    let hidden = events.next().await.unwrap();
    assert_eq!((hidden.name.as_str(), &hidden.data), ("", &None));
    let id = hidden.id.unwrap();
    assert!(id.ends_with("-3"), "{id}");
    server.push_at("build", "warn", "careful").await;
    assert_eq!(events.lines(1).await, ["careful"]);
    let resumed = server.api("/stream/build").header("last-event-id", id);
    assert_eq!(Events::of(resumed).await.lines(1).await, ["careful"]);
    server.stop().await;
}

#[tokio::test]
async fn frames_that_only_move_the_resume_point_come_at_most_once_a_second() {
    let server = Server::start().await;
    let mut events = server.events("/stream/build?level=error").await;
    server.push_at("build", "INFO", "0").await;
    let mut moved = vec![events.next().await.unwrap()];
    for n in 1..20 {
        server.push_at("build", "INFO", &n.to_string()).await;
    }
    moved.push(events.next().await.unwrap());
    assert!(moved[1].id.as_ref().unwrap().ends_with("-20"), "{moved:?}");
    server.stop().await;
}

#[tokio::test]
async fn keywords_workers_and_times_are_anded() {
    let server = Server::start().await;
    server.push("build", "w1", &["Compiling serde", "Linking"]).await;
    server.push("build", "w2", &["compiling tokio"]).await;
    let path = "/stream/build?follow=false&keywords=COMPILING,nothing&workerId=w2,w3&since=";
    let mut events = server.events(path).await;
    assert_eq!(events.lines(1).await, ["compiling tokio"]);
    assert_eq!(events.next().await, None);
    let none = server.events("/stream/build?follow=false&until=2001-01-01T00:00:00Z").await;
    let rest = { none }.rest().await;
    assert_eq!(names(&rest), [""], "only the resume point moves");
    server.stop().await;
}

#[tokio::test]
async fn a_stream_starts_where_it_is_asked_to() {
    let server = Server::start().await;
    server.push("build", "w", &["1", "2", "3"]).await;
    let first = server.events("/stream/build?from=start").await.expect("log").await;
    let after_first = format!("/stream/build?from={}", first.id.unwrap());
    for (path, expected) in [
        ("/stream/build?tail=2&follow=false", vec!["2", "3"]),
        ("/stream/build?tail=0&follow=false", vec![]),
        ("/stream/build?tail=9&follow=false", vec!["1", "2", "3"]),
        ("/stream/build?from=now&follow=false", vec![]),
        ("/stream?follow=false", vec![]),
        ("/stream?from=start&follow=false", vec!["1", "2", "3"]),
        (&format!("{after_first}&follow=false"), vec!["2", "3"]),
    ] {
        let rest = server.events(path).await.rest().await;
        let lines: Vec<_> = rest.iter().filter(|event| event.name == "log").collect();
        let messages: Vec<_> = lines.iter().map(|line| line.json()["message"].clone()).collect();
        assert_eq!(messages, expected, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_viewer_that_starts_now_can_resume_before_its_first_event() {
    let server = Server::start().await;
    server.push("build", "w", &["before"]).await;
    let id = server.events("/stream").await.next().await.unwrap().id.unwrap();
    server.push("build", "w", &["while it was away"]).await;
    let resumed = server.api("/stream").header("last-event-id", id);
    assert_eq!(Events::of(resumed).await.lines(1).await, ["while it was away"]);
    server.stop().await;
}

#[tokio::test]
async fn bad_parameters_are_refused_by_name_value_and_rule() {
    let server = Server::start().await;
    for (query, expected) in [
        ("lvl=x", "\"lvl\" is not a parameter here, known are: level, source, keywords"),
        ("from=yesterday", "from is \"yesterday\", it must be start, now or an event id"),
        ("tail=-1", "tail is \"-1\", it must be a whole number from 0 on"),
        ("tail=1&from=now", "tail is \"1\", but from is given too"),
        ("follow=maybe", "follow is \"maybe\", it must be true or false"),
        ("follow=true&follow=true", "follow is \"true\", and was given before"),
        ("since=noon", "since is \"noon\", it must be a time of RFC 3339"),
        ("workerId=%0A,a%00", "worker_id holds the control character U+0000"),
        ("errors=loud", "errors is \"loud\", it must be events or status"),
    ] {
        for route in ["/stream", "/stream/build", "/logs/build/stream"] {
            let response = server.get(&format!("{route}?{query}")).await;
            let detail = refusal(response, 400).await;
            assert!(detail.contains(expected), "{route}?{query}: {detail}");
        }
    }
    let problem = json(server.get("/stream?tail=x").await).await;
    assert_eq!(problem["parameter"], "tail");
    assert_eq!(problem["value"], "x");
    assert!(problem["known"].as_array().unwrap().contains(&"keywords".into()));
    server.stop().await;
}

#[tokio::test]
async fn silence_is_broken_by_heartbeats_without_an_id() {
    let heartbeat = Duration::from_millis(20);
    let server = Server::start_with(HttpOptions { heartbeat, ..HttpOptions::default() }).await;
    let mut events = server.events("/stream/build").await;
    for _ in 0..3 {
        let event = events.expect("heartbeat").await;
        assert_eq!(event.id, None);
        assert!(event.json()["timestamp"].as_str().unwrap().ends_with('Z'));
    }
    server.stop().await;
}

#[tokio::test]
async fn draining_ends_streams_with_a_reason_and_a_hint_when_to_reconnect() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    let mut events = server.events("/stream/build").await;
    events.lines(1).await;
    server.drain.cancel();
    let rest = events.rest().await;
    assert!(rest[0].retry.is_some());
    let error = rest[1].json();
    assert_eq!((&error["code"], &error["retryable"]), (&"draining".into(), &true.into()));
    assert_eq!(rest.len(), 2);
    soon(server.serving).await.unwrap();
    assert_eq!(server.state.active_viewers(), 0);
}

#[tokio::test]
async fn no_more_viewers_than_the_limit_are_connected_until_one_leaves() {
    let server = Server::start_with(HttpOptions { max_viewers: 1, ..HttpOptions::default() }).await;
    let events = server.events("/stream").await;
    let refused = server.get("/stream/build").await;
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(refusal(refused, 503).await, "1 viewers are connected, which is the limit");
    drop(events);
    server.until_viewers(0).await;
    server.events("/stream").await;
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_sent_as_an_event_on_request() {
    let server = Server::start_with(HttpOptions { max_viewers: 0, ..HttpOptions::default() }).await;
    for (path, code, retryable) in [
        ("/stream/build?errors=events", "too_many_viewers", true),
        ("/stream/build?errors=events&tail=x", "invalid_parameter", false),
        ("/stream/a%0Ab?errors=events", "invalid_id", false),
    ] {
        let rest = server.events(path).await.rest().await;
        assert_eq!(names(&rest), ["error"], "{path}");
        let error = rest[0].json();
        assert_eq!((&error["code"], &error["retryable"]), (&code.into(), &retryable.into()));
        assert!(error["message"].is_string());
    }
    server.stop().await;
}
