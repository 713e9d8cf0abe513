//! Deleting tasks.

use reqwest::{Method, Response};

use super::support::{Server, deleter, json, jwt, refusal, soon, token};
use crate::domain::{TaskId, WorkerState};

/// A server whose task `build` is complete and has two lines.
async fn with_a_complete_task(server: Server) -> Server {
    server.push("build", "w", &["one", "two"]).await;
    server.push_status("build", "w", WorkerState::Completed).await;
    server.push("other", "w", &["three"]).await;
    server
}

async fn delete(server: &Server, task: &str, token: Option<&str>) -> Response {
    let path = format!("/api/v1/log-streaming/tasks/{task}");
    let request = server.request(Method::DELETE, &path);
    let request = token.iter().fold(request, |request, token| request.bearer_auth(token));
    soon(request.send()).await.unwrap()
}

#[tokio::test]
async fn a_deleted_task_is_gone_in_every_route_and_its_id_begins_anew() {
    let server = with_a_complete_task(Server::start().await).await;
    let mut stream = server.events("/stream?from=start").await;
    assert_eq!(stream.expect("log").await.json()["taskId"], "build");
    assert_eq!(delete(&server, "build", None).await.status(), 204);
    for path in ["", "/logs", "/workers"] {
        let gone = server.get(&format!("/tasks/build{path}")).await;
        assert!(refusal(gone, 404).await.contains("build"), "{path}");
    }
    let listed = server.json("/tasks").await;
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1);
    assert_eq!(listed["tasks"][0]["taskId"], "other");
    assert_eq!(
        refusal(delete(&server, "build", None).await, 404).await,
        "task \"build\" has no log here"
    );
    let epoch = server.state.source().log.epoch();
    let mut resumed = server.events(&format!("/stream/build?lastEventId={epoch}-1")).await;
    let gap = resumed.expect("gap").await.json();
    assert_eq!(
        (&gap["from"], &gap["to"], &gap["reason"]),
        (&2.into(), &4.into(), &"deleted".into())
    );
    let mut all = server.events("/stream?from=start&follow=false").await;
    let gap = all.expect("gap").await.json();
    assert_eq!(
        (&gap["from"], &gap["to"], &gap["reason"]),
        (&1.into(), &3.into(), &"deleted".into())
    );
    assert_eq!(all.lines(1).await, ["three"]);
    server.push("build", "w", &["anew"]).await;
    let log = resumed.expect("log").await.json();
    assert_eq!((&log["message"], &log["line"]), (&"anew".into(), &1.into()));
    assert_eq!(server.json("/health").await["store"]["deletedTasks"], 1);
    server.stop().await;
}

#[tokio::test]
async fn an_open_stream_of_a_deleted_task_ends_with_an_error_that_is_not_retryable() {
    let server = Server::start().await;
    // Complete, and larger than what a viewer is sent before it reads.
    let lines = vec!["x".repeat(1000); 20_000];
    let lines: Vec<_> = lines.iter().map(String::as_str).collect();
    server.push("build", "w", &lines).await;
    server.push_status("build", "w", WorkerState::Completed).await;
    let mut stream = server.events("/stream/build").await;
    assert_eq!(delete(&server, "build", None).await.status(), 204);
    let rest = stream.rest().await;
    let error = rest.last().unwrap();
    assert_eq!(error.name, "error");
    let error = error.json();
    assert_eq!((&error["code"], &error["retryable"]), (&"task_deleted".into(), &false.into()));
    server.stop().await;
}

#[tokio::test]
async fn a_running_task_is_not_deleted_and_becomes_deletable_once_it_is_complete() {
    let server = Server::start().await;
    server.push("build", "w", &["one"]).await;
    let refused = delete(&server, "build", None).await;
    assert!(refusal(refused, 409).await.contains("is running"));
    server.push_status("build", "w", WorkerState::Failed).await;
    let active = server.tasks.activate(&TaskId::new("build").unwrap());
    assert_eq!(delete(&server, "build", None).await.status(), 409);
    drop(active);
    assert_eq!(server.json("/tasks/build").await["lines"], 1);
    assert_eq!(delete(&server, "build", None).await.status(), 204);
    server.stop().await;
}

#[tokio::test]
async fn only_a_token_that_names_the_task_and_has_the_right_deletes_it() {
    let server = with_a_complete_task(Server::start_with(jwt()).await).await;
    assert_eq!(delete(&server, "build", None).await.status(), 401);
    let expired = token("me", -1, None);
    assert_eq!(delete(&server, "build", Some(&expired)).await.status(), 401);
    let reader = token("me", 60, Some(&["build"]));
    let refused = refusal(delete(&server, "build", Some(&reader)).await, 403).await;
    assert!(refused.contains("claim delete"), "{refused}");
    let of_others = deleter(&["other"]);
    let refused = refusal(delete(&server, "build", Some(&of_others)).await, 403).await;
    assert!(refused.contains("does not name task"), "{refused}");
    let unknown = delete(&server, "unknown", Some(&of_others)).await;
    assert_eq!(unknown.status(), 403, "it does not tell which tasks there are");
    let allowed = deleter(&["build"]);
    assert_eq!(delete(&server, "build", Some(&allowed)).await.status(), 204);
    let all = deleter(&["*"]);
    assert_eq!(delete(&server, "build", Some(&all)).await.status(), 404);
    server.stop().await;
}

#[tokio::test]
async fn a_deletion_takes_no_parameter() {
    let server = with_a_complete_task(Server::start().await).await;
    let refused = delete(&server, "build?force=true", None).await;
    assert_eq!(json(refused).await["code"], "unknown_parameter");
    assert_eq!(server.json("/tasks/build").await["lines"], 2);
    server.stop().await;
}
