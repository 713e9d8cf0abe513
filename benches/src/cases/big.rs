//! A big store: five million entries over fifty tasks, then what it costs to read them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use prost::Message;

use crate::entry;
use crate::load::pusher::Pusher;
use crate::process::{self, Server};
use crate::report::{Row, Section, Target};
use crate::rounds::{Bracket, Effort};
use crate::shape::Shape;
use crate::stats::{Spread, percentile, short};

/// 72 streams. Every fourth pushes to task 0, which thus gets 1,250,000 of 5,000,000 lines; the
/// 54 others share the other 49 tasks.
const SHAPE: Shape = Shape {
    connections: 8,
    streams_per_connection: 9,
    entries_per_frame: 1,
    tasks: 50,
    mixed: false,
    heavy_every: 4,
    // More than a chunk holds of a stream, so that LZ4 does not find whole lines again.
    cycle: 1024,
    has_sent_at: false,
};

const ENTRIES: u64 = 5_000_000;
const REPLAYED_LINES: u64 = 1_000_000;
const QUICK_SHARE: u64 = 10;
const RESUMES: usize = 500;
const REPLAYS: usize = 5;
const MIB: f64 = 1024.0 * 1024.0;

const STREAM: &str = "/api/v1/log-streaming/stream/build-000000";
const EVENT_END: &[u8] = b"\n\n";

/// Pushes, replays, resumes.
pub fn run(effort: Effort) -> Result<Section> {
    let share = if effort.quick { QUICK_SHARE } else { 1 };
    let (entries, replayed) = (ENTRIES / share, REPLAYED_LINES / share);
    let server = process::handler(&["--durability=fsync"])?;
    let mut pusher = Pusher::connect(server.addr("grpc"), SHAPE, Instant::now())?;
    let bracket = Bracket::open(&server, 0)?;
    pusher.push(entries)?;
    let pushed = bracket.close(&server, entries)?;
    drop(pusher);
    let pushed_rows = after_pushing(&server, entries, pushed.peak_mib)?;

    let bracket = Bracket::open(&server, 0)?;
    let replays = (0..REPLAYS).map(|_| replay(&server, replayed)).collect::<Result<Vec<_>>>()?;
    let replaying = bracket.close(&server, replayed * REPLAYS as u64)?;
    let mut rows = pushed_rows;
    rows.push(
        Row::figure(
            "replay of one task over SSE",
            "lines/s",
            Spread::of(replays),
            Target::AtLeast(1e6),
        )
        .noting(format!(
            "{replayed} lines each, page cache warm; {} µs/line",
            short(replaying.cpu_us)
        )),
    );
    let mut first_bytes = resume(&server, entries)?;
    first_bytes.sort_by(f64::total_cmp);
    let p50 = percentile(&first_bytes, 0.5);
    let p99 = Spread::of([percentile(&first_bytes, 0.99)]);
    rows.push(
        Row::figure("resume from a random line, first byte p99", "ms", p99, Target::AtMost(5.0))
            .noting(format!("{RESUMES} resumes, each on a new connection; p50 {} ms", short(p50))),
    );
    let after = Spread::of([server.peak_kib()? / 1024.0]);
    rows.push(Row::figure(
        "peak RSS after replays and resumes",
        "MiB",
        after,
        Target::AtMost(96.0),
    ));
    let text = format!(
        "{entries} entries over {} tasks, fsync, default budgets: {} entries/s, {} µs/entry. Raw bytes are the entries as \
         sent (protobuf, {} bytes each).\n",
        SHAPE.tasks,
        short(pushed.per_second),
        short(pushed.cpu_us),
        wire_bytes()
    );
    Ok(Section { rows, text })
}

fn wire_bytes() -> usize {
    entry::entry(1, 1, 12_345).encoded_len()
}

fn after_pushing(server: &Server, entries: u64, peak_mib: f64) -> Result<Vec<Row>> {
    let raw = (entries * wire_bytes() as u64) as f64;
    let written = server.written_bytes()? as f64;
    let on_disk = disk_bytes(server.dir.path())? as f64;
    let megabytes = |bytes: f64| format!("{} MiB", short(bytes / MIB));
    Ok(vec![
        Row::figure("peak RSS after pushing", "MiB", Spread::of([peak_mib]), Target::AtMost(96.0)),
        Row::figure(
            "write amplification",
            "written/raw",
            Spread::of([written / raw]),
            Target::AtMost(0.5),
        )
        .noting(format!("{} written for {} raw", megabytes(written), megabytes(raw))),
        Row::figure("size on disk", "disk/raw", Spread::of([on_disk / raw]), Target::None)
            .noting(format!("{} in files", megabytes(on_disk))),
    ])
}

fn disk_bytes(dir: &Path) -> Result<u64> {
    let files = std::fs::read_dir(dir)?.map(|file| Ok(file?.metadata()?.len()));
    files.sum()
}

fn request(server: &Server, headers: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(server.addr("http"))?;
    socket.set_nodelay(true)?;
    socket
        .write_all(format!("GET {STREAM} HTTP/1.1\r\nHost: bench\r\n{headers}\r\n").as_bytes())?;
    Ok(socket)
}

/// Reads a task's first `lines` events; returns events per second.
fn replay(server: &Server, lines: u64) -> Result<f64> {
    let mut buffer = vec![0; 1 << 20];
    let began = Instant::now();
    let mut socket = request(server, "")?;
    let (mut events, mut last) = (0, 0);
    while events < lines {
        let bytes = socket.read(&mut buffer[1..])?;
        ensure!(bytes > 0, "the stream ended after {events} events");
        // The last byte of the read before comes first: an event's end may be split between two reads.
        buffer[0] = last;
        events += memchr::memmem::find_iter(&buffer[..=bytes], EVENT_END).count() as u64;
        last = if buffer[..=bytes].ends_with(EVENT_END) { 0 } else { buffer[bytes] };
    }
    Ok(events as f64 / began.elapsed().as_secs_f64())
}

/// Resumes at random offsets; returns the milliseconds from the connection's start to the first
/// byte of the first entry.
fn resume(server: &Server, entries: u64) -> Result<Vec<f64>> {
    let epoch = epoch(server)?;
    let mut random = fastrand::Rng::with_seed(1);
    let mut resume_once = || {
        let began = Instant::now();
        // Not among the last entries: after them there may be nothing to wait for.
        let offset = random.u64(1..entries * 9 / 10);
        let mut socket = request(server, &format!("Last-Event-ID: {epoch}-{offset}\r\n"))?;
        read_until(&mut socket, b"\ndata: {\"offset\"")?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    };
    (0..RESUMES).map(|_| resume_once()).collect()
}

/// The store's epoch, from the first event's id.
fn epoch(server: &Server) -> Result<String> {
    let head = read_until(&mut request(server, "")?, b"\ndata: {\"offset\"")?;
    let text = String::from_utf8_lossy(&head);
    let id = text.split("\nid: ").nth(1).context("an event has an id")?;
    Ok(id.split('-').next().context("an id has an epoch")?.to_owned())
}

fn read_until(socket: &mut TcpStream, mark: &[u8]) -> Result<Vec<u8>> {
    let mut read = Vec::new();
    let mut buffer = [0; 16 * 1024];
    while memchr::memmem::find(&read, mark).is_none() {
        let bytes = socket.read(&mut buffer)?;
        ensure!(bytes > 0, "the stream ended: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&buffer[..bytes]);
    }
    Ok(read)
}
