//! Why pushing ended before everything was acknowledged.

use super::window::Line;

/// Why pushing failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The address or the token cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// The server does not know who pushes.
    #[error("the server refused: {0}")]
    Unauthenticated(String),
    /// The server refuses for good.
    #[error("the server refused: {0}")]
    Refused(String),
    /// The server answers what was not sent.
    #[error("the server broke the protocol: {0}")]
    Protocol(String),
    /// Somebody asked to end at once.
    #[error("stopped before everything was delivered")]
    Interrupted,
    /// No answer came for too long.
    #[error("gave up after {waited_s} s without an answer: {reason}")]
    GaveUp {
        /// How long, in seconds.
        waited_s: u64,
        /// What went wrong last.
        reason: String,
    },
}

/// Pushing has ended; the driver's result says why. The line comes back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("pushing has ended")]
pub struct Ended(pub Line);
