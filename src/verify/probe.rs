//! Rounds on a server that others use too: no faults, low rate, a verdict each round.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use reqwest::Url;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::actors::entries::PushTarget;
use super::actors::reader::ReadTarget;
use super::judge::{Outcome, Verdict};
use super::metrics::Metrics;
use super::own::Error;
use super::plan::{Plan, ServerKind};
use super::progress::{self, Observer};
use super::record::Event;
use super::recorder;
use super::round::{Round, Targets};

/// The longest round: so late a violation is told at most.
const ROUND: Duration = Duration::from_secs(60);

/// How long the server may be silent: four of its default heartbeats.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

/// A server that runs.
#[derive(Debug, Clone)]
pub struct SharedServer {
    /// Its HTTP address.
    pub http: Url,
    /// Its gRPC address.
    pub grpc: Uri,
    /// A token for both ports.
    pub token: Option<String>,
}

/// Runs rounds until the plan's duration is over (for ever where it is zero) or `stop`; every
/// round's verdict goes to `on_verdict`. The worst outcome.
///
/// # Errors
/// When a round has no verdict.
pub async fn probe(
    plan: &Plan,
    shared: &SharedServer,
    history: Option<&Path>,
    (observer, interval): (Observer, Duration),
    stop: CancellationToken,
    mut on_verdict: impl FnMut(&Verdict),
) -> Result<Outcome, Error> {
    let targets = targets(shared)?;
    let metrics = Arc::new(Metrics::default());
    let telling = tokio::spawn(progress::tell(observer, interval, Arc::clone(&metrics), None));
    let (run, begun) = (fastrand::u32(..), Instant::now());
    let (mut worst, mut number) = (Outcome::Sound, 0);
    loop {
        number += 1;
        let left = plan.duration.saturating_sub(begun.elapsed());
        let length = if plan.duration.is_zero() { ROUND } else { left.min(ROUND) };
        let (recorder, taking) = recorder::begin(history)?;
        recorder.record(Event::Plan { seed: plan.seed, excuses: plan.excuses() }).await;
        let round = plan.round(run, number, ServerKind::Shared);
        let mut round = Round::start(&round, &targets, recorder, &metrics, plan.patience);
        stop.run_until_cancelled(sleep(length)).await;
        round.finish_producing().await;
        round.finish_reading().await;
        let verdict = taking.await??.finish();
        worst = worst.max(verdict.outcome());
        on_verdict(&verdict);
        let is_over = !plan.duration.is_zero() && begun.elapsed() >= plan.duration;
        if is_over || stop.is_cancelled() {
            break;
        }
    }
    telling.abort();
    Ok(worst)
}

fn targets(shared: &SharedServer) -> Result<Targets, Error> {
    let unusable = || Error::Address(shared.http.to_string());
    let mut api = shared.http.clone();
    api.path_segments_mut().map_err(|()| unusable())?.pop_if_empty().extend([
        "api",
        "v1",
        "log-streaming",
    ]);
    let token = shared.token.clone();
    let push = PushTarget { to: shared.grpc.clone(), token: token.clone() };
    Ok(Targets { push, read: ReadTarget { api, token, silence_limit: SILENCE_LIMIT } })
}
