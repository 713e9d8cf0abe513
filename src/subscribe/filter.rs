//! Which entries a reader wants to see.

use jiff::Timestamp;

use crate::domain::{Entry, Kind, Offset, WorkerId};
use crate::encode::{Fields, parse_time};
use crate::terminal::plain_text;

/// Conditions that must all hold; an empty list sets none.
///
/// `workers` applies to lines and statuses, the other conditions to lines only, and none to gaps.
/// For a line whose timestamp cannot be read, the time of receipt counts.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Any of these levels, whatever their case.
    pub levels: Vec<String>,
    /// Any of these sources, whatever their case.
    pub sources: Vec<String>,
    /// What a terminal shows of the message holds any of these, whatever their case.
    pub keywords: Vec<String>,
    /// Any of these workers.
    pub workers: Vec<WorkerId>,
    /// Not before.
    pub since: Option<Timestamp>,
    /// Not after.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Whether there is no condition, so that every entry passes.
    pub fn is_empty(&self) -> bool {
        let Self { levels, sources, keywords, workers, since, until } = self;
        let lists_are_empty =
            levels.is_empty() && sources.is_empty() && keywords.is_empty() && workers.is_empty();
        lists_are_empty && since.is_none() && until.is_none()
    }

    /// What it says of `entry`.
    pub(super) fn verdict(&self, entry: &Entry<'_>) -> Verdict {
        if self.is_empty() {
            return Verdict::Passes;
        }
        let is_its_worker = |worker: &WorkerId| worker.as_str() == entry.worker;
        if !matches!(entry.kind, Kind::Gap | Kind::End)
            && !self.workers.is_empty()
            && !self.workers.iter().any(is_its_worker)
        {
            return Verdict::Hides;
        }
        if !matches!(entry.kind, Kind::Log | Kind::Part) {
            return Verdict::Passes;
        }
        Fields::read(entry, |fields| {
            if !self.matches_beside_words(fields) {
                Verdict::Hides
            } else if self.keywords.is_empty() {
                Verdict::Passes
            } else if let Some(parts) = LineParts::of(entry.offset, fields) {
                Verdict::DependsOn(parts)
            } else if self.keywords_in(&searched(&fields.message)) {
                Verdict::Passes
            } else {
                Verdict::Hides
            }
        })
    }

    fn matches_beside_words(&self, fields: &Fields<'_>) -> bool {
        is_any_of(&self.levels, &fields.level)
            && is_any_of(&self.sources, &fields.source)
            && self.is_in_time(fields)
    }

    /// Whether a text in lower case has any of the words.
    pub(super) fn keywords_in(&self, text: &str) -> bool {
        self.keywords.iter().any(|keyword| text.contains(&keyword.to_lowercase()))
    }

    /// How many bytes the longest word has in lower case.
    pub(super) fn longest_keyword(&self) -> usize {
        self.keywords.iter().map(|keyword| keyword.to_lowercase().len()).max().unwrap_or(0)
    }

    fn is_in_time(&self, fields: &Fields<'_>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = parse_time(&fields.timestamp).or_else(|| parse_time(&fields.received_at));
        let Some(time) = time else { return false };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

/// What a filter says of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Passes,
    Hides,
    /// Its line decides, of which it is one of these parts.
    DependsOn(LineParts),
}

/// Where the parts of a line stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineParts {
    /// The first part.
    pub(super) first: Offset,
    /// The offset after the last part.
    pub(super) end: Offset,
}

impl LineParts {
    /// Those of the line of which the entry at `offset` has `fields`; `None` where it is the whole
    /// line.
    fn of(offset: Offset, fields: &Fields<'_>) -> Option<Self> {
        let Fields { part, parts, .. } = fields;
        let before = u64::from(part.checked_sub(1)?);
        let first = Offset(offset.0.checked_sub(before)?);
        (*parts > 1).then(|| Self { first, end: Offset(first.0 + u64::from(*parts)) })
    }
}

/// What of a message words are looked for in: what is seen of it, in lower case.
pub(super) fn searched(message: &str) -> String {
    plain_text(message).to_lowercase()
}

fn is_any_of(wanted: &[String], found: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|text| text.eq_ignore_ascii_case(found))
}
