//! A filter that knows lines in parts: whether such a line has a word is known once all of it was
//! read.

use super::filter::{Filter, LineParts, Verdict, searched};
use crate::domain::{Entry, Scope, TaskId};
use crate::encode::Fields;
use crate::store::{Log, ReadError};

/// A filter, and what it found of the last line in parts.
#[derive(Debug, Clone, Default)]
pub struct LineFilter {
    filter: Filter,
    known: Option<(LineParts, bool)>,
}

impl LineFilter {
    /// A filter of lines by `filter`.
    pub fn new(filter: Filter) -> Self {
        Self { filter, known: None }
    }

    /// Whether `entry` passes.
    ///
    /// # Errors
    /// The line that must be looked up first: [`LineFilter::look_up`].
    pub fn passes(&self, entry: &Entry<'_>) -> Result<bool, LineParts> {
        match self.filter.verdict(entry) {
            Verdict::Passes => Ok(true),
            Verdict::Hides => Ok(false),
            Verdict::DependsOn(parts) => match self.known {
                Some((known, passes)) if known == parts => Ok(passes),
                _ => Err(parts),
            },
        }
    }

    /// Finds out whether the line of `task` that has these parts passes.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub async fn look_up(
        &mut self,
        log: &dyn Log,
        task: &TaskId,
        parts: LineParts,
    ) -> Result<(), ReadError> {
        let mut words = Words { filter: &self.filter, end: String::new() };
        let (mut next, mut passes) = (parts.first, false);
        while next < parts.end && !passes {
            // One block at a time: it has at least one part.
            let read = log.read(Scope::Task(task.clone()), next, 1).await?;
            let entries = read.blocks.iter().flat_map(|block| block.entries());
            let of_line = entries.filter(|entry| entry.offset >= next && entry.offset < parts.end);
            passes = of_line.into_iter().any(|entry| words.are_in(&entry));
            match read.blocks.last() {
                Some(block) if block.end() > next => next = block.end(),
                _ => break,
            }
        }
        self.known = Some((parts, passes));
        Ok(())
    }
}

/// Looks for words in one part after another, also where they are cut.
struct Words<'a> {
    filter: &'a Filter,
    /// The end of the part before, which a word may have begun in.
    end: String,
}

impl Words<'_> {
    fn are_in(&mut self, part: &Entry<'_>) -> bool {
        let lower = Fields::read(part, |fields| searched(&fields.message));
        self.end.push_str(&lower);
        let found = self.filter.keywords_in(&self.end);
        let kept = self.filter.longest_keyword().min(self.end.len());
        let from = self.end.floor_char_boundary(self.end.len() - kept);
        self.end.drain(..from);
        found
    }
}
