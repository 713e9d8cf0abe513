//! A run on a server of our own, with faults.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::actors::entries::PushTarget;
use super::actors::reader::ReadTarget;
use super::judge::{Outcome, Verdict};
use super::plan::{FaultKind, Plan, ServerKind};
use super::progress::{self, Observer};
use super::record::Event;
use super::recorder::{self, Recorder};
use super::round::{Round, Targets};
use super::server::faults::Injector;
use super::server::process::{Front, Process};
use super::server::volume::Volume;

/// How long our own server may be silent: several of its heartbeats.
const SILENCE_LIMIT: Duration = Duration::from_secs(10);

/// What retention keeps where it is part of the plan: some tens of segments.
const RETENTION: &str = "--retention-bytes=24MiB";

/// The server to start.
#[derive(Debug, Clone)]
pub struct OwnServer {
    /// The `otto-handler` program.
    pub program: PathBuf,
    /// Where the log is kept; a directory that goes with the run when there is none.
    pub data_dir: Option<PathBuf>,
    /// More flags for `serve`.
    pub flags: Vec<OsString>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Report {
    /// What was found.
    pub verdict: Verdict,
    /// Where the server's log, and the data when it was not elsewhere, are kept for a look; only
    /// after a violation.
    pub kept_in: Option<PathBuf>,
    /// Faults that cannot be injected here, and why.
    pub skipped: Vec<String>,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The checker's own thread failed.
    #[error("the checker failed: {0}")]
    Failed(#[from] tokio::task::JoinError),
    /// An address cannot be used.
    #[error("the address is {0:?}, expected http://host:port")]
    Address(String),
}

/// Runs `plan` once, until its duration or `stop`; then everything is read and judged.
///
/// # Errors
/// When there is no verdict.
pub async fn run_own(
    plan: &Plan,
    own: &OwnServer,
    history: Option<&Path>,
    (observer, interval): (Observer, Duration),
    stop: CancellationToken,
) -> Result<Report, Error> {
    let scratch = tempfile::Builder::new().prefix("otto-verify-").tempdir()?;
    let (recorder, taking) = recorder::begin(history)?;
    let (seed, excuses) = (plan.seed, plan.excuses());
    recorder.record(Event::Plan { seed, excuses }).await;
    let mut place = prepare(plan, own, scratch.path(), &recorder).await?;
    let metrics = Arc::clone(&place.injector.metrics);
    let data = Some(place.injector.data.clone());
    let telling = tokio::spawn(progress::tell(observer, interval, metrics, data));
    run_to_end(plan, &mut place, recorder, stop).await;
    telling.abort();
    let TestBed { injector, skipped, .. } = place;
    drop(injector);
    let verdict = taking.await??.finish();
    let kept_in = (verdict.outcome() != Outcome::Sound).then(|| scratch.keep());
    Ok(Report { verdict, kept_in, skipped })
}

/// What a run takes place on.
struct TestBed {
    injector: Injector,
    kinds: Vec<FaultKind>,
    targets: Targets,
    skipped: Vec<String>,
}

async fn prepare(
    plan: &Plan,
    own: &OwnServer,
    scratch: &Path,
    recorder: &Recorder,
) -> Result<TestBed, Error> {
    let (mut kinds, mut skipped) = (plan.faults.clone(), Vec::new());
    let volume = match mount(plan, own, scratch) {
        Ok(volume) => volume,
        Err(reason) => {
            let (needing, others) = kinds.into_iter().partition(|kind| kind.needs_volume());
            kinds = others;
            let needing: Vec<FaultKind> = needing;
            skipped.extend(needing.iter().map(|kind| format!("{kind}: {reason}")));
            None
        }
    };
    let inside = if volume.is_some() { scratch.join("volume/data") } else { scratch.join("data") };
    let data = own.data_dir.clone().unwrap_or(inside);
    let front = Arc::new(Front::start().await?);
    let mut flags = own.flags.clone();
    flags.extend(plan.has_retention().then(|| RETENTION.into()));
    if volume.is_none() && !own.flags.iter().any(is_min_free) {
        // The volume that the checker runs on may be nearly full.
        flags.push("--min-free-bytes=0".into());
    }
    let log = scratch.join("server.log");
    let process = Process::new(own.program.clone(), &data, flags, log, Arc::clone(&front));
    let targets = targets(&front)?;
    let injector = Injector {
        process,
        front,
        data,
        volume,
        recorder: recorder.named("faults"),
        metrics: Arc::default(),
        random: fastrand::Rng::with_seed(plan.seed),
    };
    Ok(TestBed { injector, kinds, targets, skipped })
}

fn is_min_free(flag: &OsString) -> bool {
    flag.to_string_lossy().starts_with("--min-free-bytes")
}

fn mount(plan: &Plan, own: &OwnServer, scratch: &Path) -> Result<Option<Volume>, String> {
    if !plan.needs_volume() {
        return Ok(None);
    }
    if own.data_dir.is_some() {
        return Err("the data directory is given".into());
    }
    let mounted = Volume::mount(&scratch.join("volume"));
    mounted.map(Some).map_err(|error| format!("no tmpfs can be mounted: {error}"))
}

fn targets(front: &Front) -> Result<Targets, Error> {
    let grpc = format!("http://{}", front.grpc.addr());
    let api = format!("http://{}/api/v1/log-streaming/", front.http.addr());
    let push = PushTarget { to: grpc.parse().map_err(|_| Error::Address(grpc))?, token: None };
    let api = api.parse().map_err(|_| Error::Address(api))?;
    Ok(Targets { push, read: ReadTarget { api, token: None, silence_limit: SILENCE_LIMIT } })
}

async fn run_to_end(plan: &Plan, place: &mut TestBed, recorder: Recorder, stop: CancellationToken) {
    let TestBed { injector, kinds, targets, .. } = place;
    if !injector.start().await {
        return;
    }
    let round = plan.round(fastrand::u32(..), 1, ServerKind::Own);
    let metrics = Arc::clone(&injector.metrics);
    let mut round = Round::start(&round, targets, recorder, &metrics, plan.patience);
    let over = stop.child_token();
    let timer = tokio::spawn({
        let (over, duration) = (over.clone(), plan.duration);
        async move {
            sleep(duration).await;
            over.cancel();
        }
    });
    injector.run(kinds, plan.fault_every, &over).await;
    over.cancelled().await;
    timer.abort();
    injector.end().await;
    round.finish_producing().await;
    // What was acknowledged has to survive one more crash before it is counted.
    injector.kill_and_start().await;
    round.finish_reading().await;
    injector.process.kill().await;
}
