//! Signing a browser in and out: its token goes into a cookie that scripts cannot read.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

use super::extract::bearer;
use super::identity::Identity;
use super::token::{Auth, COOKIE_NAME, TokenError};
use crate::http::app_state::AppState;
use crate::http::problem::Problem;
use crate::http::request::params::Params;

/// Who is signed in.
pub(in crate::http) async fn show(State(state): State<AppState>, identity: Identity) -> Response {
    Json(describe(&state, &identity)).into_response()
}

/// Puts the bearer token into the cookie.
pub(in crate::http) async fn enter(
    State(state): State<AppState>,
    headers: HeaderMap,
    identity: Identity,
) -> Result<Response, Problem> {
    let Auth::Jwt(verifier) = &state.options().auth else {
        return Ok(Json(describe(&state, &identity)).into_response());
    };
    // `identity` may be that of another token, in the cookie.
    let token = bearer(&headers).ok_or(TokenError::Missing)?;
    let identity = verifier.verify(token)?;
    let cookie = set_cookie(&state, token, &identity)?;
    Ok(([(SET_COOKIE, cookie)], Json(describe(&state, &identity))).into_response())
}

/// Removes the cookie. Needs no token, so that an expired one can be removed.
pub(in crate::http) async fn leave(State(state): State<AppState>) -> Response {
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie(&state, "", 0))]).into_response()
}

/// Signs in with a code and goes on to `next`.
pub(in crate::http) async fn login(
    State(state): State<AppState>,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::read(&uri, &[&["code", "next"]])?;
    let next = params.parsed("next", "it must be a path of this server", local_path)?;
    let code = params.text("code")?.unwrap_or_default();
    let token = state.login_codes().redeem(code).ok_or_else(Problem::bad_login_code)?;
    let next = state.options().base_path.join_once(next.as_deref().unwrap_or("/"));
    let mut response = Redirect::to(&next).into_response();
    if let Auth::Jwt(verifier) = &state.options().auth {
        let cookie = set_cookie(&state, &token, &verifier.verify(&token)?)?;
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// Browsers take `//` and `/\` for the start of another server's address.
fn local_path(text: &str) -> Option<String> {
    let second = text.strip_prefix('/')?.chars().next();
    let is_local = !matches!(second, Some('/' | '\\'));
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    (is_local && is_plain).then(|| text.into())
}

fn set_cookie(state: &AppState, token: &str, identity: &Identity) -> Result<HeaderValue, Problem> {
    let max_age = identity.time_left().unwrap_or_default().as_secs();
    HeaderValue::from_str(&cookie(state, token, max_age)).map_err(|_| TokenError::Malformed.into())
}

/// The cookie with this token, for the paths that the server answers.
fn cookie(state: &AppState, token: &str, max_age: u64) -> String {
    let path = state.path("/");
    format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path={path}; Max-Age={max_age}")
}

fn describe(state: &AppState, identity: &Identity) -> Value {
    let auth = match state.options().auth {
        Auth::None => "none",
        Auth::Jwt(_) => "jwt",
    };
    let mut session = json!({ "sub": identity.subject.as_deref(), "auth": auth });
    if let Some(globs) = identity.tasks.texts() {
        session["tasks"] = json!(globs);
    }
    session
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_paths_of_this_server_are_gone_on_to() {
        for good in ["/", "/tasks/a%20b", "/tasks/a?line=3#x"] {
            assert_eq!(local_path(good).as_deref(), Some(good));
        }
        for bad in
            ["", "tasks", "//evil.test", "/\\evil.test", "https://evil.test", "/a\r\nb", "/a b"]
        {
            assert_eq!(local_path(bad), None, "{bad:?} was accepted");
        }
    }
}
