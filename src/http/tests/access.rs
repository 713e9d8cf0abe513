//! Who may read, and which tasks.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::support::{Events, SECRET, Server, json, jwt, refusal, soon, token};

const SESSION: &str = "/api/v1/log-streaming/session";

async fn send(request: RequestBuilder) -> Response {
    soon(request.send()).await.unwrap()
}

fn signed(algorithm: Algorithm, secret: &[u8], claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret);
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

/// `{"alg":"none","typ":"JWT"}` and claims that never expire, with an empty signature.
const UNSIGNED: &str =
    "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJtZSIsImV4cCI6OTk5OTk5OTk5OX0.";

#[tokio::test]
async fn each_token_that_is_not_accepted_is_refused_with_its_reason() {
    let server = Server::start_with(jwt()).await;
    let claims = json!({ "sub": "me", "exp": 9_999_999_999u64 });
    let hs256 = |claims: Value| signed(Algorithm::HS256, SECRET, &claims);
    let cases = [
        (token("me", -1, None), "the token has expired"),
        (signed(Algorithm::HS256, b"another", &claims), "the token's signature does not match"),
        (signed(Algorithm::HS512, SECRET, &claims), "algorithm is not accepted, only HS256 is"),
        (UNSIGNED.to_owned(), "algorithm is not accepted, only HS256 is"),
        ("what.is.this".to_owned(), "the token's algorithm is not accepted, only HS256 is"),
        ("no-token".to_owned(), "the token is malformed"),
        (hs256(json!({ "sub": "me" })), "the token's claim exp is missing or malformed"),
        (hs256(json!({ "exp": 9_999_999_999u64 })), "the token's claim sub is missing"),
        (hs256(json!({ "exp": "soon", "sub": "me" })), "the token's claim exp is missing"),
        (hs256(json!({ "exp": 9_999_999_999u64, "sub": 7 })), "the token's claim sub is missing"),
        (
            hs256(json!({ "exp": 9_999_999_999u64, "sub": "me", "tasks": ["a[", "b"] })),
            "the token's claim tasks is missing or malformed",
        ),
        (
            hs256(json!({ "exp": 9_999_999_999u64, "sub": "me", "delete": "yes" })),
            "the token's claim delete is missing or malformed",
        ),
        (
            hs256(json!({ "exp": 9_999_999_999u64, "sub": "me", "nbf": 9_999_999_998u64 })),
            "the token is not valid yet",
        ),
    ];
    for (token, expected) in &cases {
        let response = send(server.api("/stream/build").bearer_auth(token)).await;
        let challenge = response.headers()["www-authenticate"].clone();
        assert_eq!(challenge, "Bearer error=\"invalid_token\"");
        let detail = refusal(response, 401).await;
        assert!(detail.contains(expected), "{token}: {detail}");
        assert!(!detail.contains(token.as_str()));
    }
    server.stop().await;
}

#[tokio::test]
async fn without_a_token_only_health_is_open() {
    let server = Server::start_with(jwt()).await;
    for path in [
        "/stream",
        "/stream/a",
        "/logs/a/stream",
        "/tasks",
        "/tasks/a",
        "/tasks/a/logs",
        "/session",
    ] {
        let response = server.get(path).await;
        assert_eq!(response.headers()["www-authenticate"], "Bearer", "{path}");
        let detail = refusal(response, 401).await;
        assert!(detail.starts_with("a token is needed, as cookie access_token"), "{detail}");
    }
    assert_eq!(server.get("/health").await.status(), 200);
    for path in ["/livez", "/readyz"] {
        assert_eq!(send(server.request(Method::GET, path)).await.status(), 200, "{path}");
    }
    let as_event = server.events("/stream?errors=events").await.rest().await;
    assert_eq!(as_event[0].json()["code"], "unauthorized");
    server.stop().await;
}

#[tokio::test]
async fn the_cookie_counts_first_and_a_stale_one_does_not_spoil_a_good_bearer() {
    let server = Server::start_with(jwt()).await;
    let (cookie, bearer) = (token("cookie", 60, None), token("bearer", 60, None));
    let stale = token("stale", -60, None);
    let ask = |cookie: Option<&str>, bearer: Option<&str>| {
        let mut request = server.api("/session");
        if let Some(cookie) = cookie {
            request = request.header("cookie", format!("theme=dark; access_token={cookie}"));
        }
        match bearer {
            Some(bearer) => request.header("authorization", format!("bearer {bearer}")),
            None => request,
        }
    };
    for (request, expected) in [
        (ask(Some(&cookie), None), "cookie"),
        (ask(None, Some(&bearer)), "bearer"),
        (ask(Some(&cookie), Some(&bearer)), "cookie"),
        (ask(Some(&stale), Some(&bearer)), "bearer"),
    ] {
        let session = json(send(request).await).await;
        assert_eq!(session, json!({ "sub": expected, "auth": "jwt" }));
    }
    let detail = refusal(send(ask(Some(&stale), None)).await, 401).await;
    assert_eq!(detail, "the token has expired");
    server.stop().await;
}

