//! The description of the API says what the server does.

use std::collections::BTreeSet;
use std::path::Path;

use otto_handler::proto::ottoscaler::WorkerStatusNotification;
use otto_handler::proto::ottoscaler::worker_status_notification::StatusType;
use serde_json::Value;

use crate::support::{Producer, TestServer, connect, get, json, numbered, within};

/// Methods and paths, such as `GET /livez`.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().unwrap().keys();
        methods.map(|method| format!("{} {path}", method.to_uppercase())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

/// The same as the router's source has it, without the viewer's pages.
fn routed() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/router.rs");
    let source = std::fs::read_to_string(file).unwrap();
    let (api, pages) = source.split_once("fn pages()").unwrap();
    let api = routes(api).map(|(path, methods)| (format!("/api/v1/log-streaming{path}"), methods));
    let is_api = |(path, _): &(String, String)| {
        !["/", "/docs", "/tasks/{task_id}", "/assets/{*path}"].contains(&path.as_str())
    };
    let mut found = BTreeSet::new();
    for (path, methods) in api.chain(routes(pages).filter(is_api)) {
        for method in ["get", "post", "delete"] {
            if methods.contains(&format!("{method}(")) {
                let path = path.replace("{task_id}", "{taskId}");
                found.insert(format!("{} {path}", method.to_uppercase()));
            }
        }
    }
    found
}

fn routes(source: &str) -> impl Iterator<Item = (String, String)> {
    source.split(".route(\"").skip(1).map(|rest| {
        let (path, rest) = rest.split_once("\", ").unwrap();
        let methods = rest.lines().next().unwrap_or_default();
        (path.to_owned(), methods.to_owned())
    })
}

#[tokio::test]
async fn the_description_has_every_route_and_no_other() {
    let server = TestServer::start().await;
    let document = json(&server.root("/openapi.json")).await;
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let (described, routed) = (described(&document), routed());
    assert!(routed.len() > 15, "{routed:?}");
    assert_eq!(described, routed);
}

#[tokio::test]
async fn each_route_takes_the_parameters_that_are_described_and_refuses_others() {
    let server = TestServer::start().await;
    let mut producer = Producer::open(&mut connect(&server.grpc()).await).await;
    producer.push_all(1, numbered("t", 1)).await;
    let document = json(&server.root("/openapi.json")).await;
    let mut looked_at = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let Some(operation) = methods.get("get") else { continue };
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let in_query = parameters.filter(|parameter| parameter["in"] == "query");
        let described: BTreeSet<_> =
            in_query.map(|parameter| parameter["name"].as_str().unwrap()).collect();
        let url = server.root(&path.replace("{taskId}", "t")) + "?nonsense=1";
        let answered = get(&url, None).await;
        if answered.status() != 400 {
            assert_eq!(described, BTreeSet::new(), "{path} takes anything");
            continue;
        }
        let problem: Value = serde_json::from_slice(&answered.bytes().await.unwrap()).unwrap();
        let known = problem["known"].as_array().unwrap().iter();
        let known: BTreeSet<_> = known.map(|name| name.as_str().unwrap()).collect();
        assert_eq!(known, described, "{path}");
        looked_at += 1;
    }
    assert!(looked_at > 6, "{looked_at} routes take parameters");
}

#[tokio::test]
async fn every_schema_that_is_named_is_there() {
    let server = TestServer::start().await;
    let document = json(&server.root("/openapi.json")).await;
    let mut named = Vec::new();
    collect_references(&document, &mut named);
    assert!(named.len() > 50, "{} references", named.len());
    for name in named {
        let pointer = name.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{name}");
    }
}

fn collect_references(value: &Value, named: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(target) if name == "$ref" => named.push(target.to_owned()),
                    _ => collect_references(value, named),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_references(value, named)),
        _ => {}
    }
}

#[tokio::test]
async fn what_is_answered_has_the_members_that_are_described() {
    let server = TestServer::start().await;
    let mut client = connect(&server.grpc()).await;
    let mut producer = Producer::open(&mut client).await;
    producer.push_all(1, numbered("t", 3)).await;
    producer.finish().await;
    let status = WorkerStatusNotification {
        task_id: "t".into(),
        worker_id: "w".into(),
        status: StatusType::Failed.into(),
        ..Default::default()
    };
    within("a status", client.notify_worker_status(status)).await.unwrap();
    let document = json(&server.root("/openapi.json")).await;
    let cases = [
        ("/tasks", "TaskPage"),
        ("/tasks/t", "Task"),
        ("/tasks/t/workers", "WorkerPage"),
        ("/tasks/t/logs", "LinePage"),
        ("/health", "Health"),
        ("/session", "Session"),
    ];
    for (path, schema) in cases {
        let answered = json(&server.api(path)).await;
        check(&document, &document["components"]["schemas"][schema], &answered, path);
    }
}

/// Checks that `value` has the members of `schema`, and no others where these are named.
fn check(document: &Value, schema: &Value, value: &Value, at: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => document.pointer(name.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    match value {
        Value::Object(members) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            for (name, value) in members {
                let of_member = properties.get(name).unwrap_or_else(|| panic!("{at}: {name}"));
                check(document, of_member, value, &format!("{at}/{name}"));
            }
            let required = schema["required"].as_array().into_iter().flatten();
            for name in required {
                assert!(members.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
            }
        }
        Value::Array(values) => {
            values.iter().for_each(|value| check(document, &schema["items"], value, at));
        }
        _ => {}
    }
}
