//! What a client is told whose token is not accepted.

use super::token::TokenError;
use crate::http::problem::Problem;

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        // RFC 6750 §3.1: no error code where no token came along.
        let challenge = match error {
            TokenError::Missing => "Bearer",
            _ => "Bearer error=\"invalid_token\"",
        };
        let code = match error {
            TokenError::Expired => "token_expired",
            _ => "unauthorized",
        };
        Self::unauthorized(code, error, challenge)
    }
}
