//! Who asks, and which tasks they may read.
//!
//! A token is a JWT signed with HS256 that has `sub` and `exp`; `tasks`, a list of globs,
//! narrows it. It comes in the cookie `access_token` or as `Authorization: Bearer`.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use globset::{Glob, GlobSet, GlobSetBuilder};
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::AppState;
use super::problem::Problem;
use crate::domain::{TaskId, now_ms};

/// The cookie that holds a browser's token.
pub(super) const COOKIE_NAME: &str = "access_token";

/// Who is let in.
#[derive(Debug)]
pub enum Auth {
    /// Everybody; for a loopback address only.
    None,
    /// Holders of a valid token.
    Jwt(Verifier),
}

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// Who holds it.
    pub sub: String,
    /// Until when it is good, in seconds since the Unix epoch.
    pub exp: u64,
    /// Globs of the tasks that it opens; every task without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
}

/// A token that could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// One of its globs is none.
    #[error("{0:?} is no glob for tasks")]
    Glob(String),
    /// The signing failed.
    #[error("the token cannot be signed: {0}")]
    Failed(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token with HS256.
///
/// # Errors
/// When a glob is none, or the signing fails.
pub fn sign(secret: &[u8], claims: &Claims) -> Result<String, SignError> {
    if let Some(globs) = &claims.tasks {
        globset(globs).map_err(SignError::Glob)?;
    }
    Ok(jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret))?)
}

/// Why a token is not accepted. Never holds a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// There is none.
    #[error("a token is needed, as cookie {COOKIE_NAME} or as Authorization: Bearer")]
    Missing,
    /// It is no JWT.
    #[error("the token is malformed")]
    Malformed,
    /// It is not signed the one way that is accepted.
    #[error("the token's algorithm is not accepted, only HS256 is")]
    Algorithm,
    /// Somebody else signed it.
    #[error("the token's signature does not match")]
    Signature,
    /// It is too old.
    #[error("the token has expired")]
    Expired,
    /// It is too young.
    #[error("the token is not valid yet")]
    Immature,
    /// A claim is absent or not what it must be.
    #[error("the token's claim {0} is missing or malformed")]
    Claim(String),
}

/// Checks tokens.
pub struct Verifier(Box<Rules>);

struct Rules {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(HS256)")
    }
}

/// What is read of a token. Types are loose, so that a wrong one is told by its name.
#[derive(Deserialize)]
struct Found {
    sub: serde_json::Value,
    exp: serde_json::Value,
    tasks: Option<serde_json::Value>,
}

impl Verifier {
    /// Accepts what `secret` signed with HS256.
    pub fn hs256(secret: &[u8]) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp", "sub"]);
        // An open stream ends at `exp`, so a new one must not begin after it.
        validation.leeway = 0;
        validation.validate_nbf = true;
        // Tokens are shared with other services, each of which may be an audience.
        validation.validate_aud = false;
        Self(Box::new(Rules { key: DecodingKey::from_secret(secret), validation }))
    }

    /// Whose token it is.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub(super) fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let Rules { key, validation } = &*self.0;
        let decoded = jsonwebtoken::decode::<serde_json::Value>(token, key, validation)
            .map_err(|error| token_error(token, error.into_kind()))?;
        let found = Found::deserialize(decoded.claims).map_err(|_| TokenError::Malformed)?;
        let claim = |name: &str| TokenError::Claim(name.into());
        let subject = found.sub.as_str().ok_or_else(|| claim("sub"))?.into();
        let expires_at = found.exp.as_f64().ok_or_else(|| claim("exp"))? as u64;
        let tasks = match found.tasks {
            Some(globs) => Access::only(globs).ok_or_else(|| claim("tasks"))?,
            None => Access::All,
        };
        Ok(Identity { subject: Some(subject), expires_at: Some(expires_at), tasks })
    }
}

fn token_error(token: &str, kind: ErrorKind) -> TokenError {
    match kind {
        ErrorKind::InvalidSignature => TokenError::Signature,
        ErrorKind::ExpiredSignature => TokenError::Expired,
        ErrorKind::ImmatureSignature => TokenError::Immature,
        ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
            TokenError::Claim(name)
        }
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => TokenError::Algorithm,
        // An unknown algorithm, such as `none`, makes the header unreadable.
        ErrorKind::Json(_) if jsonwebtoken::decode_header(token).is_err() => TokenError::Algorithm,
        _ => TokenError::Malformed,
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Claim `sub`; nobody's name where no token is asked for.
    pub(super) subject: Option<Arc<str>>,
    /// Claim `exp`, in seconds since the Unix epoch.
    pub(super) expires_at: Option<u64>,
    /// What they may read.
    pub(super) tasks: Access,
}

impl Identity {
    const ANYBODY: Self = Self { subject: None, expires_at: None, tasks: Access::All };

    /// How long the token is still good.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let left_ms = |at: u64| at.saturating_mul(1000).saturating_sub(now_ms());
        self.expires_at.map(|at| Duration::from_millis(left_ms(at)))
    }

    /// Lets `task` pass.
    pub(super) fn check(&self, task: &TaskId) -> Result<(), Problem> {
        if self.tasks.allows(task) { Ok(()) } else { Err(Problem::forbidden(task)) }
    }
}

impl FromRequestParts<AppState> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, http: &AppState) -> Result<Self, Problem> {
        match &http.options().auth {
            Auth::None => Ok(Self::ANYBODY),
            Auth::Jwt(verifier) => Ok(identify(verifier, &parts.headers)?),
        }
    }
}

/// The cookie's holder, or where that is not accepted, the bearer.
fn identify(verifier: &Verifier, headers: &HeaderMap) -> Result<Identity, TokenError> {
    match (cookie(headers), bearer(headers)) {
        (None, None) => Err(TokenError::Missing),
        (Some(token), None) | (None, Some(token)) => verifier.verify(token),
        (Some(cookie), Some(bearer)) => {
            verifier.verify(cookie).or_else(|error| verifier.verify(bearer).map_err(|_| error))
        }
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.split_once('='));
    let value = pairs.find(|(name, _)| name.trim() == COOKIE_NAME)?.1.trim();
    (!value.is_empty()).then_some(value)
}

/// The token of `Authorization: Bearer`; the scheme's case does not matter (RFC 9110 §11.1).
pub(super) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Which tasks somebody may read.
#[derive(Debug, Clone)]
pub(super) enum Access {
    /// Every task.
    All,
    /// Those that one of the globs names. `*` stands for any characters, also `/`.
    Only(Arc<Globs>),
}

/// Globs, as text and made ready.
#[derive(Debug)]
pub(super) struct Globs {
    texts: Vec<String>,
    set: GlobSet,
}

impl Access {
    fn only(globs: serde_json::Value) -> Option<Self> {
        let texts = Vec::<String>::deserialize(globs).ok()?;
        let set = globset(&texts).ok()?;
        Some(Self::Only(Arc::new(Globs { texts, set })))
    }

    /// Whether `task` may be read.
    pub(super) fn allows(&self, task: &TaskId) -> bool {
        match self {
            Self::All => true,
            Self::Only(globs) => globs.set.is_match(task.as_str()),
        }
    }

    /// The globs, where there are some.
    pub(super) fn texts(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only(globs) => Some(&globs.texts),
        }
    }
}

/// The globs made ready, or the one that is none.
fn globset(texts: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        set.add(Glob::new(text).map_err(|_| text.clone())?);
    }
    set.build().map_err(|_| texts.join(", "))
}
