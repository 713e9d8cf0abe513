//! What to do about a server that asks for a token.

/// The status of a refusal for want of a token, or of a good one.
const UNAUTHORIZED: u16 = 401;

/// `reason`, and after a 401 which flag is to be looked at.
pub(super) fn with_hint(reason: String, status: Option<u16>, has_token: bool) -> String {
    match (status, has_token) {
        (Some(UNAUTHORIZED), false) => {
            format!("{reason}; give a token with --token or OTTO_TOKEN, see `otto-handler token`")
        }
        (Some(UNAUTHORIZED), true) => format!("{reason}; check --token or OTTO_TOKEN"),
        _ => reason,
    }
}
