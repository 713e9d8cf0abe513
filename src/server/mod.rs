//! Start-up and shutdown: opens the store, joins the parts, serves both ports.
//!
//! Start: check, lock and recover the data directory, bind, serve. Shutdown, in this order and
//! within the drain timeout: readiness and health say no, ports close, producers' streams take
//! what has arrived and are answered, viewers are sent away with a hint, the store commits the
//! rest and marks its end.

mod accept;
mod runtime_threads;
mod wakeup_coalescing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::{AuthMode, Config, PullMode};
use crate::http::{AppState, Auth, Verifier};
use crate::hub::Hub;
use crate::ingest::{Intake, Limits, Registry};
use crate::stats::ServerStats;
use crate::store::{self, Log, Store};
use crate::subscribe::{Source, Ticks};
use crate::tasks::Tasks;
use crate::{grpc, http, pull};
use accept::{deal, share};
use runtime_threads::{RuntimeThread, RuntimeThreads};

/// The least time between two writes to a busy viewer.
const VIEWER_TICK: Duration = Duration::from_millis(10);

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addrs {
    /// Producers push here.
    pub grpc: SocketAddr,
    /// Browsers read here.
    pub http: SocketAddr,
}

/// A running server.
pub struct Server {
    addrs: Addrs,
    drain: CancellationToken,
    drain_timeout: Duration,
    services: JoinSet<anyhow::Result<()>>,
    runtime_threads: RuntimeThreads,
    intake: Intake,
    store: Store,
    http: AppState,
    pull: pull::Handle,
}

impl Server {
    /// Opens the store, binds and serves.
    ///
    /// # Errors
    /// When the data directory cannot be opened or a port cannot be bound; says which and why.
    pub async fn start(config: &Config) -> anyhow::Result<Self> {
        Self::start_on(config, store_options(config)).await
    }

    /// The same on a store with other options, such as a disk that a test holds up.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn start_on(config: &Config, options: store::StoreOptions) -> anyhow::Result<Self> {
        let hub = Hub::new(config.hub_bytes.as_u64() as usize);
        let store = open_store(options, hub.clone()).await?;
        let log: Arc<dyn Log> = Arc::new(store.clone());
        hub.begin_at(log.tail());
        let drain = CancellationToken::new();
        let tasks = Tasks::new(Arc::clone(&log), hub.clone(), config.task_quiet_period);
        let intake = Intake::new(Arc::clone(&log), tasks.clone(), limits(config), drain.clone());
        let source = Source { log: Arc::clone(&log), hub, tasks, ticks: Ticks::every(VIEWER_TICK) };
        let (pulling, pull) = client_mode(config, &intake, &log);
        let stats = ServerStats::new(intake.clone(), pull.clone(), store.clone());
        let http = AppState::new(http_options(config), source, stats, drain.clone())?;

        let grpc_listener = bind("grpc-addr", config.grpc_addr).await?;
        let http_listener = bind("http-addr", config.http_addr).await?;
        let addrs = Addrs { grpc: grpc_listener.local_addr()?, http: http_listener.local_addr()? };
        let runtime_threads = RuntimeThreads::start(thread_count(config))
            .context("cannot start the runtime_threads")?;
        let health = grpc::Health::new().await;
        let registry = Registry::new(config.max_registered_workers);
        let grpc = grpc::GrpcOptions { intake: intake.clone(), registry, health: health.clone() };
        let mut services = JoinSet::new();
        let grpc_shares = serve_grpc(&runtime_threads, &mut services, &grpc, &drain);
        let http_shares = serve_http(&runtime_threads, &mut services, &http, &drain);
        let (grpc_drain, http_drain, health_drain) = (drain.clone(), drain.clone(), drain.clone());
        services.spawn(deal(grpc_listener, grpc_shares, grpc_drain).map(Ok));
        services.spawn(deal(http_listener, http_shares, http_drain).map(Ok));
        if let Some(pulling) = pulling {
            services.spawn(pulling.run(drain.clone()).map(Ok));
        }
        services.spawn(health.follow(log, health_drain).map(Ok));
        tracing::info!(grpc = %addrs.grpc, http = %addrs.http, "serving");
        let drain_timeout = config.drain_timeout;
        Ok(Self {
            addrs,
            drain,
            drain_timeout,
            services,
            runtime_threads,
            intake,
            store,
            http,
            pull,
        })
    }

    /// Where it listens.
    pub fn addrs(&self) -> Addrs {
        self.addrs
    }

    /// The HTTP side, for what is done from within the process.
    pub fn http(&self) -> &AppState {
        &self.http
    }

    /// What client mode is doing.
    pub fn pull(&self) -> &pull::Handle {
        &self.pull
    }

    /// Serves until `stop` resolves, then shuts down.
    ///
    /// # Errors
    /// When a port's server failed, or the shutdown took longer than the drain timeout.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let failed = tokio::select! {
            () = stop => None,
            failed = first_failure(&mut self.services) => Some(failed),
        };
        let shut_down = self.shut_down().await;
        failed.map_or(shut_down, Err)
    }

    /// Loses nothing that arrived; see the module.
    ///
    /// # Errors
    /// When it took longer than the drain timeout.
    pub async fn shut_down(mut self) -> anyhow::Result<()> {
        self.drain.cancel();
        let deadline = self.drain_timeout;
        let drained = async {
            self.intake.drained().await;
            while self.services.join_next().await.is_some() {}
        };
        let in_time = tokio::time::timeout(deadline, drained).await.is_ok();
        // What was received is committed in any case.
        let closed = tokio::time::timeout(deadline, self.store.close()).await.is_ok();
        self.runtime_threads.stop().await;
        anyhow::ensure!(
            in_time && closed,
            "the shutdown took longer than the drain timeout of {}",
            humantime::format_duration(deadline)
        );
        tracing::info!("shut down, everything received is kept");
        Ok(())
    }
}

