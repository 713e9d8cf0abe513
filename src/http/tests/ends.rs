//! How a task ended: told, by its workers, or not at all.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use super::support::{Server, deleter, json as json_of, jwt, refusal, soon, token};
use crate::domain::WorkerState::{self, Completed, Failed, Running, Terminated};
use crate::encode::StatusParts;
use crate::http::HttpOptions;
use crate::ingest::Notified;

async fn end(server: &Server, task: &str, body: Value, token: Option<&str>) -> Response {
    let path = format!("/api/v1/log-streaming/tasks/{task}/end");
    let request = server.request(Method::POST, &path).body(body.to_string());
    let request = request.header("content-type", "application/json");
    let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
    soon(request.send()).await.unwrap()
}

/// Notifies a status of worker `w` of task `build`, at this second, with this metadata.
async fn notify(
    server: &Server,
    state: WorkerState,
    second: u32,
    more: &[(&str, &str)],
) -> Notified {
    let timestamp = format!("2026-11-28T10:00:{second:02}Z");
    let status = StatusParts {
        task_id: "build",
        worker_id: "w",
        state,
        timestamp: &timestamp,
        reason: "",
        metadata: more.to_vec(),
    };
    soon(server.state.intake().notify(status)).await.unwrap()
}

async fn task(server: &Server) -> Value {
    server.json("/tasks/build").await
}

#[tokio::test]
async fn an_end_that_is_told_completes_the_task_at_once_and_is_told_alike_everywhere() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    server.push_status("build", "w", Running).await;
    let mut stream = server.events("/stream/build?from=start").await;
    assert_eq!(task(&server).await["outcome"], Value::Null);
    for outcome in ["succeeded", "failed", "terminated", "lost", "unknown"] {
        let told = end(&server, "build", json!({ "outcome": outcome }), None).await;
        assert_eq!(told.status(), 200);
        let told = json_of(told).await;
        assert_eq!((&told["state"], &told["outcome"]), (&"complete".into(), &outcome.into()));
        let listed = server.json(&format!("/tasks?outcome={outcome}")).await;
        assert_eq!(listed["tasks"][0]["outcome"], outcome);
        let others = server.json("/tasks?state=running").await;
        assert_eq!(others["tasks"], json!([]));
    }
    stream.expect("log").await;
    stream.expect("status").await;
    let first = stream.expect("end").await.json();
    assert_eq!((&first["taskId"], &first["outcome"]), (&"build".into(), &"succeeded".into()));
    assert_eq!(first.get("workerId"), None);
    let mut again = server.events("/stream/build?from=start").await;
    again.expect("log").await;
    again.expect("status").await;
    for _ in 0..5 {
        again.expect("end").await;
    }
    assert_eq!(again.expect("complete").await.json()["outcome"], "unknown");
    assert_eq!(task(&server).await["workerCounts"]["total"], 1);
    server.stop().await;
}

#[tokio::test]
async fn a_line_after_the_end_reopens_the_task_and_its_end_is_told_of_the_whole() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    server.push_status("build", "w", Completed).await;
    assert_eq!(task(&server).await["outcome"], "succeeded");
    end(&server, "build", json!({ "outcome": "succeeded" }), None).await;
    server.push("build", "v", &["two"]).await;
    let reopened = task(&server).await;
    assert_eq!((&reopened["state"], &reopened["outcome"]), (&"running".into(), &Value::Null));
    server.push_status("build", "v", Failed).await;
    assert_eq!(task(&server).await["outcome"], "failed");
    let mut stream = server.events("/stream/build?from=start").await;
    for name in ["log", "status", "end", "log", "status"] {
        stream.expect(name).await;
    }
    let complete = stream.expect("complete").await.json();
    assert_eq!((&complete["outcome"], &complete["lines"]), (&"failed".into(), &2.into()));
    server.stop().await;
}

#[tokio::test]
async fn an_end_stays_whatever_comes_late_and_every_status_stays_in_the_log() {
    let server = Server::start().await;
    assert_eq!(notify(&server, Failed, 5, &[("exit_code", "3")]).await, Notified::Kept);
    assert_eq!(notify(&server, Running, 1, &[]).await, Notified::Kept);
    assert_eq!(notify(&server, Running, 5, &[]).await, Notified::Kept);
    assert_eq!(notify(&server, Completed, 5, &[]).await, Notified::Kept);
    assert_eq!(notify(&server, Failed, 5, &[("exit_code", "3")]).await, Notified::Repeated);
    assert_eq!(notify(&server, Completed, 5, &[]).await, Notified::Repeated);
    let shown = task(&server).await;
    assert_eq!((&shown["outcome"], &shown["failed"]), (&"failed".into(), &true.into()));
    let worker = &shown["workers"][0];
    assert_eq!((&worker["state"], &worker["exitCode"]), (&"FAILED".into(), &3.into()));
    assert_eq!(notify(&server, Running, 6, &[]).await, Notified::Kept);
    assert_eq!(task(&server).await["state"], "running");
    assert_eq!(notify(&server, Terminated, 7, &[]).await, Notified::Kept);
    assert_eq!(task(&server).await["outcome"], "terminated");
    let mut stream = server.events("/stream/build?from=start").await;
    for expected in ["FAILED", "RUNNING", "RUNNING", "COMPLETED", "RUNNING", "TERMINATED"] {
        assert_eq!(stream.expect("status").await.json()["status"], expected);
    }
    server.stop().await;
}

