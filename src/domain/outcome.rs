//! How a task ended.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::Offset;

/// How a complete task ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Every worker notified `COMPLETED`, or so the end was told.
    Succeeded,
    /// A worker notified `FAILED`.
    Failed,
    /// A worker notified `TERMINATED`, none failed, and all have ended.
    Terminated,
    /// A worker that had sent lines went away without notifying its end.
    Lost,
    /// Nothing told how it ended.
    Unknown,
}

impl Outcome {
    /// Each of them.
    pub const ALL: [Self; 5] =
        [Self::Succeeded, Self::Failed, Self::Terminated, Self::Lost, Self::Unknown];

    /// Its name in JSON, in parameters and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Terminated => "terminated",
            Self::Lost => "lost",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no outcome.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an outcome, it needs succeeded, failed, terminated, lost or unknown")]
pub struct UnknownOutcome(pub String);

impl FromStr for Outcome {
    type Err = UnknownOutcome;

    fn from_str(text: &str) -> Result<Self, UnknownOutcome> {
        let found = Self::ALL.into_iter().find(|outcome| outcome.as_str() == text);
        found.ok_or_else(|| UnknownOutcome(text.chars().take(64).collect()))
    }
}

/// The end of a task that somebody told: the last `end` record of its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToldEnd {
    /// How it ended; `None` where the workers are to say it.
    pub outcome: Option<Outcome>,
    /// The record's offset.
    pub offset: Offset,
    /// Whether a line, or the notification of a worker that goes on, came after it.
    pub is_reopened: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_survives_text_and_what_is_none_is_refused_with_those_that_are() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.to_string().parse(), Ok(outcome));
        }
        let refused = "green".parse::<Outcome>().unwrap_err().to_string();
        let expected = "\"green\" is not an outcome, it needs succeeded, failed, terminated, lost \
                        or unknown";
        assert_eq!(refused, expected);
    }
}
