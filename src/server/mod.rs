//! Start-up and shutdown: opens the store, joins the parts, serves both ports.
//!
//! Start: lock and recover the data directory, bind, serve. Shutdown, in this order and within
//! the drain timeout: readiness and health say no, ports close, producers' streams take what has
//! arrived and are answered, viewers are sent away with a hint, the store commits the rest and
//! marks its end.

mod accept;
mod runtime_threads;
mod wakeup_coalescing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::FutureExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::http::AppState;
use crate::hub::Hub;
use crate::ingest::{Intake, Registry};
use crate::pull::PullOptions;
use crate::stats::ServerStats;
use crate::store::{self, Log, Store, StoreOptions};
use crate::subscribe::{Source, Ticks};
use crate::tasks::Tasks;
use crate::{grpc, http, pull};
use accept::Connections;
use runtime_threads::{RuntimeThread, RuntimeThreads};

/// The shortest time between two writes to a busy viewer.
const VIEWER_TICK: Duration = Duration::from_millis(10);

/// What runs until the drain, each ending well or with the reason why the server cannot go on.
type Services = JoinSet<anyhow::Result<()>>;

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
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let (store, hub) = open_store(config.store, config.hub_bytes).await?;
        let log: Arc<dyn Log> = Arc::new(store.clone());
        let drain = CancellationToken::new();
        let tasks = Tasks::new(Arc::clone(&log), hub.clone(), config.task_quiet_period);
        let intake = Intake::new(Arc::clone(&log), tasks.clone(), config.limits, drain.clone());
        let source = Source { log: Arc::clone(&log), hub, tasks, ticks: Ticks::every(VIEWER_TICK) };

        let (pull_service, pull) = pull_from(config.pull, &intake, &log);
        let registry = Registry::new(config.max_registered_workers);
        let (stores, pulls) = (store.clone(), pull.clone());
        let stats = ServerStats::new(intake.clone(), registry.clone(), pulls, stores);
        let http = AppState::new(config.http, source, stats, drain.clone())?;
        let health = grpc::Health::new().await;
        let grpc = grpc::GrpcOptions::new(intake.clone(), registry, health.clone());

        let grpc_listener = bind("grpc-addr", config.grpc_addr).await?;
        let http_listener = bind("http-addr", config.http_addr).await?;
        let addrs = Addrs { grpc: grpc_listener.local_addr()?, http: http_listener.local_addr()? };
        let threads = RuntimeThreads::start(config.threads).context("cannot start the threads")?;
        let mut services = Services::new();
        serve_port(grpc_listener, &threads, &mut services, &drain, |connections, thread| {
            let messages = thread.messages().clone();
            let serving = grpc::serve(connections, grpc.clone(), messages, drain.clone());
            serving.map(|served| served.context("the gRPC server failed"))
        });
        serve_port(http_listener, &threads, &mut services, &drain, |connections, _| {
            http::serve(connections, http.clone(), drain.clone()).map(Ok)
        });
        if let Some(service) = pull_service {
            services.spawn(service.run(drain.clone()).map(Ok));
        }
        services.spawn(health.follow(log, drain.clone()).map(Ok));
        tracing::info!(grpc = %addrs.grpc, http = %addrs.http, "serving");
        let drain_timeout = config.drain_timeout;
        Ok(Self { addrs, drain, drain_timeout, services, threads, intake, store, http, pull })
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

    /// Loses nothing that arrived; see the module.
    ///
    /// # Errors
    /// When it took longer than the drain timeout.
    pub async fn shut_down(mut self) -> anyhow::Result<()> {
        self.drain.cancel();
        let deadline = Instant::now() + self.drain_timeout;
        let drained = async {
            self.intake.drained().await;
            while self.services.join_next().await.is_some() {}
        };
        let is_drained = timeout_at(deadline, drained).await.is_ok();
        // Even when the time is up, the store begins to close; it is just not waited for.
        let is_closed = timeout_at(deadline, self.store.close()).await.is_ok();
        self.threads.stop().await;
        anyhow::ensure!(
            is_drained && is_closed,
            "the shutdown took longer than the drain timeout of {}",
            humantime::format_duration(self.drain_timeout)
        );
        tracing::info!("shut down, everything received is kept");
        Ok(())
    }
}

/// Recovers the store and starts it, with a hub that gets its commits.
async fn open_store(options: StoreOptions, hub_bytes: usize) -> anyhow::Result<(Store, Hub)> {
    let open = move || {
        let recovered = store::recover(options)?;
        let hub = Hub::starting_at(recovered.tail(), hub_bytes);
        let publish = hub.clone();
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

/// Serves a port on every thread: `serve` takes one thread's share of the connections.
fn serve_port<F>(
    listener: TcpListener,
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
    services.spawn(accept::deal(listener, senders, drain.clone()).map(Ok));
}

/// Resolves when a service ends with an error; those that end well are done.
async fn first_failure(services: &mut Services) -> anyhow::Error {
    while let Some(ended) = services.join_next().await {
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return error,
            Err(panic) => return anyhow::Error::new(panic),
        }
    }
    std::future::pending().await
}
