//! The real program in a process of its own, for what only a process can show.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

use super::within;

/// The program that the tests were built with.
pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otto-handler"));
    command.kill_on_drop(true);
    // The volume that the tests run on may be nearly full.
    command.env("OTTO_MIN_FREE_BYTES", "0");
    for name in [
        "JWT_SECRET",
        "PORT",
        "FRONTEND_URL",
        "OTTO_CONFIG",
        "OTTO_GRPC_ADDR",
        "OTTO_HTTP_ADDR",
        "OTTO_THREADS",
        "OTTO_TOKEN",
        "OTTO_URL",
        "OTTO_WORKERS",
        "OTTOSCALER_GRPC_URL",
    ] {
        command.env_remove(name);
    }
    command
}

/// A port that nobody listens on, outside the range that the system gives ports from.
pub(crate) fn free_port() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(|| fastrand::u16(20_000..32_000)).find(is_free).expect("one is free")
}

/// Runs the program to its end, with `input` on its standard input.
pub(crate) async fn run(arguments: &[&str], input: &[u8]) -> Output {
    run_with_variable(arguments, None, input).await
}

/// The same with an environment variable set.
pub(crate) async fn run_with_variable(
    arguments: &[&str],
    variable: Option<(&str, &str)>,
    input: &[u8],
) -> Output {
    let variables: Vec<_> = variable.into_iter().collect();
    run_with_variables(arguments, &variables, input).await
}

/// The same with several environment variables set.
pub(crate) async fn run_with_variables(
    arguments: &[&str],
    variables: &[(&str, &str)],
    input: &[u8],
) -> Output {
    let mut command = binary();
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    // A program that ends early closes its end; that is its business.
    let writing = tokio::spawn(async move { drop(stdin.write_all(&input).await) });
    let output = within("the program's end", child.wait_with_output()).await.unwrap();
    writing.await.unwrap();
    output
}

/// A running `otto-handler serve`.
pub(crate) struct Process {
    child: Child,
    pub(crate) grpc: String,
    pub(crate) http: String,
}

impl Process {
    /// Starts it on `data`; `ports` of an earlier one make it listen where that one did.
    pub(crate) async fn start(data: &Path, flags: &[&str], ports: Option<(&str, &str)>) -> Self {
        let (grpc, http) = ports.unwrap_or(("127.0.0.1:0", "127.0.0.1:0"));
        let ports = ["--auth=none", "--grpc-addr", grpc, "--http-addr", http];
        Self::start_as(data, &[&ports[..], flags].concat(), None).await
    }

    /// Starts it on free ports with an environment variable set.
    pub(crate) async fn start_with_variable(
        data: &Path,
        flags: &[&str],
        variable: (&str, &str),
    ) -> Self {
        let ports = ["--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
        Self::start_as(data, &[&ports[..], flags].concat(), Some(variable)).await
    }

    /// Starts it with readers' auth, which `flags` give the secret for.
    pub(crate) async fn start_with_auth(data: &Path, flags: &[&str]) -> Self {
        let ports = ["--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
        Self::start_as(data, &[&ports[..], flags].concat(), None).await
    }

    async fn start_as(data: &Path, flags: &[&str], variable: Option<(&str, &str)>) -> Self {
        let mut command = binary();
        command.envs(variable);
        Self::start_program(command, data, flags).await
    }

    /// Starts `command`, which may be another version of the program.
    pub(crate) async fn start_program(command: Command, data: &Path, flags: &[&str]) -> Self {
        Self::start_logging_to(Stdio::inherit(), command, data, flags).await
    }

    /// Starts it on free ports from a shell that first does `before`.
    pub(crate) async fn start_after(before: &str, data: &Path, flags: &[&str]) -> Self {
        let mut command = Command::new("sh");
        command.kill_on_drop(true).arg("-c").arg(format!("{before}; exec \"$0\" \"$@\""));
        command.arg(env!("CARGO_BIN_EXE_otto-handler"));
        command.env("OTTO_MIN_FREE_BYTES", "0");
        let ports = ["--auth=none", "--grpc-addr=127.0.0.1:0", "--http-addr=127.0.0.1:0"];
        Self::start_program(command, data, &[&ports[..], flags].concat()).await
    }

    /// Starts `command` with its standard error at `stderr`.
    pub(crate) async fn start_logging_to(
        stderr: impl Into<Stdio>,
        mut command: Command,
        data: &Path,
        flags: &[&str],
    ) -> Self {
        command.args(["serve", "--print-addrs", "--data-dir"]).arg(data).args(flags);
        // Tests that are not about the grace do not wait for it; a flag wins.
        command.env("OTTO_TASK_GRACE", "0s");
        command.stdout(Stdio::piped()).stderr(stderr);
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        within("the addresses", stdout.read_line(&mut line)).await.unwrap();
        let addrs: Value = serde_json::from_str(&line).unwrap();
        let addr = |name: &str| addrs[name].as_str().unwrap().to_owned();
        Self { child, grpc: addr("grpc"), http: addr("http") }
    }

    pub(crate) fn ports(&self) -> (String, String) {
        (self.grpc.clone(), self.http.clone())
    }

    pub(crate) fn grpc_url(&self) -> String {
        format!("http://{}", self.grpc)
    }

    pub(crate) fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1/log-streaming{path}", self.http)
    }

    /// Ends it as a crash does: SIGKILL, no chance to tidy up.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Its highest resident memory so far, in KiB.
    pub(crate) fn peak_kib(&self) -> u64 {
        let id = self.child.id().expect("it runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Asks it to end with SIGTERM and waits for its exit code.
    pub(crate) async fn terminate(self) -> Option<i32> {
        self.signal("TERM").await;
        self.exit_code().await
    }

    /// Sends it the signal of this name.
    pub(crate) async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-s", name, &id]).status().await.unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; the exit code is `None` where a signal ended it.
    pub(crate) async fn exit_code(mut self) -> Option<i32> {
        within("the program's end", self.child.wait()).await.unwrap().code()
    }
}
