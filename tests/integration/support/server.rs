//! A server in this process.

use otto_handler::config::{Config, ServeArgs};
use otto_handler::pull;
use otto_handler::server::{Addrs, Server};
use otto_handler::store;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::within;

/// A running server on free ports.
pub(crate) struct TestServer {
    addrs: Addrs,
    pub(crate) pull: pull::Handle,
    dir: TempDir,
    stop: oneshot::Sender<()>,
    running: JoinHandle<anyhow::Result<()>>,
}

impl TestServer {
    /// Without reader auth, on a new data directory.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With these flags in addition.
    pub(crate) async fn start_with(flags: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), flags, |_| {}).await
    }

    /// On a given directory, with the store's options changed by `change`.
    pub(crate) async fn start_in(
        dir: TempDir,
        flags: &[&str],
        change: impl FnOnce(&mut store::StoreOptions),
    ) -> Self {
        Self::start_configured(dir, flags, |config| change(&mut config.store)).await
    }

    /// On a new data directory, with the configuration changed by `change`, for values that the
    /// flags do not allow.
    pub(crate) async fn start_changed(flags: &[&str], change: impl FnOnce(&mut Config)) -> Self {
        Self::start_configured(tempfile::tempdir().unwrap(), flags, change).await
    }

    async fn start_configured(
        dir: TempDir,
        flags: &[&str],
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = config(&dir, flags);
        change(&mut config);
        if !flags.iter().any(|flag| flag.starts_with("--task-grace")) {
            // Tests that are not about the grace do not wait for it.
            config.life_cycle.grace = std::time::Duration::ZERO;
        }
        let server = Server::start(config).await.unwrap();
        let (addrs, pull) = (server.addrs(), server.pull().clone());
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(server.run_until(async { drop(stopped.await) }));
        Self { addrs, pull, dir, stop, running }
    }

    pub(crate) fn grpc(&self) -> String {
        format!("http://{}", self.addrs.grpc)
    }

    pub(crate) fn grpc_addr(&self) -> String {
        self.addrs.grpc.to_string()
    }

    /// The URL of `path` under the API's prefix.
    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1/log-streaming{path}", self.addrs.http)
    }

    /// The URL of `path` under the root.
    pub(crate) fn root(&self, path: &str) -> String {
        format!("http://{}{path}", self.addrs.http)
    }

    /// The URL of the metrics, where they have a port of their own.
    pub(crate) fn metrics_port(&self) -> Option<String> {
        self.addrs.metrics.map(|addr| format!("http://{addr}/metrics"))
    }

    pub(crate) fn http_addr(&self) -> String {
        self.addrs.http.to_string()
    }

    /// Its data directory.
    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(self) -> anyhow::Result<()> {
        let Self { running, stop: _stop, .. } = self;
        within("the server's own end", running).await.unwrap()
    }

    /// Begins the shutdown; the result comes from the returned handle.
    pub(crate) fn begin_stop(self) -> (TempDir, JoinHandle<anyhow::Result<()>>) {
        self.stop.send(()).expect("the server runs");
        (self.dir, self.running)
    }
}

fn config(dir: &TempDir, flags: &[&str]) -> Config {
    let data = dir.path().join("data");
    let base = ["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
    let auth = ["--auth=none"];
    let has_auth = flags.iter().any(|flag| flag.starts_with("--auth"));
    let auth = if has_auth { &[][..] } else { &auth[..] };
    let data = format!("--data-dir={}", data.display());
    let all = base.iter().chain(auth).chain(flags).copied().chain([data.as_str()]);
    let mut config = Config::new(ServeArgs::read(all).unwrap()).unwrap();
    // The volume that the tests run on may be nearly full.
    config.store.min_free_bytes.get_or_insert(0);
    config
}
