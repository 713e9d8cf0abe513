//! Which entries a reader wants to see.

use jiff::Timestamp;

use crate::domain::{Entry, Kind, WorkerId};
use crate::encode::Fields;
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

    /// Whether `entry` passes.
    pub fn matches(&self, entry: &Entry<'_>) -> bool {
        let is_its_worker = |worker: &WorkerId| worker.as_str() == entry.worker;
        if !matches!(entry.kind, Kind::Gap | Kind::End)
            && !self.workers.is_empty()
            && !self.workers.iter().any(is_its_worker)
        {
            return false;
        }
        entry.kind != Kind::Log || Fields::read(entry, |fields| self.matches_fields(fields))
    }

    fn matches_fields(&self, fields: &Fields<'_>) -> bool {
        is_any_of(&self.levels, &fields.level)
            && is_any_of(&self.sources, &fields.source)
            && self.has_keyword(&fields.message)
            && self.is_in_time(fields)
    }

    fn has_keyword(&self, message: &str) -> bool {
        if self.keywords.is_empty() {
            return true;
        }
        let message = plain_text(message).to_lowercase();
        self.keywords.iter().any(|keyword| message.contains(&keyword.to_lowercase()))
    }

    fn is_in_time(&self, fields: &Fields<'_>) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        let time = fields.timestamp.parse().or_else(|_| fields.received_at.parse::<Timestamp>());
        let Ok(time) = time else { return false };
        self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time <= until)
    }
}

fn is_any_of(wanted: &[String], found: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|text| text.eq_ignore_ascii_case(found))
}
