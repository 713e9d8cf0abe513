//! Browsers' sessions: a token goes into a cookie that scripts cannot read.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::SET_COOKIE;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

use super::AppState;
use super::auth::{Auth, COOKIE_NAME, Identity, TokenError, bearer};
use super::params::Params;
use super::problem::Problem;

/// How long a sign-in code works.
const CODE_TTL: Duration = Duration::from_secs(10 * 60);

/// Codes kept at once; the oldest goes first.
const MAX_CODES: usize = 64;

const CODE_BYTES: usize = 16;

/// Single-use codes, each worth a token: a link can hold one where it must not hold a token.
#[derive(Default)]
pub struct LoginCodes(Mutex<HashMap<String, Issued>>);

struct Issued {
    token: String,
    at: Instant,
}

impl LoginCodes {
    /// A new code, worth `token` once within the next ten minutes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn issue(&self, token: String) -> std::io::Result<String> {
        let mut bytes = [0; CODE_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let code: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut codes = self.lock();
        make_room(&mut codes);
        codes.insert(code.clone(), Issued { token, at: Instant::now() });
        Ok(code)
    }

    /// The token, the first time and in time.
    fn redeem(&self, code: &str) -> Option<String> {
        let issued = self.lock().remove(code)?;
        (issued.at.elapsed() < CODE_TTL).then_some(issued.token)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Issued>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn make_room(codes: &mut HashMap<String, Issued>) {
    codes.retain(|_, issued| issued.at.elapsed() < CODE_TTL);
    if codes.len() >= MAX_CODES {
        let oldest = codes.iter().min_by_key(|(_, issued)| issued.at).map(|(code, _)| code.clone());
        oldest.map(|code| codes.remove(&code));
    }
}

/// Who is signed in.
pub(super) async fn show(State(http): State<AppState>, identity: Identity) -> Response {
    Json(describe(&http, &identity)).into_response()
}

/// Takes a bearer's token into the cookie.
pub(super) async fn enter(
    State(http): State<AppState>,
    headers: HeaderMap,
    identity: Identity,
) -> Result<Response, Problem> {
    let Auth::Jwt(verifier) = &http.options().auth else {
        return Ok(Json(describe(&http, &identity)).into_response());
    };
    // Another token, in the cookie, may have made the identity.
    let token = bearer(&headers).ok_or(TokenError::Missing)?;
    let identity = verifier.verify(token)?;
    let cookie = set_cookie(token, &identity)?;
    Ok(([(SET_COOKIE, cookie)], Json(describe(&http, &identity))).into_response())
}

/// Takes the cookie away. Needs no token: an expired one must be removable.
pub(super) async fn leave() -> Response {
    let cookie = format!("{COOKIE_NAME}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0");
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}

/// Signs in with a code and goes on to `next`.
pub(super) async fn login(State(http): State<AppState>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::read(&uri, &["code", "next"])?;
    let next = params.parsed("next", "it must be a path of this server", local_path)?;
    let code = params.text("code")?.unwrap_or_default();
    let token = http.login_codes().redeem(code).ok_or_else(Problem::bad_login_code)?;
    let mut response = Redirect::to(next.as_deref().unwrap_or("/")).into_response();
    if let Auth::Jwt(verifier) = &http.options().auth {
        let cookie = set_cookie(&token, &verifier.verify(&token)?)?;
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

fn set_cookie(token: &str, identity: &Identity) -> Result<HeaderValue, Problem> {
    let max_age = identity.time_left().unwrap_or_default().as_secs();
    let cookie =
        format!("{COOKIE_NAME}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age}");
    HeaderValue::from_str(&cookie).map_err(|_| TokenError::Malformed.into())
}

fn describe(http: &AppState, identity: &Identity) -> Value {
    let auth = match http.options().auth {
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
    fn a_code_works_once() {
        let codes = LoginCodes::default();
        let code = codes.issue("token".into()).unwrap();
        assert_eq!(codes.redeem(&code).as_deref(), Some("token"));
        assert_eq!(codes.redeem(&code), None);
        assert_eq!(codes.redeem(""), None);
    }

    #[test]
    fn codes_that_nobody_redeems_stay_bounded() {
        let codes = LoginCodes::default();
        let issued: Vec<_> =
            (0..MAX_CODES + 5).map(|n| codes.issue(n.to_string()).unwrap()).collect();
        assert_eq!(codes.lock().len(), MAX_CODES);
        let last = issued.last().unwrap();
        assert_eq!(codes.redeem(last), Some((MAX_CODES + 4).to_string()));
    }

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
