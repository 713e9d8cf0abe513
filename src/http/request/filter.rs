//! The query parameters that filter entries, alike for streams and history.

use jiff::Timestamp;

use super::params::{ParamNames, Params};
use crate::domain::WorkerId;
use crate::encode::parse_time;
use crate::http::problem::Problem;
use crate::subscribe::Filter;

const LEVEL: &str = "level";
const SOURCE: &str = "source";
const KEYWORDS: &str = "keywords";
const WORKER_ID: &str = "workerId";
const SINCE: &str = "since";
const UNTIL: &str = "until";

/// What [`read_filter`] reads; a route that calls it lets these parameters through.
pub(in crate::http) const FILTER_PARAMS: ParamNames =
    &[LEVEL, SOURCE, KEYWORDS, WORKER_ID, SINCE, UNTIL];

/// The filter that [`FILTER_PARAMS`] describe.
pub(in crate::http) fn read_filter(params: &Params) -> Result<Filter, Problem> {
    let texts = |name| params.list(name).map(String::from).collect();
    let worker = |text| WorkerId::new(text).map_err(|error| params.refuse(WORKER_ID, text, error));
    let filter = Filter {
        levels: texts(LEVEL),
        sources: texts(SOURCE),
        keywords: params.words(KEYWORDS).into_iter().map(String::from).collect(),
        workers: params.list(WORKER_ID).map(worker).collect::<Result<_, _>>()?,
        since: time(params, SINCE)?,
        until: time(params, UNTIL)?,
    };
    if filter.since.zip(filter.until).is_some_and(|(since, until)| since > until) {
        let until = params.text(UNTIL)?.unwrap_or_default();
        return Err(params.refuse(UNTIL, until, "it must not be before since"));
    }
    Ok(filter)
}

fn time(params: &Params, name: &str) -> Result<Option<Timestamp>, Problem> {
    let rule = "it must be a time of RFC 3339, as in 2026-11-24T06:57:29Z";
    params.parsed(name, rule, |text| parse_time(text).or_else(|| with_plus(text)))
}

/// A `+` before an offset that was not escaped arrives as a space.
fn with_plus(text: &str) -> Option<Timestamp> {
    let (time, offset) = text.rsplit_once(' ')?;
    parse_time(&format!("{time}+{offset}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: &str) -> Result<Filter, Problem> {
        let uri = format!("/x?{query}").parse().unwrap();
        Params::read(&uri, &[FILTER_PARAMS]).and_then(|params| read_filter(&params))
    }

    fn refusal(query: &str) -> String {
        match filter(query) {
            Ok(filter) => panic!("{query} made {filter:?}"),
            Err(problem) => problem.detail,
        }
    }

    #[test]
    fn lists_are_split_at_commas_and_blank_values_set_no_condition() {
        let filter = filter("level=ERROR,warn&keywords=a%20b,&source=&since=").unwrap();
        assert_eq!(filter.levels, ["ERROR", "warn"]);
        assert_eq!(filter.keywords, ["a b"]);
        assert!(filter.sources.is_empty() && filter.since.is_none());
    }

    #[test]
    fn keywords_that_are_given_one_by_one_may_have_commas() {
        assert_eq!(filter("keywords=3,%20found&keywords=").unwrap().keywords, ["3, found"]);
        assert_eq!(filter("keywords=a,b&keywords=c").unwrap().keywords, ["a,b", "c"]);
        assert_eq!(filter("keywords=a,b").unwrap().keywords, ["a", "b"]);
    }

    #[test]
    fn a_time_is_read_with_an_unescaped_plus_too() {
        for text in
            ["2026-01-01T09:00:00+09:00", "2026-01-01%2009:00:00+09:00", "2026-01-01+00:00:00z"]
        {
            let since = filter(&format!("since={text}")).unwrap().since;
            assert_eq!(since, Some("2026-01-01T00:00:00Z".parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_time_that_means_for_ever_is_taken() {
        let until = filter("until=9999-12-31T23:59:59Z").unwrap().until;
        assert_eq!(until, Some(Timestamp::MAX));
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
}