#[tokio::test]
async fn what_ended_a_task_is_known_after_a_restart_also_from_sealed_segments() {
    let small = |options: crate::store::StoreOptions| crate::store::StoreOptions {
        segment_bytes: 1 << 20,
        ..options
    };
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start_in(dir, HttpOptions::default(), small).await;
    notify(&server, Failed, 5, &[("exit_code", "3")]).await;
    notify(&server, Running, 1, &[]).await;
    server.push("told", "w", &["one"]).await;
    end(&server, "told", json!({ "outcome": "terminated" }), None).await;
    let before = (task(&server).await, server.json("/tasks/told").await);
    for fill_segments in [true, false] {
        if fill_segments {
            let line = "x".repeat(100_000);
            for _ in 0..30 {
                server.push("filler", "w", &[&line]).await;
            }
        }
        assert_eq!((task(&server).await, server.json("/tasks/told").await), before);
    }
    let server = Server::start_in(server.stop().await, HttpOptions::default(), small).await;
    assert_eq!((task(&server).await, server.json("/tasks/told").await), before);
    assert_eq!(before.0["outcome"], "failed");
    assert_eq!(before.1["outcome"], "terminated");
    assert_eq!(notify(&server, Running, 1, &[]).await, Notified::Repeated);
    server.stop().await;
}

#[tokio::test]
async fn a_status_may_tell_the_end_of_its_task() {
    let server = Server::start().await;
    server.push("build", "other", &["one"]).await;
    notify(&server, Completed, 1, &[("otto.task", "end"), ("otto.outcome", "failed")]).await;
    let shown = task(&server).await;
    assert_eq!((&shown["state"], &shown["outcome"]), (&"complete".into(), &"failed".into()));
    let refused = |metadata| {
        let status = StatusParts {
            task_id: "build",
            worker_id: "w",
            state: Completed,
            timestamp: "",
            reason: "",
            metadata,
        };
        let intake = server.state.intake().clone();
        async move { soon(intake.notify(status)).await.unwrap_err().to_string() }
    };
    let outcome = refused(vec![("otto.task", "end"), ("otto.outcome", "green")]).await;
    assert!(outcome.starts_with("otto.outcome is \"green\" is not an outcome"), "{outcome}");
    let of_task = refused(vec![("otto.task", "begin")]).await;
    assert_eq!(of_task, "otto.task is \"begin\", it needs end");
    server.stop().await;
}

#[tokio::test]
async fn an_end_that_is_not_a_known_outcome_is_refused_with_value_and_rule() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    let refused = refusal(end(&server, "build", json!({ "outcome": "green" }), None).await, 400);
    assert!(refused.await.contains("\"green\" is not an outcome, it needs succeeded"));
    let unknown = refusal(end(&server, "build", json!({ "result": "failed" }), None).await, 422);
    assert!(unknown.await.contains("result"));
    let no_task = refusal(end(&server, "typo", json!({ "outcome": "failed" }), None).await, 404);
    assert!(no_task.await.contains("typo"));
    let path = "/api/v1/log-streaming/tasks/build/end";
    let form = server.request(Method::POST, path).body("outcome=failed");
    refusal(soon(form.send()).await.unwrap(), 415).await;
    let listed = refusal(server.get("/tasks?outcome=green").await, 400).await;
    assert!(listed.contains("it must be succeeded, failed, terminated, lost or unknown"));
    assert_eq!(task(&server).await["state"], "running");
    let without = end(&server, "build", json!({}), None).await;
    assert_eq!(json_of(without).await["outcome"], "lost");
    server.stop().await;
}

#[tokio::test]
async fn only_a_token_that_names_the_task_and_may_push_ends_it() {
    let server = Server::start_with(jwt()).await;
    server.push("build", "w", &["one"]).await;
    let failed = || json!({ "outcome": "failed" });
    assert_eq!(end(&server, "build", failed(), None).await.status(), 401);
    let reader = token("me", 60, Some(&["build"]));
    let refused = refusal(end(&server, "build", failed(), Some(&reader)).await, 403).await;
    assert!(refused.contains("claim push"), "{refused}");
    let of_others = deleter(&["other"]);
    refusal(end(&server, "build", failed(), Some(&of_others)).await, 403).await;
    refusal(end(&server, "unknown", failed(), Some(&of_others)).await, 403).await;
    let allowed = deleter(&["build"]);
    assert_eq!(end(&server, "build", failed(), Some(&allowed)).await.status(), 200);
    server.stop().await;
}
