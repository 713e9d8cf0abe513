//! Reading query parameters: an unknown one, one given twice and a bad value are refused by name.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::http::problem::Problem;
use axum::extract::Query;
use http::Uri;

/// Names of query parameters.
pub(in crate::http) type ParamNames = &'static [&'static str];

/// The query of one request.
#[derive(Debug)]
pub(in crate::http) struct Params {
    pairs: Vec<(String, String)>,
    /// The parameters that the route takes, in groups.
    known: &'static [ParamNames],
}

impl Params {
    /// Takes the query of `uri` apart; one that is not in `known` is refused.
    pub(in crate::http) fn read(uri: &Uri, known: &'static [ParamNames]) -> Result<Self, Problem> {
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Problem::bad_request("invalid_query", error))?
            .0;
        Self::of_pairs(pairs, known)
    }

    /// Takes names and values; a name that is not in `known` is refused.
    pub(in crate::http) fn of_pairs(
        pairs: Vec<(String, String)>,
        known: &'static [ParamNames],
    ) -> Result<Self, Problem> {
        let is_known = |name: &str| known.iter().any(|names| names.contains(&name));
        match pairs.iter().find(|(name, _)| !is_known(name)) {
            Some((name, _)) => Err(Problem::unknown_parameter(name, known.concat())),
            None => Ok(Self { pairs, known }),
        }
    }

    /// The refusal of `value`.
    pub(in crate::http) fn refuse(&self, name: &str, value: &str, rule: impl Display) -> Problem {
        Problem::bad_parameter(name, value, rule, self.known.concat())
    }

    /// The one value of `name`. One that is empty is as absent: forms send their empty fields.
    pub(in crate::http) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.values(name).filter(|value| !value.is_empty());
        let first = values.next();
        match values.next() {
            Some(second) => Err(self.refuse(name, second, "and was given before")),
            None => Ok(first),
        }
    }

    /// The one value of `name`, as `parse` reads it.
    pub(in crate::http) fn parsed<T>(
        &self,
        name: &str,
        rule: impl Display,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.text(name)? else { return Ok(None) };
        parse(value).map(Some).ok_or_else(|| self.refuse(name, value, rule))
    }

    /// A whole number within `range`.
    pub(in crate::http) fn number(
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
    pub(in crate::http) fn flag(&self, name: &str) -> Result<Option<bool>, Problem> {
        self.parsed(name, "it must be true or false", |text| text.parse().ok())
    }

    /// The comma-separated values of `name`. Blank ones are left out: a form field that was
    /// left blank sets no condition.
    pub(super) fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .filter(|v| !v.is_empty())
    }

    /// As [`Self::list`], but values of a `name` that is given several times are not split, so that
    /// a text with a comma can be asked for.
    pub(super) fn words(&self, name: &str) -> Vec<&str> {
        if self.values(name).count() < 2 {
            return self.list(name).collect();
        }
        self.values(name).map(str::trim).filter(|value| !value.is_empty()).collect()
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.pairs.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[ParamNames] = &[&["level", "since"], &["limit"]];

    fn params(query: &str) -> Result<Params, Problem> {
        Params::read(&format!("/x?{query}").parse().unwrap(), KNOWN)
    }

    #[test]
    fn an_unknown_parameter_is_named_with_those_that_are_known() {
        let problem = params("lvel=ERROR").unwrap_err();
        assert_eq!(
            problem.detail,
            "\"lvel\" is not a parameter here, known are: level, since, limit"
        );
    }

    #[test]
    fn numbers_outside_their_range_are_refused_with_the_range() {
        for bad in ["limit=0", "limit=11", "limit=-1", "limit=+1", "limit=1e1"] {
            let problem = params(bad).unwrap().number("limit", 1..=10).unwrap_err();
            assert!(problem.detail.contains("a whole number from 1 to 10"), "{}", problem.detail);
        }
        assert_eq!(params("limit=10").unwrap().number("limit", 1..=10).unwrap(), Some(10));
        for absent in ["", "limit=", "limit", "limit=&limit="] {
            assert_eq!(params(absent).unwrap().number("limit", 1..=10).unwrap(), None, "{absent}");
        }
        assert_eq!(params("limit=&limit=3").unwrap().number("limit", 1..=10).unwrap(), Some(3));
        assert!(params("limit=2&limit=3").unwrap().number("limit", 1..=10).is_err());
    }
}
