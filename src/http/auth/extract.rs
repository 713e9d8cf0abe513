//! Finds out who sent a request, by the token that came with it.

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::{AUTHORIZATION, COOKIE};
use http::request::Parts;

use super::identity::Identity;
use super::token::{Auth, COOKIE_NAME, TokenError, Verifier};
use crate::http::app_state::AppState;
use crate::http::problem::Problem;

impl FromRequestParts<AppState> for Identity {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        match &state.options().auth {
            Auth::None => Ok(Self::ANYBODY),
            Auth::Jwt(verifier) => Ok(identify(verifier, &parts.headers)?),
        }
    }
}

/// The holder of the cookie's token; where that is not accepted, the holder of the bearer token.
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
