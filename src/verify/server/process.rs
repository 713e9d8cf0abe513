//! The server as a process: started, killed, stopped, and asked for its end.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use super::proxy::Proxy;

/// How long a start may take.
const START_PATIENCE: Duration = Duration::from_secs(30);

/// What the server is given for a shutdown, and what it may take beyond that.
const DRAIN: Duration = Duration::from_secs(10);
const DRAIN_GRACE: Duration = Duration::from_secs(5);

/// Settings that would come from the environment of whoever runs this.
const FOREIGN_SETTINGS: [&str; 4] = ["PORT", "JWT_SECRET", "FRONTEND_URL", "OTTOSCALER_GRPC_URL"];

/// The proxies before a server. Clients know only these.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) grpc: Proxy,
    pub(crate) http: Proxy,
}

impl Front {
    pub(crate) async fn start() -> io::Result<Self> {
        Ok(Self { grpc: Proxy::start().await?, http: Proxy::start().await? })
    }

    fn lead_to(&self, addrs: Option<Addrs>) {
        self.grpc.set_target(addrs.map(|addrs| addrs.grpc));
        self.http.set_target(addrs.map(|addrs| addrs.http));
    }
}

/// What `--print-addrs` prints.
#[derive(Debug, Clone, Copy, Deserialize)]
struct Addrs {
    grpc: SocketAddr,
    http: SocketAddr,
}

/// `otto-handler serve`, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    flags: Vec<OsString>,
    log: PathBuf,
    front: Arc<Front>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// Held, so that the server never writes to a closed pipe.
    stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Not started yet; its own log goes to the file `log`.
    pub(crate) fn new(
        program: PathBuf,
        data: &Path,
        more: Vec<OsString>,
        log: PathBuf,
        front: Arc<Front>,
    ) -> Self {
        let fixed = [
            "serve",
            "--print-addrs",
            "--auth=none",
            "--grpc-addr=127.0.0.1:0",
            "--http-addr=127.0.0.1:0",
            "--segment-bytes=1MiB",
            "--heartbeat=2s",
            "--task-grace=0s",
            "--viewer-stall-timeout=5s",
            "--log=info",
        ];
        let mut flags: Vec<OsString> = fixed.into_iter().map(Into::into).collect();
        flags.push(format!("--drain-timeout={}s", DRAIN.as_secs()).into());
        flags.extend(["--data-dir".into(), data.into()]);
        flags.extend(more);
        Self { program, flags, log, front, running: None }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// Why it does not listen, in words.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        self.spawn().map_err(|error| format!("the server cannot be started: {error}"))?;
        let Some(running) = &mut self.running else { return Err("the server is gone".into()) };
        let mut line = String::new();
        let read = timeout(START_PATIENCE, running.stdout.read_line(&mut line)).await;
        let listens = match read {
            Ok(Ok(_)) => serde_json::from_str(&line).map_err(|_| "it ended".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it does not listen after {} s", START_PATIENCE.as_secs())),
        };
        match listens {
            Ok(addrs) => {
                self.front.lead_to(Some(addrs));
                Ok(())
            }
            Err(reason) => {
                self.kill().await;
                Err(format!("the server does not start: {reason}"))
            }
        }
    }

    /// Starts it and waits for nothing.
    pub(crate) fn spawn(&mut self) -> io::Result<()> {
        let log = File::options().create(true).append(true).open(&self.log)?;
        let mut command = Command::new(&self.program);
        command.args(&self.flags).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command.kill_on_drop(true);
        let is_setting = |name: &OsString| name.to_string_lossy().starts_with("OTTO_");
        for name in std::env::vars_os().map(|(name, _)| name).filter(is_setting) {
            command.env_remove(name);
        }
        for name in FOREIGN_SETTINGS {
            command.env_remove(name);
        }
        let mut child = command.spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no standard output"))?;
        self.running = Some(Running { child, stdout: BufReader::new(stdout) });
        Ok(())
    }

    /// Its process id, while it runs.
    pub(crate) fn id(&self) -> Option<u32> {
        self.running.as_ref().and_then(|running| running.child.id())
    }

    /// Why it ended by itself, if it did.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.running.as_mut()?.child.try_wait().ok().flatten()?;
        self.running = None;
        self.front.lead_to(None);
        Some(status.to_string())
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) {
        self.front.lead_to(None);
        if let Some(mut running) = self.running.take() {
            // It fails only for a process that has ended already.
            running.child.kill().await.ok();
        }
    }

    /// SIGTERM; the server has to end by itself, in time, with exit code 0.
    ///
    /// # Errors
    /// What was wrong with its end, in words.
    pub(crate) async fn terminate(&mut self) -> Result<(), String> {
        self.signal(Signal::TERM);
        let Some(running) = &mut self.running else { return Ok(()) };
        let limit = DRAIN + DRAIN_GRACE;
        let ended = timeout(limit, running.child.wait()).await;
        let verdict = match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(format!("after SIGTERM it ended with {status}")),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("it still runs {} s after SIGTERM", limit.as_secs())),
        };
        self.kill().await;
        verdict
    }

    /// Sends a signal, where there is a process.
    pub(crate) fn signal(&self, signal: Signal) {
        if let Some(id) = self.pid() {
            // It fails only for a process that has ended already.
            kill_process(id, signal).ok();
        }
    }

    /// Lets it open nothing more; returns the limit of before.
    ///
    /// # Errors
    /// When there is no process, or the system refuses.
    pub(crate) fn deny_descriptors(&self) -> io::Result<Rlimit> {
        let id = self.pid().ok_or_else(|| io::Error::other("the server does not run"))?;
        let of_this = getrlimit(Resource::Nofile);
        // Those beyond standard error that are open stay open; whatever is opened next is beyond it.
        let none = Rlimit { current: Some(3), maximum: of_this.maximum };
        Ok(prlimit(Some(id), Resource::Nofile, none)?)
    }

    /// Gives it the limit back, where it still runs.
    pub(crate) fn allow_descriptors(&self, limit: Rlimit) {
        if let Some(id) = self.pid() {
            // It fails only for a process that has ended already.
            prlimit(Some(id), Resource::Nofile, limit).ok();
        }
    }

    fn pid(&self) -> Option<Pid> {
        self.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }
}