#[tokio::test]
async fn a_narrowed_token_sees_its_tasks_and_nothing_of_others() {
    let server = Server::start_with(jwt()).await;
    let mine = token("me", 60, Some(&["build-*", "exact"]));
    let ask = |path: &str| server.api(path).bearer_auth(&mine);
    server.push("secret", "w", &["hidden"]).await;
    let mut events = Events::of(ask("/stream?from=start")).await;
    server.push("build-1", "w", &["shown"]).await;
    server.push_gap("secret", 5).await;
    server.push("exact", "w", &["shown too"]).await;
    assert_eq!(events.lines(2).await, ["shown", "shown too"]);
    let listed = json(send(ask("/tasks")).await).await;
    let listed: Vec<_> =
        listed["tasks"].as_array().unwrap().iter().map(|task| &task["taskId"]).collect();
    assert_eq!(listed, ["exact", "build-1"]);
    for path in [
        "/stream/secret",
        "/logs/secret/stream",
        "/tasks/secret",
        "/tasks/secret/logs",
        "/tasks/exact-not/logs",
    ] {
        let detail = refusal(send(ask(path)).await, 403).await;
        assert!(detail.starts_with("the token does not name task"), "{detail}");
    }
    assert_eq!(send(ask("/tasks/build-1/logs")).await.status(), 200);
    // `*` stands for any characters, also for a slash.
    assert!(Events::of(ask("/stream/build-a%2Fb")).await.retry_ms > 0);
    let session = json(send(ask("/session")).await).await;
    assert_eq!(session["tasks"], json!(["build-*", "exact"]));
    server.stop().await;
}

#[tokio::test]
async fn an_open_stream_ends_when_its_token_expires() {
    let server = Server::start_with(jwt()).await;
    let request = server.api("/stream/build").bearer_auth(token("me", 2, None));
    let rest = Events::of(request).await.rest().await;
    let error = rest.last().unwrap().json();
    assert_eq!((&error["code"], &error["retryable"]), (&"token_expired".into(), &false.into()));
    server.stop().await;
}

#[tokio::test]
async fn signing_in_puts_the_token_into_a_cookie_and_signing_out_takes_it_away() {
    let server = Server::start_with(jwt()).await;
    let token = token("me", 600, None);
    let response = send(server.request(Method::POST, SESSION).bearer_auth(&token)).await;
    assert_eq!(response.status(), 200);
    let cookie = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    let parts: Vec<&str> = cookie.split("; ").collect();
    assert_eq!(parts[0], format!("access_token={token}"));
    assert_eq!(&parts[1..4], ["HttpOnly", "SameSite=Strict", "Path=/"]);
    let max_age: u64 = parts[4].strip_prefix("Max-Age=").unwrap().parse().unwrap();
    assert!((590..=600).contains(&max_age), "{max_age}");
    let again = server.api("/session").header("cookie", parts[0]);
    assert_eq!(json(send(again).await).await["sub"], "me");
    let out = send(server.request(Method::DELETE, SESSION)).await;
    assert_eq!(out.status(), 204);
    let cookie = out.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.starts_with("access_token=;") && cookie.ends_with("Max-Age=0"), "{cookie}");
    let bad = send(server.request(Method::POST, SESSION).bearer_auth("no-token")).await;
    assert!(!bad.headers().contains_key("set-cookie"));
    refusal(bad, 401).await;
    server.stop().await;
}

#[tokio::test]
async fn a_sign_in_link_works_once_and_leads_only_to_this_server() {
    let server = Server::start_with(jwt()).await;
    let login = |query: String| send(server.request(Method::GET, &format!("/login?{query}")));
    let code = server.state.login_codes().issue(token("me", 600, None)).unwrap();
    let detail = refusal(login(format!("code={code}&next=//evil.test")).await, 400).await;
    assert!(detail.contains("it must be a path of this server"), "{detail}");
    let response = login(format!("code={code}&next=/tasks/a%2520b")).await;
    assert_eq!(response.status(), 303);
    assert_eq!(response.headers()["location"], "/tasks/a%20b");
    assert!(response.headers()["set-cookie"].to_str().unwrap().starts_with("access_token=ey"));
    for code in [code.as_str(), "", "0000"] {
        let detail = refusal(login(format!("code={code}")).await, 401).await;
        assert!(detail.starts_with("this sign-in link was used before or is older"), "{detail}");
    }
    let browser = server.request(Method::GET, "/login?code=0000").header("accept", "text/html,*/*");
    let page = send(browser).await;
    assert_eq!(
        (page.status().as_u16(), &page.headers()["content-type"]),
        (401, &"text/html; charset=utf-8".parse().unwrap())
    );
    assert_eq!(page.headers()["content-security-policy"], "default-src 'self'");
    let text = page.text().await.unwrap();
    assert!(text.contains("This sign-in link was used before"), "{text}");
    let code = server.state.login_codes().issue(token("me", 600, None)).unwrap();
    assert_eq!(login(format!("code={code}")).await.headers()["location"], "/");
    server.stop().await;
}

#[tokio::test]
async fn without_authentication_everybody_may_read_and_the_session_says_so() {
    let server = Server::start().await;
    let expected = json!({ "sub": null, "auth": "none" });
    assert_eq!(server.json("/session").await, expected);
    let posted = send(server.request(Method::POST, SESSION)).await;
    assert_eq!(json(posted).await, expected);
    server.stop().await;
}
