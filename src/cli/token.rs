//! `token`: makes a token that a server with the same secret accepts.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::builder::BoolishValueParser;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde::Serialize;

use crate::config::MIN_SECRET_BYTES;
use crate::domain::now_ms;

/// Make a token (JWT, HS256) and print it, alone, on standard output
///
///   otto-handler token --sub me --task 'build-*' --ttl 8h
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// Whom the token is for (its claim `sub`)
    #[arg(long, env = "OTTO_TOKEN_SUB", value_name = "NAME")]
    pub sub: String,
    /// Tasks that may be read, as a glob such as 'build-*'; may be given several times. By default
    /// every task
    #[arg(long = "task", env = "OTTO_TOKEN_TASK", value_name = "GLOB", value_delimiter = ',')]
    pub tasks: Vec<String>,
    /// Also allow deleting these tasks
    #[arg(long, env = "OTTO_TOKEN_DELETE", value_parser = BoolishValueParser::new())]
    pub delete: bool,
    /// Also allow saying that these tasks have ended
    #[arg(long, env = "OTTO_TOKEN_PUSH", value_parser = BoolishValueParser::new())]
    pub push: bool,
    /// How long the token is valid
    #[arg(long, env = "OTTO_TOKEN_TTL", value_name = "TIME", default_value = "1h")]
    pub ttl: humantime::Duration,
    /// The server's secret
    #[arg(long, env = "JWT_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub jwt_secret: String,
}

#[derive(Debug, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tasks: &'a [String],
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    delete: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    push: bool,
}

/// Runs the command.
///
/// # Errors
/// When the secret or the subject is empty, a glob cannot be parsed, or the token would never be
/// valid.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let token = make(&args, now_ms() / 1000)?;
    if args.jwt_secret.len() < MIN_SECRET_BYTES {
        eprintln!(
            "warning: the secret is {} bytes, serve needs at least {MIN_SECRET_BYTES}",
            args.jwt_secret.len()
        );
    }
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

fn make(args: &Args, now_s: u64) -> anyhow::Result<String> {
    ensure!(!args.jwt_secret.is_empty(), "the secret is empty");
    ensure!(!args.sub.is_empty(), "sub is empty");
    for glob in &args.tasks {
        globset::Glob::new(glob).with_context(|| format!("task is {glob:?}, expected a glob"))?;
    }
    let ttl: Duration = args.ttl.into();
    if ttl.as_secs() == 0 {
        bail!("ttl is {}, it needs at least 1s", args.ttl);
    }
    let exp = now_s.checked_add(ttl.as_secs()).context("ttl is too long")?;
    let Args { sub, tasks, delete, push, .. } = args;
    let claims = Claims { sub, iat: now_s, exp, tasks, delete: *delete, push: *push };
    let key = EncodingKey::from_secret(args.jwt_secret.as_bytes());
    Ok(encode(&Header::default(), &claims, &key)?)
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};

    use super::*;

    fn args(secret: &str, ttl_s: u64) -> Args {
        Args {
            sub: "me".into(),
            tasks: vec!["build-*".into()],
            delete: false,
            push: false,
            ttl: Duration::from_secs(ttl_s).into(),
            jwt_secret: secret.into(),
        }
    }

    fn claims(args: &Args) -> serde_json::Value {
        let now_s = now_ms() / 1000;
        let token = make(args, now_s).unwrap();
        let key = DecodingKey::from_secret(args.jwt_secret.as_bytes());
        let validation = Validation::new(Algorithm::HS256);
        decode::<serde_json::Value>(&token, &key, &validation).unwrap().claims
    }

    #[test]
    fn a_token_carries_its_claims_and_the_right_signature() {
        let claims = claims(&args("secret", 60));
        assert_eq!(claims["sub"], "me");
        assert_eq!(claims["tasks"], serde_json::json!(["build-*"]));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), 60);
    }

    #[test]
    fn without_tasks_the_claim_is_absent() {
        let mut args = args("secret", 60);
        args.tasks.clear();
        assert_eq!(claims(&args).get("tasks"), None);
    }

    #[test]
    fn a_right_is_there_only_where_it_was_asked_for() {
        let mut args = args("secret", 60);
        assert_eq!(claims(&args).get("delete"), None);
        assert_eq!(claims(&args).get("push"), None);
        (args.delete, args.push) = (true, true);
        assert_eq!(claims(&args)["delete"], true);
        assert_eq!(claims(&args)["push"], true);
    }

    #[test]
    fn what_makes_no_useful_token_is_refused() {
        assert_eq!(make(&args("", 60), 0).unwrap_err().to_string(), "the secret is empty");
        assert_eq!(
            make(&args("secret", 0), 0).unwrap_err().to_string(),
            "ttl is 0s, it needs at least 1s"
        );
        assert!(make(&args("secret", u64::MAX), 1).is_err());
        let mut no_sub = args("secret", 60);
        no_sub.sub.clear();
        assert!(make(&no_sub, 0).is_err());
        let mut bad_glob = args("secret", 60);
        bad_glob.tasks = vec!["build-[".into()];
        assert!(make(&bad_glob, 0).unwrap_err().to_string().contains("build-["));
    }
}
