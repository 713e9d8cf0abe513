//! The names and numbers that identify things, checked once at the edge.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The longest accepted id, in bytes.
pub const MAX_ID_BYTES: usize = 253;

/// Why a text is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The id is empty.
    #[error("{field} is empty, it needs 1 to {MAX_ID_BYTES} bytes")]
    Empty {
        /// The field's name on the wire.
        field: &'static str,
    },
    /// The id is longer than [`MAX_ID_BYTES`].
    #[error("{field} is {bytes} bytes, the limit is {MAX_ID_BYTES}")]
    TooLong {
        /// The field's name on the wire.
        field: &'static str,
        /// The found length.
        bytes: usize,
    },
    /// The id holds a control character.
    #[error("{field} holds the control character U+{code:04X} at byte {position}")]
    Control {
        /// The field's name on the wire.
        field: &'static str,
        /// The character's code point.
        code: u32,
        /// The byte position.
        position: usize,
    },
}

fn check(field: &'static str, text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty { field });
    }
    if text.len() > MAX_ID_BYTES {
        return Err(IdError::TooLong { field, bytes: text.len() });
    }
    match text.char_indices().find(|(_, c)| c.is_control()) {
        Some((position, c)) => Err(IdError::Control { field, code: c.into(), position }),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        ///
        /// 1 to 253 bytes of UTF-8 without control characters. Clones share the text.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks `text`.
            ///
            /// # Errors
            /// Says which rule it breaks.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check($field, text)?;
                Ok(Self(text.into()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

id!(
    /// Names one task (a build): the log that people follow.
    TaskId,
    "task_id"
);
id!(
    /// Names one worker of a task.
    WorkerId,
    "worker_id"
);

/// Position of an entry in the whole store, increasing from 1.
///
/// One number serves a task's stream and the all-tasks stream; a task's offsets
/// are increasing but not contiguous.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct Offset(pub u64);

impl Offset {
    /// The first offset of any store.
    pub const FIRST: Self = Self(1);

    /// The offset after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Position of a log line within its task, from 1 and contiguous.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub struct LineNumber(pub u64);

/// Identifies a store from its creation on; ids of another epoch are not valid in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Epoch(pub u32);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// What browsers keep as `Last-Event-ID`: `<epoch>-<offset>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventId {
    /// The epoch of the store that gave the id.
    pub epoch: Epoch,
    /// The entry's offset in that store.
    pub offset: Offset,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.offset)
    }
}

/// A text that is not an event id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event id, it needs the form <8 hex digits>-<offset>, as in 1f2e3d4c-1207")]
pub struct EventIdError(pub String);

impl FromStr for EventId {
    type Err = EventIdError;
    fn from_str(text: &str) -> Result<Self, EventIdError> {
        let error = || EventIdError(text.chars().take(64).collect());
        let (epoch, offset) = text.split_once('-').ok_or_else(error)?;
        let only_hex = epoch.len() == 8 && epoch.bytes().all(|b| b.is_ascii_hexdigit());
        let only_digits = !offset.is_empty() && offset.bytes().all(|b| b.is_ascii_digit());
        if !only_hex || !only_digits {
            return Err(error());
        }
        let epoch = u32::from_str_radix(epoch, 16).map_err(|_| error())?;
        let offset = offset.parse().map_err(|_| error())?;
        Ok(Self { epoch: Epoch(epoch), offset: Offset(offset) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_253_bytes_is_accepted_and_254_are_refused_with_both_numbers() {
        assert!(TaskId::new(&"a".repeat(253)).is_ok());
        let error = TaskId::new(&"a".repeat(254)).unwrap_err();
        assert_eq!(error.to_string(), "task_id is 254 bytes, the limit is 253");
    }

    #[test]
    fn an_empty_id_and_a_control_character_are_refused_by_name() {
        let empty = WorkerId::new("").unwrap_err().to_string();
        assert_eq!(empty, "worker_id is empty, it needs 1 to 253 bytes");
        let control = WorkerId::new("a\nb").unwrap_err().to_string();
        assert_eq!(control, "worker_id holds the control character U+000A at byte 1");
    }

    #[test]
    fn an_event_id_survives_text_and_malformed_ones_are_refused() {
        let id = EventId { epoch: Epoch(0x1f), offset: Offset(42) };
        assert_eq!(id.to_string(), "0000001f-42");
        assert_eq!("0000001f-42".parse(), Ok(id));
        for bad in ["", "42", "1f-42", "0000001f-", "0000001f-x", "0000001f-+1", "0000001f--1"] {
            assert!(bad.parse::<EventId>().is_err(), "{bad:?} was accepted");
        }
        assert!("0000001f-99999999999999999999".parse::<EventId>().is_err());
    }
}
