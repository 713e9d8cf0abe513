//! Who asks, and which tasks they may read.
//!
//! A token is a JWT signed with HS256 that has `sub` and `exp`; `tasks`, a list of globs,
//! narrows it; `delete` lets its holder delete these tasks. It comes in the cookie `access_token` or as `Authorization: Bearer`.

pub(super) mod access;
mod extract;
pub(super) mod identity;
pub(super) mod login_codes;
mod refusal;
pub(super) mod sign_in;
pub(super) mod token;

pub use login_codes::LoginCodes;
pub use token::{Auth, Claims, SignError, Verifier, sign};