/// Client mode, where it is asked for, and what it is doing.
fn client_mode(
    config: &Config,
    intake: &Intake,
    log: &Arc<dyn Log>,
) -> (Option<pull::Service>, pull::Handle) {
    let Some(options) = pull_options(config) else { return (None, pull::Handle::off()) };
    let (service, handle) = pull::Service::new(options, intake.clone(), Arc::clone(log));
    (Some(service), handle)
}

/// Resolves when a service ends with an error; those that end well are done.
async fn first_failure(services: &mut JoinSet<anyhow::Result<()>>) -> anyhow::Error {
    while let Some(ended) = services.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panic) => return anyhow::Error::new(panic),
        }
    }
    std::future::pending().await
}

/// Serves gRPC on every worker; returns where their connections go in.
fn serve_grpc(
    runtime_threads: &RuntimeThreads,
    services: &mut JoinSet<anyhow::Result<()>>,
    options: &grpc::GrpcOptions,
    drain: &CancellationToken,
) -> Vec<mpsc::Sender<std::net::TcpStream>> {
    let mut serve_on = |thread: &RuntimeThread| {
        let (share, connections) = share();
        let messages = thread.messages().clone();
        let serving = grpc::serve(connections, options.clone(), messages, drain.clone());
        let serving = serving.map(|served| served.context("the gRPC server failed"));
        services.spawn_on(serving, thread.handle());
        share
    };
    runtime_threads.iter().map(&mut serve_on).collect()
}

/// Serves HTTP on every worker; returns where their connections go in.
fn serve_http(
    runtime_threads: &RuntimeThreads,
    services: &mut JoinSet<anyhow::Result<()>>,
    http: &AppState,
    drain: &CancellationToken,
) -> Vec<mpsc::Sender<std::net::TcpStream>> {
    let mut serve_on = |handle: &Handle| {
        let (share, connections) = share();
        services.spawn_on(http::serve(connections, http.clone(), drain.clone()).map(Ok), handle);
        share
    };
    runtime_threads.handles().map(&mut serve_on).collect()
}

fn thread_count(config: &Config) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    config.threads.unwrap_or_else(cores)
}

async fn bind(name: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {name} {addr}"))
}

/// Off the runtime: recovery reads files.
async fn open_store(options: store::StoreOptions, hub: Hub) -> anyhow::Result<Store> {
    let on_commit = Box::new(move |blocks: &[_], tail| hub.publish(blocks, tail));
    let opened = tokio::task::spawn_blocking(move || store::open(options, on_commit)).await?;
    opened.context("cannot open the store")
}

/// The store's options under `config`.
pub fn store_options(config: &Config) -> store::StoreOptions {
    store::StoreOptions {
        durability: config.durability,
        segment_bytes: config.segment_bytes.as_u64(),
        queue_bytes: config.queue_bytes.as_u64() as usize,
        retention_age: config.retention_age,
        retention_bytes: config.retention_bytes.map(|size| size.as_u64()),
        ..store::StoreOptions::new(&config.data_dir)
    }
}

fn pull_options(config: &Config) -> Option<pull::PullOptions> {
    let from = config.pull_source()?.clone();
    let mode = match config.pull_mode {
        PullMode::Off => return None,
        PullMode::Fallback => pull::Mode::Fallback { after: config.pull_after },
        PullMode::Always => pull::Mode::Always,
    };
    Some(pull::PullOptions::new(from, mode, pull::Polling::new(config.pull_status_interval)))
}

fn limits(config: &Config) -> Limits {
    Limits {
        entry_bytes: config.max_entry_bytes.as_u64() as usize,
        streams: config.max_push_streams,
        stall_timeout: config.store_stall_timeout,
    }
}

fn http_options(config: &Config) -> http::HttpOptions {
    let auth = match (config.auth, &config.jwt_secret) {
        (AuthMode::Jwt, Some(secret)) => Auth::Jwt(Verifier::hs256(secret.as_bytes())),
        _ => Auth::None,
    };
    http::HttpOptions {
        frontend_url: config.frontend_url.clone(),
        auth,
        heartbeat: config.heartbeat,
        viewer_stall_timeout: config.viewer_stall_timeout,
        max_viewers: config.max_viewers,
    }
}
