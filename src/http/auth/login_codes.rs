//! Sign-in codes that are exchanged for tokens.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a sign-in code works.
const CODE_TTL: Duration = Duration::from_secs(10 * 60);

/// Codes kept at once; the oldest goes first.
const MAX_CODES: usize = 64;

const CODE_BYTES: usize = 16;

/// Single-use codes, each exchanged for a token: a link may hold a code where it must not hold a
/// token.
#[derive(Default)]
pub struct LoginCodes(Mutex<HashMap<String, IssuedCode>>);

struct IssuedCode {
    token: String,
    issued_at: Instant,
}

impl LoginCodes {
    /// A new code that is exchanged for `token` once, within the next ten minutes.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn issue(&self, token: String) -> std::io::Result<String> {
        let mut bytes = [0; CODE_BYTES];
        getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
        let code: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut codes = self.lock();
        evict(&mut codes);
        codes.insert(code.clone(), IssuedCode { token, issued_at: Instant::now() });
        Ok(code)
    }

    /// The token, when the code was not used before and has not expired.
    pub(super) fn redeem(&self, code: &str) -> Option<String> {
        let issued = self.lock().remove(code)?;
        (issued.issued_at.elapsed() < CODE_TTL).then_some(issued.token)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, IssuedCode>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops what has expired, and the oldest code where there are still as many as may be kept.
fn evict(codes: &mut HashMap<String, IssuedCode>) {
    codes.retain(|_, issued| issued.issued_at.elapsed() < CODE_TTL);
    if codes.len() >= MAX_CODES {
        let oldest =
            codes.iter().min_by_key(|(_, issued)| issued.issued_at).map(|(code, _)| code.clone());
        oldest.map(|code| codes.remove(&code));
    }
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
}
