//! Reading query parameters: an unknown one, one given twice and a bad value are refused by name.

use std::fmt::Display;
use std::ops::RangeInclusive;

use axum::extract::Query;
use http::Uri;
use jiff::Timestamp;

use super::problem::Problem;
use crate::domain::WorkerId;
use crate::subscribe::Filter;

/// The query of one request.
#[derive(Debug)]
pub(super) struct Params {
    pairs: Vec<(String, String)>,
    known: &'static [&'static str],
}

impl Params {
    /// Takes the query of `uri` apart.
    pub(super) fn read(uri: &Uri, known: &'static [&'static str]) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::bad_request("invalid_query", error))?
            .0;
        match pairs.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => Err(Problem::unknown_parameter(name, known)),
            None => Ok(Self { pairs, known }),
        }
    }

    /// The refusal of `value`.
    pub(super) fn refuse(&self, name: &str, value: &str, rule: impl Display) -> Problem {
        Problem::bad_parameter(name, value, rule, self.known)
    }

    /// The one value of `name`.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.values(name);
        let first = values.next();
        match values.next() {
            Some(second) => Err(self.refuse(name, second, "and was given before")),
            None => Ok(first),
        }
    }

    /// The one value of `name`, as `parse` reads it.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        rule: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| self.refuse(name, value, rule))
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let rule = match range.end() {
            &u64::MAX => format!("it must be a whole number from {} on", range.start()),
            end => format!("it must be a whole number from {} to {end}", range.start()),
        };
        let only_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        self.parsed(name, rule, |text| {
            let number = only_digits(text).then(|| text.parse().ok())?;
            number.filter(|number| range.contains(number))
        })
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name, "it must be true or false", |text| text.parse().ok())
    }

    /// The comma-separated values of `name`. Blank ones are left out: a form field that was
    /// left blank sets no condition.
    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// The filter that `level`, `source`, `keywords`, `workerId`, `since` and `until` make.
    pub(super) fn filter(&self) -> Result<Filter, Problem> {
        let texts = |name| self.list(name).map(String::from).collect();
        let worker =
            |text| WorkerId::new(text).map_err(|error| self.refuse("workerId", text, error));
        let filter = Filter {
            levels: texts("level"),
            sources: texts("source"),
            keywords: texts("keywords"),
            workers: self.list("workerId").map(worker).collect::<Result<_, _>>()?,
            since: self.time("since")?,
            until: self.time("until")?,
        };
        if filter.since.zip(filter.until).is_some_and(|(since, until)| since > until) {
            let until = self.text("until")?.unwrap_or_default();
            return Err(self.refuse("until", until, "it must not be before since"));
        }
        Ok(filter)
    }

    fn time(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        if self.text(name)?.is_some_and(str::is_empty) {
            return Ok(None);
        }
        let rule = "it must be a time of RFC 3339, as in 2026-11-24T06:57:29Z";
        // A `+` that was not escaped arrives as a space.
        self.parsed(name, rule, |text| {
            text.parse().or_else(|_| text.replace(' ', "+").parse()).ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[&str] = &["level", "keywords", "workerId", "since", "until", "source", "limit"];

    fn params(query: &str) -> Result<Params, Problem> {
        Params::read(&format!("/x?{query}").parse().unwrap(), KNOWN)
    }

    fn refusal(query: &str) -> String {
        match params(query).and_then(|params| params.filter()) {
            Ok(filter) => panic!("{query} made {filter:?}"),
            Err(problem) => problem.detail,
        }
    }

    #[test]
    fn an_unknown_parameter_is_named_with_those_that_are_known() {
        let detail = refusal("lvel=ERROR");
        assert_eq!(
            detail,
            "\"lvel\" is no parameter here, known are: level, keywords, workerId, since, until, \
             source, limit"
        );
    }

    #[test]
    fn lists_are_split_at_commas_and_blank_values_set_no_condition() {
        let filter =
            params("level=ERROR,warn&keywords=a%20b,&source=&since=").unwrap().filter().unwrap();
        assert_eq!(filter.levels, ["ERROR", "warn"]);
        assert_eq!(filter.keywords, ["a b"]);
        assert!(filter.sources.is_empty() && filter.since.is_none());
    }

    #[test]
    fn a_time_is_read_with_an_unescaped_plus_too() {
        let filter = params("since=2026-01-01T09:00:00+09:00").unwrap().filter().unwrap();
        assert_eq!(filter.since, Some("2026-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn bad_values_are_refused_with_value_and_rule() {
        assert!(
            refusal("since=yesterday").starts_with("since is \"yesterday\", it must be a time")
        );
        assert!(refusal("workerId=a%00b").contains("holds the control character U+0000"));
        assert!(
            refusal("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z").contains("before")
        );
        assert!(
            refusal("until=2026-01-01T00:00:00Z&until=2026-01-01T00:00:00Z").contains("before")
        );
    }

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        for bad in ["limit=0", "limit=11", "limit=-1", "limit=+1", "limit=", "limit=1e1"] {
            let problem = params(bad).unwrap().number("limit", 1..=10).unwrap_err();
            assert!(problem.detail.contains("a whole number from 1 to 10"), "{}", problem.detail);
        }
        assert_eq!(params("limit=10").unwrap().number("limit", 1..=10).unwrap(), Some(10));
        assert_eq!(params("").unwrap().number("limit", 1..=10).unwrap(), None);
    }
}
