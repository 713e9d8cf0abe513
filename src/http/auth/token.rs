//! Tokens: making them and checking them.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::access::{Access, globset};
use super::identity::Identity;

/// The cookie that holds a browser's token.
pub(super) const COOKIE_NAME: &str = "access_token";

/// Who may read.
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
    /// When it expires, in seconds since the Unix epoch.
    pub exp: u64,
    /// Globs of the tasks that its holder may read; without, every task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tasks: Option<Vec<String>>,
    /// Whether its holder may delete these tasks.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete: bool,
    /// Whether its holder may tell the end of these tasks, as those who push them do.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub push: bool,
}

/// Why a token cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// One of its globs is malformed.
    #[error("{0:?} is not a valid glob for tasks")]
    Glob(String),
    /// The signing failed.
    #[error("the token cannot be signed: {0}")]
    Failed(#[from] jsonwebtoken::errors::Error),
}

/// Makes a token with HS256.
///
/// # Errors
/// When a glob is malformed, or the signing fails.
pub fn sign(secret: &[u8], claims: &Claims) -> Result<String, SignError> {
    if let Some(globs) = &claims.tasks {
        globset(globs).map_err(SignError::Glob)?;
    }
    Ok(jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret))?)
}

/// Why a token is not accepted. Never holds a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum TokenError {
    /// The request has no token.
    #[error("a token is needed, as cookie {COOKIE_NAME} or as Authorization: Bearer")]
    Missing,
    /// It is not a JWT.
    #[error("the token is malformed")]
    Malformed,
    /// It is signed with another algorithm than HS256.
    #[error("the token's algorithm is not accepted, only HS256 is")]
    Algorithm,
    /// It was signed with another secret.
    #[error("the token's signature does not match")]
    Signature,
    /// Its `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` is still to come.
    #[error("the token is not valid yet")]
    Immature,
    /// A claim is missing or has the wrong type.
    #[error("the token's claim {0} is missing or malformed")]
    Claim(String),
}

/// Checks tokens.
pub struct Verifier(Box<VerifierRules>);

struct VerifierRules {
    key: DecodingKey,
    validation: Validation,
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Verifier(HS256)")
    }
}

/// The claims that are read. Their types are loose, so that an error can name the wrong claim.
#[derive(Deserialize)]
struct RawClaims {
    sub: serde_json::Value,
    exp: serde_json::Value,
    tasks: Option<serde_json::Value>,
    delete: Option<serde_json::Value>,
    push: Option<serde_json::Value>,
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
        Self(Box::new(VerifierRules { key: DecodingKey::from_secret(secret), validation }))
    }

    /// Who the holder of `token` is.
    ///
    /// # Errors
    /// Why it is not accepted.
    pub(super) fn verify(&self, token: &str) -> Result<Identity, TokenError> {
        let VerifierRules { key, validation } = &*self.0;
        let decoded = jsonwebtoken::decode::<serde_json::Value>(token, key, validation)
            .map_err(|error| token_error(token, error.into_kind()))?;
        let claims = RawClaims::deserialize(decoded.claims).map_err(|_| TokenError::Malformed)?;
        let claim = |name: &str| TokenError::Claim(name.into());
        let subject = claims.sub.as_str().ok_or_else(|| claim("sub"))?.into();
        let expires_at = claims.exp.as_f64().ok_or_else(|| claim("exp"))? as u64;
        let tasks = match claims.tasks {
            Some(globs) => Access::only(globs).ok_or_else(|| claim("tasks"))?,
            None => Access::All,
        };
        let right = |value: Option<serde_json::Value>, name: &str| match value {
            Some(allowed) => allowed.as_bool().ok_or_else(|| claim(name)),
            None => Ok(false),
        };
        Ok(Identity {
            subject: Some(subject),
            expires_at: Some(expires_at),
            tasks,
            may_delete: right(claims.delete, "delete")?,
            may_push: right(claims.push, "push")?,
        })
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
