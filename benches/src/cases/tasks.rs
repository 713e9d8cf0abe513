//! Very many tasks: a million of one line each, then what the list, a task and a start cost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use otto_handler::proto::ottoscaler::otto_handler_log_service_client::OttoHandlerLogServiceClient;
use tempfile::TempDir;
use tonic::Request;

use crate::entry;
use crate::process::{self, Server};
use crate::report::{Row, Section, Target};
use crate::rounds::Effort;
use crate::stats::{Spread, percentile, short};

const TASKS: usize = 1_000_000;
const QUICK_SHARE: usize = 20;
const LOOKUPS: usize = 500;
const LIST: &str = "/api/v1/log-streaming/tasks";

/// Pushes, lists, looks up, starts again.
pub fn run(effort: Effort) -> Result<Section> {
    let tasks = if effort.quick { TASKS / QUICK_SHARE } else { TASKS };
    let server = process::handler(&["--durability=fsync"])?;
    let started = Instant::now();
    push(&server, tasks)?;
    let push_rate = tasks as f64 / started.elapsed().as_secs_f64();
    let mut rows = vec![
        figure("tasks created", "tasks/s", push_rate, Target::None),
        figure("peak RSS after pushing", "MiB", server.peak_kib()? / 1024.0, Target::AtMost(150.0)),
    ];
    let (server, start_ms) = start_again(server)?;
    rows.push(figure("start, until both ports accept", "ms", start_ms, Target::AtMost(2000.0)));
    rows.extend(lookups(&server, tasks)?);
    let resident = server.peak_kib()? / 1024.0;
    rows.push(figure(
        "peak RSS after a start and look-ups",
        "MiB",
        resident,
        Target::AtMost(150.0),
    ));
    let text = format!(
        "{tasks} tasks of one line each over one stream, fsync, default budgets. A request is one \
         HTTP request on a connection that stays open.\n"
    );
    Ok(Section { rows, text })
}

fn figure(name: &str, unit: &'static str, value: f64, target: Target) -> Row {
    Row::figure(name, unit, Spread::of([value]), target)
}

fn push(server: &Server, tasks: usize) -> Result<()> {
    let address = format!("http://{}", server.addr("grpc"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut client = OttoHandlerLogServiceClient::connect(address).await?;
        let entries = tokio_stream::iter((0..tasks).map(|task| entry::entry(task, 1, task)));
        let mut request = Request::new(entries);
        request.metadata_mut().insert("otto-ack-mode", "cumulative".parse()?);
        let mut acks = client.forward_worker_logs(request).await?.into_inner();
        let mut last = 0;
        while let Some(ack) = acks.message().await? {
            ensure!(ack.status == 0, "an entry was refused: {}", ack.message);
            last = ack.sequence;
        }
        ensure!(last == tasks as i64, "{last} of {tasks} entries were acknowledged");
        Ok(())
    })
}

/// Ends the server by SIGTERM and starts another on its data.
fn start_again(server: Server) -> Result<(Server, f64)> {
    let dir: TempDir = server.stop()?;
    let started = Instant::now();
    let server = process::handler_in(dir, &["--durability=fsync"])?;
    Ok((server, started.elapsed().as_secs_f64() * 1e3))
}

fn lookups(server: &Server, tasks: usize) -> Result<Vec<Row>> {
    let mut connection = Connection::open(server)?;
    let mut row = |name: &str, unit_ms: f64, paths: &mut dyn FnMut(usize) -> String| {
        let mut times = Vec::with_capacity(LOOKUPS);
        for turn in 0..LOOKUPS {
            let started = Instant::now();
            connection.get(&paths(turn))?;
            times.push(started.elapsed().as_secs_f64() * 1e3);
        }
        times.sort_by(f64::total_cmp);
        let p50 = percentile(&times, 0.5);
        let p99 = Spread::of([percentile(&times, 0.99)]);
        let row = Row::figure(name, "ms", p99, Target::AtMost(unit_ms));
        Ok::<_, anyhow::Error>(row.noting(format!("p50 {} ms", short(p50))))
    };
    let random = |_: usize| format!("{LIST}/build-{:06}", fastrand::usize(0..tasks));
    let name = |_: usize| format!("{LIST}?limit=10&name={:06}", fastrand::usize(0..tasks));
    Ok(vec![
        row("one task, p99", 5.0, &mut { random })?,
        row("first page of 100, p99", 10.0, &mut |_| format!("{LIST}?limit=100"))?,
        row("limit=1, p99", 5.0, &mut |_| format!("{LIST}?limit=1"))?,
        row("search by name over all, p99", 300.0, &mut { name })?,
    ])
}

/// One HTTP/1.1 connection.
struct Connection(TcpStream);

impl Connection {
    fn open(server: &Server) -> Result<Self> {
        let socket = TcpStream::connect(server.addr("http"))?;
        socket.set_nodelay(true)?;
        Ok(Self(socket))
    }

    /// Reads the whole response, which must be a success.
    fn get(&mut self, path: &str) -> Result<()> {
        write!(self.0, "GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
        let mut response = Vec::new();
        let mut buffer = [0; 64 * 1024];
        loop {
            let read = self.0.read(&mut buffer)?;
            ensure!(read > 0, "the server closed the connection");
            response.extend_from_slice(&buffer[..read]);
            if is_whole(&response)? {
                let head = String::from_utf8_lossy(&response[..12]).into_owned();
                ensure!(head.ends_with("200"), "{path}: {head}");
                return Ok(());
            }
        }
    }
}

fn is_whole(response: &[u8]) -> Result<bool> {
    let Some(end) = memchr::memmem::find(response, b"\r\n\r\n") else { return Ok(false) };
    let head = std::str::from_utf8(&response[..end])?.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.context("the response has no content-length")?.parse()?;
    Ok(response.len() >= end + 4 + length)
}
