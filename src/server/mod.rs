//! Start-up and shutdown: opens the store, joins the parts, serves both ports.
//!
//! Start: lock and recover the data directory, bind, serve. Shutdown, in this order and within
//! the drain timeout: readiness and health say no, ports close, producers' streams take what has
//! arrived and acknowledge it, viewers are sent away with a hint, whoever is left two seconds later
//! is disconnected, the store commits the rest and marks its end.

mod accept;
mod descriptors;
mod runtime_threads;
mod shutdown;
mod wakeup_coalescing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::config::Config;
use crate::connections::{ConnectionLimit, Shutdown};
use crate::http::AppState;
use crate::hub::Hub;
use crate::ingest::{Intake, Registry};
use crate::pull::PullOptions;
use crate::stats::ServerStats;
use crate::store::{self, Log, Store, StoreOptions};
use crate::subscribe::{Source, Ticks};
use crate::tasks::{RetentionService, Tasks};
use crate::{grpc, http, pull};
use accept::{Connections, Port};
pub(crate) use descriptors::Descriptors;
use runtime_threads::{RuntimeThread, RuntimeThreads};
use tokio_util::sync::CancellationToken;

/// The shortest time between two writes to a busy viewer.
const VIEWER_TICK: Duration = Duration::from_millis(10);

/// Connections to the metrics' own port, beside all others: it answers also when these are used up.
const METRICS_CONNECTIONS: usize = 8;

/// What runs until the drain, each ending well or with the reason why the server cannot go on.
type Services = JoinSet<anyhow::Result<()>>;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addrs {
    /// Producers push here.
    pub grpc: SocketAddr,
    /// Browsers read here.
    pub http: SocketAddr,
    /// Prometheus scrapes here, where the metrics have a port of their own.
    pub metrics: Option<SocketAddr>,
}

/// A running server.
pub struct Server {
    addrs: Addrs,
    shutdown: Shutdown,
    drain_timeout: Duration,
    services: Services,
    threads: RuntimeThreads,
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
    pub async fn start(mut config: Config) -> anyhow::Result<Self> {
        let descriptors = Descriptors::raise();
        config.store.open_files = descriptors.open_segments();
        let clock = config.store.clock.clone();
        let (store, hub) = open_store(config.store, config.hub_bytes).await?;
        let log: Arc<dyn Log> = Arc::new(store.clone());
        let shutdown = Shutdown::default();
        let drain = shutdown.drain.clone();
        let tasks = Tasks::new(Arc::clone(&log), hub.clone(), config.life_cycle);
        let intake = Intake::new(Arc::clone(&log), tasks.clone(), config.limits, drain.clone());
        let retention = RetentionService::new(tasks.clone(), config.task_retention, clock).await?;
        let source = Source { log: Arc::clone(&log), hub, tasks, ticks: Ticks::every(VIEWER_TICK) };

        let grpc_listener = bind("grpc-addr", config.grpc_addr).await?;
        let http_listener = bind("http-addr", config.http_addr).await?;
        let metrics_listener = bind_if_given("metrics-addr", config.metrics_addr).await?;
        let addrs = Addrs {
            grpc: grpc_listener.local_addr()?,
            http: http_listener.local_addr()?,
            metrics: metrics_listener.as_ref().map(TcpListener::local_addr).transpose()?,
        };
        let threads = RuntimeThreads::start(config.threads).context("cannot start the threads")?;
        let limit = ConnectionLimit::new(descriptors.connections());

        let (pull_service, pull) = pull_from(config.pull, &intake, &log);
        let registry = Registry::new(config.max_registered_workers);
        let (logs, pulls) = (Arc::clone(&log), pull.clone());
        let (intakes, registries) = (intake.clone(), registry.clone());
        let stats = ServerStats::new(intakes, registries, pulls, logs, limit.clone());
        config.http.grpc_addr = Some(addrs.grpc);
        let http = AppState::new(config.http, source, intake.clone(), stats, drain.clone())?;
        let health = grpc::Health::new().await;
        let grpc = grpc::GrpcOptions::new(intake.clone(), registry, health.clone());

        let mut services = Services::new();
        let port = Port { listener: grpc_listener, limit: limit.port() };
        serve_port(port, &threads, &mut services, &drain, |connections, thread| {
            let messages = thread.messages().clone();
            let serving = grpc::serve(connections, grpc.clone(), messages, shutdown.clone());
            serving.map(|served| served.context("the gRPC server failed"))
        });
        let port = Port { listener: http_listener, limit: limit.port() };
        serve_port(port, &threads, &mut services, &drain, |connections, _| {
            http::serve(connections, http.clone(), shutdown.clone()).map(Ok)
        });
        if let Some(listener) = metrics_listener {
            let limit = ConnectionLimit::new(METRICS_CONNECTIONS).port();
            let port = Port { listener, limit };
            serve_port(port, &threads, &mut services, &drain, |connections, _| {
                http::serve_metrics(connections, http.clone(), shutdown.clone()).map(Ok)
            });
        }
        if let Some(service) = pull_service {
            services.spawn(service.run(drain.clone()).map(Ok));
        }
        if !config.task_retention.is_off() {
            services.spawn(retention.run(drain.clone()).map(Ok));
        }
        services.spawn(health.follow(log, drain.clone()).map(Ok));
        services.spawn(watch_committer(store.clone(), drain));
        tracing::info!(grpc = %addrs.grpc, http = %addrs.http, "serving");
        if let Some(metrics) = addrs.metrics {
            tracing::info!(%metrics, "serving the metrics");
        }
        let drain_timeout = config.drain_timeout;
        Ok(Self { addrs, shutdown, drain_timeout, services, threads, intake, store, http, pull })
    }

