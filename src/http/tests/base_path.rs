//! The server below a path.

use reqwest::{Method, Response};

use super::support::{Events, Server, json, jwt, refusal, soon, token};
use crate::http::HttpOptions;

const API: &str = "/ci/logs/api/v1/log-streaming";

async fn get(server: &Server, path: &str) -> Response {
    soon(server.request(Method::GET, path).send()).await.unwrap()
}

#[tokio::test]
async fn everything_is_answered_below_the_path_and_only_health_at_the_root() {
    let base_path = "/ci/logs/".parse().unwrap();
    let server = Server::start_with(HttpOptions { base_path, ..HttpOptions::default() }).await;
    server.push("build", "w", &["a line"]).await;
    let stream = server.request(Method::GET, &format!("{API}/stream/build?follow=false"));
    assert_eq!(Events::of(stream).await.lines(1).await, ["a line"]);
    let page = json(get(&server, &format!("{API}/tasks/build/logs?limit=1")).await).await;
    assert_eq!(page["lines"][0]["message"], "a line");
    for path in ["/ci/logs/", "/ci/logs/tasks/build", "/ci/logs/assets/js/main.js"] {
        assert_eq!(get(&server, path).await.status(), 200, "{path}");
    }
    let text = get(&server, "/ci/logs/").await.text().await.unwrap();
    assert!(text.contains("\"/ci/logs/assets/js/main.js\""), "{text}");
    for path in ["/health", "/livez", "/readyz", "/ci/logs/health", "/ci/logs/readyz"] {
        assert_eq!(get(&server, path).await.status(), 200, "{path}");
    }
    let moved = get(&server, "/ci/logs").await;
    assert_eq!(
        (moved.status().as_u16(), moved.headers()["location"].to_str().unwrap()),
        (308, "/ci/logs/")
    );
    for path in [
        "/",
        "/tasks/build",
        "/assets/js/main.js",
        "/api/v1/log-streaming/tasks",
        "/ci/logsx/",
        "/ci",
    ] {
        let detail = refusal(get(&server, path).await, 404).await;
        assert_eq!(
            detail,
            format!("there is nothing at {path:?}, the server answers below /ci/logs/")
        );
    }
    let missing = refusal(get(&server, "/ci/logs/nothing").await, 404).await;
    assert!(missing.starts_with("there is nothing at"), "{missing}");
    server.stop().await;
}

#[tokio::test]
async fn a_sign_in_link_and_its_cookie_stay_below_the_path() {
    let base_path = "/ci/logs".parse().unwrap();
    let server = Server::start_with(HttpOptions { base_path, ..jwt() }).await;
    for (next, location) in [
        ("", "/ci/logs/"),
        ("&next=/tasks/a", "/ci/logs/tasks/a"),
        ("&next=/ci/logs/tasks/a", "/ci/logs/tasks/a"),
    ] {
        let code = server.state.login_codes().issue(token("me", 600, None)).unwrap();
        let path = server.state.path(&format!("/login?code={code}{next}"));
        assert!(path.starts_with("/ci/logs/login?"), "{path}");
        let response = get(&server, &path).await;
        assert_eq!(response.headers()["location"], location);
        let cookie = response.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("; Path=/ci/logs/; "), "{cookie}");
    }
    let left = server.request(Method::DELETE, &format!("{API}/session"));
    let left = soon(left.send()).await.unwrap();
    assert!(left.headers()["set-cookie"].to_str().unwrap().contains("; Path=/ci/logs/; Max-Age=0"));
    server.stop().await;
}
