//! Health, paths and methods that do not exist, other origins, large heads.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;

use super::support::{Events, Server, accepted, draining_with, json, jwt, refusal, soon};
use crate::client::https;
use crate::http::{AppState, HttpOptions, OptionsError, serve};
use crate::store::faults::FaultyDisk;
use crate::store::{self, Durability};

#[tokio::test]
async fn health_counts_viewers_and_knows_the_stores_state() {
    let server = Server::start().await;
    let events = server.events("/stream").await;
    assert_eq!(server.get("/health").await.headers()["cache-control"], "no-store");
    let health = server.json("/health").await;
    assert_eq!((&health["status"], &health["store"]["state"]), (&"healthy".into(), &"ok".into()));
    assert_eq!(health["activeConnections"], 1);
    let at_root = soon(server.request(Method::GET, "/health").send()).await.unwrap();
    assert_eq!(json(at_root).await["status"], "healthy");
    health["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    drop(events);
    server.stop().await;
}

#[tokio::test]
async fn a_failed_store_is_not_ready_and_says_why_while_reading_goes_on() {
    let disk = FaultyDisk::default();
    let faulty = Arc::new(disk.clone());
    let server =
        Server::start_in(tempfile::tempdir().unwrap(), HttpOptions::default(), |options| {
            store::StoreOptions { disk: faulty, durability: Durability::Fsync, ..options }
        })
        .await;
    server.push("build", "w", &["kept"]).await;
    disk.fail_sync(1);
    server.push("build", "w", &["not kept"]).await;
    let ready = soon(server.request(Method::GET, "/readyz").send()).await.unwrap();
    assert!(ready.headers().contains_key("retry-after"));
    let detail = refusal(ready, 503).await;
    assert!(detail.starts_with("the store takes no more writes: "), "{detail}");
    let health = server.json("/health").await;
    assert_eq!(health["status"], "unhealthy");
    let reason = health["store"]["state"].as_str().unwrap();
    assert_ne!(reason, "ok");
    let live = soon(server.request(Method::GET, "/livez").send()).await.unwrap();
    assert_eq!(live.status(), 200);
    assert_eq!(server.events("/stream/build").await.lines(1).await, ["kept"]);
}

#[tokio::test]
async fn invalid_ids_are_refused_on_every_route() {
    let server = Server::start().await;
    let long = "a".repeat(254);
    for (id, expected) in [
        (long.as_str(), "task_id is 254 bytes, the limit is 253"),
        ("a%0Ab", "task_id holds the control character U+000A at byte 1"),
        ("%FF", "task_id is not percent-encoded UTF-8"),
    ] {
        for path in [
            format!("/stream/{id}"),
            format!("/logs/{id}/stream"),
            format!("/tasks/{id}"),
            format!("/tasks/{id}/logs"),
        ] {
            assert_eq!(refusal(server.get(&path).await, 400).await, expected, "{path}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems_too() {
    let server = Server::start().await;
    for path in ["/nothing", "/stream/", "/tasks/a/b/c"] {
        let detail = refusal(server.get(path).await, 404).await;
        assert!(detail.starts_with("there is nothing at"), "{detail}");
    }
    let missing = soon(server.request(Method::GET, "/assets/no.js").send()).await.unwrap();
    refusal(missing, 404).await;
    for path in ["/api/v1/log-streaming/stream/build", "/livez"] {
        let response = soon(server.request(Method::PUT, path).send()).await.unwrap();
        assert_eq!(response.headers()["allow"], "GET,HEAD");
        let detail = refusal(response, 405).await;
        assert!(detail.ends_with("does not take PUT"), "{detail}");
    }
    let head = server.request(Method::HEAD, "/api/v1/log-streaming/tasks");
    assert_eq!(soon(head.send()).await.unwrap().status(), 200);
    server.stop().await;
}

#[tokio::test]
async fn the_viewer_is_served_at_each_of_its_addresses_with_what_it_loads() {
    let server = Server::start_with(jwt()).await;
    let get = |path: &str| soon(server.request(Method::GET, path).send());
    for path in ["/", "/tasks/build", "/tasks/a%2Fb%0A"] {
        let page = get(path).await.unwrap();
        assert_eq!(page.status(), 200, "{path}");
        assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers()["content-security-policy"], "default-src 'self'");
        assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    }
    let page = soon(get("/").await.unwrap().text()).await.unwrap();
    let linked: Vec<_> = page.split('"').filter(|text| text.starts_with("/assets/")).collect();
    assert!(linked.contains(&"/assets/js/main.js"), "{linked:?}");
    for path in linked {
        let asset = get(path).await.unwrap();
        assert_eq!(asset.status(), 200, "{path}");
        let tag = asset.headers()["etag"].clone();
        let again = server.request(Method::GET, path).header("if-none-match", tag);
        assert_eq!(soon(again.send()).await.unwrap().status(), 304, "{path}");
    }
    for path in ["/assets/package.json", "/assets/../Cargo.toml", "/assets/%2e%2e/Cargo.toml"] {
        assert_eq!(get(path).await.unwrap().status(), 404, "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn the_front_ends_origin_may_ask_with_credentials_and_others_may_not() {
    let server = Server::start().await;
    let preflight = |origin: &str| {
        server
            .request(Method::OPTIONS, "/api/v1/log-streaming/stream")
            .header("origin", origin)
            .header("access-control-request-method", "GET")
            .header("access-control-request-headers", "last-event-id")
    };
    let response = soon(preflight("http://localhost:3000").send()).await.unwrap();
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["access-control-allow-origin"], "http://localhost:3000");
    assert_eq!(headers["access-control-allow-credentials"], "true");
    assert_eq!(headers["access-control-allow-methods"], "GET,POST,DELETE");
    let allowed = headers["access-control-allow-headers"].to_str().unwrap();
    assert_eq!(allowed, "authorization,cache-control,last-event-id");
    let other = soon(preflight("http://evil.test").send()).await.unwrap();
    assert!(!other.headers().contains_key("access-control-allow-origin"));
    // A refusal must be readable across origins as well.
    let request = server.api("/stream?x=1").header("origin", "http://localhost:3000");
    let refused = soon(request.send()).await.unwrap();
    assert_eq!(refused.headers()["access-control-allow-origin"], "http://localhost:3000");
    server.stop().await;
}

#[tokio::test]
async fn a_head_of_31_kib_is_served_and_one_of_more_than_32_is_refused_with_a_reason() {
    let server = Server::start().await;
    let with_cookie = |bytes: usize| {
        server.api("/tasks").header("cookie", format!("access_token={}", "x".repeat(bytes)))
    };
    for served in [9, 31] {
        assert_eq!(soon(with_cookie(served * 1024).send()).await.unwrap().status(), 200);
    }
    for refused in [32, 33, 200] {
        let response = soon(with_cookie(refused * 1024).send()).await.unwrap();
        let detail = refusal(response, 431).await;
        assert!(detail.ends_with("the limits are 32 KiB and 100 fields"), "{detail}");
    }
    assert_eq!(json(server.get("/tasks").await).await["nextCursor"], serde_json::Value::Null);
    server.stop().await;
}

#[tokio::test]
async fn options_that_the_server_cannot_run_with_are_refused_by_name() {
    let server = Server::start().await;
    let new = |options: HttpOptions| {
        let (source, stats) = (server.state.source().clone(), server.state.stats().clone());
        let intake = server.state.intake().clone();
        AppState::new(options, source, intake, stats, server.drain.clone()).map(drop)
    };
    let with_url = |url: &str| HttpOptions { frontend_url: url.into(), ..HttpOptions::default() };
    for good in ["http://localhost:3000", "https://ci.example.org/"] {
        assert_eq!(new(with_url(good)), Ok(()));
    }
    for bad in ["", "*", "localhost:3000", "ftp://a", "http://a/path"] {
        assert_eq!(new(with_url(bad)), Err(OptionsError::FrontendUrl(bad.into())), "{bad}");
    }
    for found in [Duration::ZERO, Duration::MAX] {
        let heartbeat = new(HttpOptions { heartbeat: found, ..HttpOptions::default() });
        assert_eq!(heartbeat, Err(OptionsError::Period { name: "heartbeat", found }));
        let stall = new(HttpOptions { viewer_stall_timeout: found, ..HttpOptions::default() });
        assert_eq!(stall, Err(OptionsError::Period { name: "viewer-stall-timeout", found }));
    }
    server.stop().await;
}

#[test]
fn several_single_threaded_runtimes_serve_one_state() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let server = runtime.block_on(Server::start());
    let (state, drain) = (server.state.clone(), server.drain.clone());
    let (sender, addresses) = std::sync::mpsc::channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (state, drain, sender) = (state.clone(), drain.clone(), sender.clone());
            std::thread::spawn(move || {
                let own = tokio::runtime::Builder::new_current_thread().enable_all().build();
                own.unwrap().block_on(async {
                    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
                    sender.send(listener.local_addr().unwrap()).unwrap();
                    serve(accepted(listener), state, draining_with(drain)).await;
                });
            })
        })
        .collect();
    runtime.block_on(async {
        let mut viewers = Vec::new();
        for address in addresses.iter().take(2) {
            let url = format!("http://{address}/api/v1/log-streaming/stream/build");
            viewers.push(Events::of(https::client().get(url)).await);
        }
        server.push("build", "w", &["for all"]).await;
        for viewer in &mut viewers {
            assert_eq!(viewer.lines(1).await, ["for all"]);
        }
        server.stop().await;
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
