//! Which tasks the holder of a token may read.

use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};
use serde::Deserialize;

use crate::domain::TaskId;

/// Which tasks somebody may read.
#[derive(Debug, Clone)]
pub(in crate::http) enum Access {
    /// Every task.
    All,
    /// Tasks that match one of the globs. `*` stands for any characters, also `/`.
    Only(Arc<Globs>),
}

/// Globs as the token has them, and compiled.
#[derive(Debug)]
pub(in crate::http) struct Globs {
    texts: Vec<String>,
    set: GlobSet,
}

impl Access {
    /// What `globs`, a list of texts, names; `None` where it is not a list of valid globs.
    pub(in crate::http) fn only(globs: serde_json::Value) -> Option<Self> {
        let texts = Vec::<String>::deserialize(globs).ok()?;
        let set = globset(&texts).ok()?;
        Some(Self::Only(Arc::new(Globs { texts, set })))
    }

    /// Whether `task` may be read.
    pub(in crate::http) fn allows(&self, task: &TaskId) -> bool {
        match self {
            Self::All => true,
            Self::Only(globs) => globs.set.is_match(task.as_str()),
        }
    }

    /// The globs; `None` where every task may be read.
    pub(super) fn texts(&self) -> Option<&[String]> {
        match self {
            Self::All => None,
            Self::Only(globs) => Some(&globs.texts),
        }
    }
}

/// Compiles `texts`.
///
/// # Errors
/// The one that is not a valid glob.
pub(super) fn globset(texts: &[String]) -> Result<GlobSet, String> {
    let mut set = GlobSetBuilder::new();
    for text in texts {
        set.add(Glob::new(text).map_err(|_| text.clone())?);
    }
    set.build().map_err(|_| texts.join(", "))
}