    /// Where it listens.
    pub fn addrs(&self) -> Addrs {
        self.addrs
    }

    /// The HTTP side, for what is done from within the process.
    pub fn http(&self) -> &AppState {
        &self.http
    }

    /// What pulling is doing.
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
}

/// Recovers the store and starts it, with a hub that gets its commits.
async fn open_store(options: StoreOptions, hub_bytes: usize) -> anyhow::Result<(Store, Hub)> {
    let open = move || {
        let recovered = store::recover(options)?;
        let hub = Hub::starting_at(recovered.tail(), hub_bytes);
        let (publish, forget) = (hub.clone(), hub.clone());
        let recovered = recovered.on_delete(Box::new(move |tasks| forget.forget(tasks)));
        let store = recovered.start(Box::new(move |blocks, tail| publish.publish(blocks, tail)))?;
        Ok((store, hub))
    };
    // Off the runtime: recovery reads files.
    let opened: Result<_, store::OpenError> = tokio::task::spawn_blocking(open).await?;
    opened.context("cannot open the store")
}

/// What pulls, where there is something to pull from, and the handle that tells what it does.
fn pull_from(
    options: Option<PullOptions>,
    intake: &Intake,
    log: &Arc<dyn Log>,
) -> (Option<pull::Service>, pull::Handle) {
    let Some(options) = options else { return (None, pull::Handle::off()) };
    let (service, handle) = pull::Service::new(options, intake.clone(), Arc::clone(log));
    (Some(service), handle)
}

async fn bind(name: &str, addr: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(addr).await.with_context(|| format!("cannot listen on {name} {addr}"))
}

async fn bind_if_given(
    name: &str,
    addr: Option<SocketAddr>,
) -> anyhow::Result<Option<TcpListener>> {
    match addr {
        Some(addr) => bind(name, addr).await.map(Some),
        None => Ok(None),
    }
}

/// Serves a port on every thread: `serve` takes one thread's share of the connections.
fn serve_port<F>(
    port: Port,
    threads: &RuntimeThreads,
    services: &mut Services,
    drain: &CancellationToken,
    serve: impl Fn(Connections, &RuntimeThread) -> F,
) where
    F: Future<Output = anyhow::Result<()>> + Send + 'static,
{
    let mut senders = Vec::new();
    for thread in threads.iter() {
        let (sender, connections) = accept::queue();
        services.spawn_on(serve(connections, thread), thread.handle());
        senders.push(sender);
    }
    services.spawn(port.deal(senders, drain.clone()).map(Ok));
}

/// Ends with an error when the store's committer panics: without it the server would be half alive.
async fn watch_committer(store: Store, drain: CancellationToken) -> anyhow::Result<()> {
    tokio::select! {
        () = store.panicked() => anyhow::bail!("the store's committer panicked"),
        () = drain.cancelled() => Ok(()),
    }
}

/// Resolves when a service ends with an error; those that end well are done.
async fn first_failure(services: &mut Services) -> anyhow::Error {
    while let Some(ended) = services.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(error) => {
                return anyhow::Error::new(error)
                    .context("a part of the server ended unexpectedly");
            }
        }
    }
    std::future::pending().await
}
