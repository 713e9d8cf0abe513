//! A measured server, in its own process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;

/// Clock ticks a second in `/proc/PID/stat` on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// Names a folder where `perf` leaves a profile of each start of the real server. A profiled run
/// is slower: its figures do not count.
const PROFILES: &str = "OTTO_BENCH_PROFILES";

static PROFILE: AtomicUsize = AtomicUsize::new(0);

/// A running server. Ended with its directory when dropped.
pub struct Server {
    child: Child,
    addrs: Value,
    profiler: Option<Child>,
    /// The directory that it writes to.
    pub dir: TempDir,
}

/// How long a server may take to end after SIGTERM.
const STOP_SECONDS: u64 = 30;

/// The path of another binary in the directory of this one.
pub fn sibling(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own.parent().context("the program has no parent directory")?.join(name))
}

/// A new directory on the disk that the build is on; `/tmp` may be memory.
pub fn temp_dir() -> Result<TempDir> {
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(sibling("")?)?)
}

/// The real server, without auth, on free ports.
pub fn handler(flags: &[&str]) -> Result<Server> {
    handler_in(temp_dir()?, flags)
}

/// The same on the data in `dir`.
pub fn handler_in(dir: TempDir, flags: &[&str]) -> Result<Server> {
    let mut command = Command::new(sibling("otto-handler")?);
    for name in ["JWT_SECRET", "PORT", "FRONTEND_URL", "OTTO_CONFIG", "OTTO_TOKEN"] {
        command.env_remove(name);
    }
    command.args(["serve", "--auth=none", "--print-addrs", "--log=warn"]);
    command.args(["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0", "--data-dir"]);
    command.arg(dir.path()).args(flags);
    let mut server = Server::start(command, dir)?;
    if let Some(folder) = std::env::var_os(PROFILES) {
        let number = PROFILE.fetch_add(1, Ordering::Relaxed);
        server.profile(&Path::new(&folder).join(format!("{number:02}.data")))?;
    }
    Ok(server)
}

/// A baseline of this package.
pub fn baseline(name: &str, flags: &[&str]) -> Result<Server> {
    let mut command = Command::new(sibling("otto-bench-baseline")?);
    command.arg(name).args(flags);
    Server::start(command, temp_dir()?)
}

impl Server {
    /// Lets `perf` record it until it ends.
    fn profile(&mut self, file: &Path) -> Result<()> {
        let id = self.child.id().to_string();
        let mut command = Command::new("perf");
        command.args(["record", "-q", "-F", "999", "-p", &id, "-o"]).arg(file);
        self.profiler = Some(command.spawn().context("cannot start perf")?);
        Ok(())
    }

    /// Starts `command` and reads the addresses that it prints, as JSON on one line.
    pub fn start(mut command: Command, dir: TempDir) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdout = child.stdout.take().context("no standard output")?;
        let mut server = Self { child, addrs: Value::Null, profiler: None, dir };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        server.addrs =
            serde_json::from_str(&line).with_context(|| format!("{command:?} printed {line:?}"))?;
        Ok(server)
    }

    /// Starts one that prints no addresses, and waits until the known ones accept connections.
    pub fn start_silent(mut command: Command, dir: TempDir, addrs: Value) -> Result<Self> {
        let child = command.stdin(Stdio::null()).spawn()?;
        let server = Self { child, addrs, profiler: None, dir };
        let addr = server.addr("http").to_owned();
        for _attempt in 0..200 {
            if std::net::TcpStream::connect(&addr).is_ok() {
                return Ok(server);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("{command:?} does not accept on {addr}")
    }

    /// An address by its name.
    pub fn addr(&self, name: &str) -> &str {
        self.addrs[name].as_str().expect("servers print the addresses that are asked for")
    }

    /// User and system time of the process and its children so far, in microseconds.
    pub fn cpu_us(&self) -> Result<f64> {
        family(self.child.id()).into_iter().map(cpu_us).sum()
    }

    /// Resident memory now, in KiB, children included.
    pub fn resident_kib(&self) -> Result<f64> {
        family(self.child.id()).into_iter().map(|id| status_kib(id, "VmRSS:")).sum()
    }

    /// Highest resident memory so far, in KiB, children included.
    pub fn peak_kib(&self) -> Result<f64> {
        family(self.child.id()).into_iter().map(|id| status_kib(id, "VmHWM:")).sum()
    }

    /// Bytes that it caused to be written to the disk.
    pub fn written_bytes(&self) -> Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.child.id()))?;
        let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
        Ok(line.context("no write_bytes")?.trim().parse()?)
    }

    /// Ends it by SIGTERM and returns the directory that it wrote to.
    pub fn stop(mut self) -> Result<TempDir> {
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        for _attempt in 0..STOP_SECONDS * 50 {
            if self.child.try_wait()?.is_some() {
                return Ok(std::mem::replace(&mut self.dir, temp_dir()?));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        anyhow::bail!("the server did not end within {STOP_SECONDS} s")
    }

    /// Fails when it has ended.
    pub fn check(&mut self) -> Result<()> {
        let ended = self.child.try_wait()?;
        ensure!(ended.is_none(), "the server ended: {ended:?}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Children first: they would outlive a killed parent.
        for id in family(self.child.id()).into_iter().skip(1) {
            drop(Command::new("kill").args(["-9", &id.to_string()]).status());
        }
        drop(self.child.kill());
        drop(self.child.wait());
        // perf ends when the process that it records does.
        drop(self.profiler.as_mut().map(Child::wait));
    }
}

/// The process and its children.
fn family(id: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
    std::iter::once(id)
        .chain(children.split_whitespace().filter_map(|id| id.parse().ok()))
        .collect()
}

/// User and system time of process `id`, in microseconds.
pub fn cpu_us(id: u32) -> Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name, which may hold anything, ends at the last parenthesis.
    let fields = stat.rsplit_once(')').context("no name in stat")?.1;
    let ticks = |index: usize| -> Result<f64> {
        Ok(fields.split_whitespace().nth(index).context("stat is short")?.parse()?)
    };
    Ok((ticks(11)? + ticks(12)?) * 1e6 / TICKS_PER_SECOND)
}

fn status_kib(id: u32, field: &str) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("no such field")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
