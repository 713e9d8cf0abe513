//! What clients ask for: in the address, and in messages later.
//!
//! A message is a JSON object with a `type`; its other members are named and written like the
//! parameters of a stream's address. A list is a parameter that is given several times.

use http::Uri;
use serde_json::{Map, Value};

use crate::domain::{Scope, TaskId};
use crate::http::problem::Problem;
use crate::http::request::filter::{FILTER_PARAMS, read_filter};
use crate::http::request::params::{ParamNames, Params};
use crate::http::stream::{RANGE_PARAMS, StreamQuery};
use crate::subscribe::Filter;

const TASK: &str = "taskId";

const SUBSCRIPTION: &[ParamNames] = &[&[TASK], FILTER_PARAMS, RANGE_PARAMS];

/// What a client asks for.
pub(super) enum Wish {
    /// A stream in place of the one that is open.
    Subscribe(Subscription),
    /// Another filter for the same stream, from the next entry on.
    Filter(Filter),
    /// No stream.
    Unsubscribe,
}

/// A stream, and where it begins.
pub(super) struct Subscription {
    pub(super) scope: Scope,
    pub(super) query: StreamQuery,
}

impl Wish {
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        let message: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Problem::bad_request("invalid_message", format!("it must be a JSON object: {error}"))
        })?;
        let asked = message.get("type").cloned().unwrap_or_default();
        match asked.as_str() {
            Some("subscribe") => {
                let params = Params::of_pairs(pairs(message)?, SUBSCRIPTION)?;
                Subscription::read(&params).map(Self::Subscribe)
            }
            Some("filter") => {
                let params = Params::of_pairs(pairs(message)?, &[FILTER_PARAMS])?;
                read_filter(&params).map(Self::Filter)
            }
            Some("unsubscribe") => Ok(Self::Unsubscribe),
            _ => {
                let rule = "it must be \"subscribe\", \"filter\" or \"unsubscribe\"";
                Err(Problem::bad_request("invalid_message", format!("type is {asked}, {rule}")))
            }
        }
    }
}

impl Subscription {
    /// The first stream, where the address asks for one: an address without a query does not.
    pub(super) fn of_address(uri: &Uri) -> Result<Option<Self>, Problem> {
        if uri.query().is_none_or(|query| query.trim_matches('&').is_empty()) {
            return Ok(None);
        }
        Self::read(&Params::read(uri, SUBSCRIPTION)?).map(Some)
    }

    fn read(params: &Params) -> Result<Self, Problem> {
        let scope = match params.text(TASK)? {
            Some(task) => Scope::Task(TaskId::new(task)?),
            None => Scope::All,
        };
        let query = StreamQuery::read_params(&scope, params)?;
        Ok(Self { scope, query })
    }
}

/// A filter for a stream that is not there.
pub(super) fn no_stream() -> Problem {
    Problem::bad_request("no_stream", "there is no stream to filter, subscribe first")
}

/// The members of `message` as parameters.
fn pairs(message: Map<String, Value>) -> Result<Vec<(String, String)>, Problem> {
    let mut pairs = Vec::new();
    for (name, value) in message.into_iter().filter(|(name, _)| name != "type") {
        match value {
            Value::Null => {}
            Value::Array(values) => {
                for value in values {
                    pairs.push((name.clone(), text(&name, value)?));
                }
                // So that a single word of a list is not split either.
                pairs.push((name, String::new()));
            }
            value => pairs.push((name.clone(), text(&name, value)?)),
        }
    }
    Ok(pairs)
}

fn text(name: &str, value: Value) -> Result<String, Problem> {
    match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        Value::Bool(flag) => Ok(flag.to_string()),
        other => {
            let rule = "it must be a text, a number, true, false or a list of them";
            Err(Problem::bad_request("invalid_message", format!("{name} is {other}, {rule}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        match Wish::read(text) {
            Ok(_) => panic!("{text} was taken"),
            Err(problem) => problem.detail,
        }
    }

    #[test]
    fn messages_have_the_parameters_of_a_stream_and_lists_are_not_split_at_commas() {
        let text = r#"{"type":"filter","keywords":["3, found"],"level":"ERROR,WARN","since":null}"#;
        let Ok(Wish::Filter(filter)) = Wish::read(text) else { panic!("it is a filter") };
        assert_eq!((filter.keywords, filter.levels.len()), (vec!["3, found".to_owned()], 2));
        let text = r#"{"type":"subscribe","taskId":"t","tail":5,"follow":false}"#;
        let Ok(Wish::Subscribe(subscription)) = Wish::read(text) else { panic!("it is one") };
        assert_eq!(subscription.scope, Scope::Task(TaskId::new("t").unwrap()));
    }

    #[test]
    fn what_cannot_be_understood_is_refused_with_value_and_rule() {
        assert!(refusal("hello").starts_with("it must be a JSON object"));
        assert!(refusal("{}").starts_with("type is null, it must be"));
        assert!(refusal(r#"{"type":"filter","level":{}}"#).starts_with("level is {}, it must be"));
        assert!(refusal(r#"{"type":"filter","taskId":"t"}"#).contains("is not a parameter here"));
        assert!(refusal(r#"{"type":"subscribe","tail":-1}"#).contains("tail is \"-1\""));
        let task = format!(r#"{{"type":"subscribe","taskId":"{}"}}"#, "x".repeat(300));
        assert!(refusal(&task).contains("task_id is 300 bytes"));
    }
}
