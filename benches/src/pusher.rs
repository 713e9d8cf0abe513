//! Pushes prebuilt entries over gRPC, on one thread.
//!
//! Streams take turns: one frame each, as grpc-go's writer does it, so that entries of all
//! streams are mixed on the wire.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use prost::Message;

use crate::entry::{self, STAMP_DIGITS, STAMP_MARK};
use crate::feed::Feed;
use crate::h2::{self, Answers};

/// What is written at once.
const OUT_BYTES: usize = 64 * 1024;
const IN_BYTES: usize = 256 * 1024;
/// After how many answer bytes the connection's window is filled up again.
const REFILL_BYTES: usize = 1 << 29;

/// How a load is spread.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    pub connections: usize,
    pub streams_per_connection: usize,
    pub entries_per_frame: usize,
    pub tasks: usize,
    /// Whether every stream goes through all tasks, entry by entry.
    pub mixed: bool,
    /// One in so many streams pushes to task 0 and the others to the rest; 0: all alike.
    pub heavy_every: usize,
    /// Frames that a stream sends before they repeat.
    pub cycle: usize,
    /// Whether messages carry their time of sending.
    pub stamped: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            connections: 8,
            streams_per_connection: 64,
            entries_per_frame: 1,
            tasks: 64,
            mixed: false,
            heavy_every: 0,
            cycle: 32,
            stamped: false,
        }
    }
}

impl Shape {
    pub fn streams(&self) -> usize {
        self.connections * self.streams_per_connection
    }

    /// The task of the `turn`th frame of a stream. A worker has a stream of its own, so a stream
    /// has one task, unless it is mixed.
    fn task(&self, stream: usize, turn: usize) -> usize {
        if self.mixed {
            return (stream + turn) % self.tasks;
        }
        if self.heavy_every == 0 {
            return stream % self.tasks;
        }
        let is_heavy = stream % self.heavy_every == 0;
        let light = stream - stream / self.heavy_every;
        if is_heavy { 0 } else { 1 + light % (self.tasks - 1) }
    }
}

struct Stream {
    window: i64,
    frames: Vec<Vec<u8>>,
    next: usize,
    answers: Answers,
    sent_at: VecDeque<Instant>,
}

struct Connection {
    socket: TcpStream,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
    window: i64,
    initial_window: i64,
    unrefilled: usize,
    streams: Vec<Stream>,
    next: usize,
}

/// A load of entries on one server.
pub struct Pusher {
    poll: Poll,
    events: Events,
    connections: Vec<Connection>,
    shape: Shape,
    began: Instant,
    /// Entries that may still be sent.
    allowed: u64,
    next: usize,
    sent: u64,
    acked: u64,
    /// Set to collect the time from an entry's sending to its answer, in microseconds.
    pub latencies: Option<Vec<f64>>,
}

impl Pusher {
    /// Connects and opens all streams.
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub fn connect(addr: &str, shape: Shape, began: Instant) -> Result<Self> {
        let poll = Poll::new()?;
        let mut connections = Vec::new();
        for index in 0..shape.connections {
            let mut connection = Connection::open(addr, &shape, index)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut connection.socket, Token(index), interest)?;
            connections.push(connection);
        }
        let events = Events::with_capacity(64);
        Ok(Self {
            poll,
            events,
            connections,
            shape,
            began,
            allowed: 0,
            next: 0,
            sent: 0,
            acked: 0,
            latencies: None,
        })
    }

    pub fn acked(&self) -> u64 {
        self.acked
    }

    /// Pushes without a limit until `end`.
    ///
    /// # Errors
    /// When a connection or stream ends, or an entry is refused.
    pub fn saturate(&mut self, end: Instant) -> Result<()> {
        self.allowed = u64::MAX / 2;
        while Instant::now() < end {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Pushes `per_second` entries a second, evenly, until `end`.
    ///
    /// # Errors
    /// As [`Pusher::saturate`].
    pub fn pace(&mut self, per_second: f64, end: Instant) -> Result<()> {
        let start = Instant::now();
        let mut due = 0;
        while Instant::now() < end {
            let wanted = (start.elapsed().as_secs_f64() * per_second) as u64;
            self.allowed += wanted - due;
            due = wanted;
            self.turn(Duration::ZERO)?;
            std::thread::sleep(Duration::from_micros(50));
        }
        Ok(())
    }

    /// Pushes exactly `count` entries and waits until all are answered.
    ///
    /// # Errors
    /// As [`Pusher::saturate`].
    pub fn push(&mut self, count: u64) -> Result<()> {
        self.allowed = count;
        let goal = self.sent + count;
        while self.acked < goal {
            self.turn(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Waits until all that was sent is answered.
    ///
    /// # Errors
    /// As [`Pusher::saturate`]; also when answers stay away.
    pub fn settle(&mut self) -> Result<()> {
        self.allowed = 0;
        self.latencies = None;
        let deadline = Instant::now() + Duration::from_secs(30);
        while self.acked < self.sent {
            self.turn(Duration::from_millis(10))?;
            ensure!(Instant::now() < deadline, "{} of {} entries answered", self.acked, self.sent);
        }
        Ok(())
    }

    fn receive(&mut self, index: usize) -> Result<()> {
        let connection = &mut self.connections[index];
        self.acked += connection.receive(self.latencies.as_mut())?;
        Ok(())
    }

    fn send(&mut self) -> Result<()> {
        // Another connection begins each time, so that a small allowance is spread too.
        self.next = (self.next + 1) % self.connections.len();
        for turn in 0..self.connections.len() {
            let index = (self.next + turn) % self.connections.len();
            let connection = &mut self.connections[index];
            loop {
                let stamp = self.shape.stamped.then(|| self.began.elapsed().as_nanos() as u64);
                let timed = self.latencies.is_some();
                let frames = self.allowed / self.shape.entries_per_frame as u64;
                let filled = connection.fill(frames, stamp, timed) * self.shape.entries_per_frame as u64;
                self.allowed -= filled;
                self.sent += filled;
                if !connection.flush()? || filled == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Feed for Pusher {
    fn allow(&mut self, events: u64) {
        self.allowed += events;
    }

    fn sent(&self) -> u64 {
        self.sent
    }

    fn turn(&mut self, wait: Duration) -> Result<()> {
        self.send()?;
        self.poll.poll(&mut self.events, Some(wait))?;
        let readable: Vec<usize> =
            self.events.iter().filter(|event| event.is_readable()).map(|event| event.token().0).collect();
        readable.into_iter().try_for_each(|index| self.receive(index))
    }
}

impl Connection {
    fn open(addr: &str, shape: &Shape, index: usize) -> Result<Self> {
        let socket = std::net::TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = Vec::with_capacity(2 * OUT_BYTES);
        h2::put_greeting(&mut out);
        let mut streams = Vec::new();
        for number in 0..shape.streams_per_connection {
            let id = 2 * number as u32 + 1;
            h2::put_request(&mut out, id);
            let stream = index * shape.streams_per_connection + number;
            streams.push(Stream::new(id, stream, shape));
        }
        Ok(Self {
            socket: TcpStream::from_std(socket),
            out,
            written: 0,
            input: vec![0; IN_BYTES],
            filled: 0,
            window: h2::INITIAL_WINDOW,
            initial_window: h2::INITIAL_WINDOW,
            unrefilled: 0,
            streams,
            next: 0,
        })
    }

    /// Appends up to `frames` frames to what is to be written, as far as windows allow.
    fn fill(&mut self, frames: u64, stamp: Option<u64>, timed: bool) -> u64 {
        let (mut filled, mut blocked) = (0, 0);
        let streams = self.streams.len();
        while filled < frames && self.out.len() < OUT_BYTES && blocked < streams {
            let stream = &mut self.streams[self.next];
            self.next = (self.next + 1) % streams;
            let frame = &stream.frames[stream.next];
            let cost = (frame.len() - h2::HEAD_BYTES) as i64;
            if stream.window < cost || self.window < cost {
                blocked += 1;
                continue;
            }
            blocked = 0;
            filled += 1;
            stream.window -= cost;
            self.window -= cost;
            stream.next = (stream.next + 1) % stream.frames.len();
            let start = self.out.len();
            self.out.extend_from_slice(frame);
            if let Some(nanos) = stamp {
                stamp_all(&mut self.out[start..], nanos);
            }
            if timed {
                stream.sent_at.push_back(Instant::now());
            }
        }
        filled
    }

    /// Writes what the socket takes; whether that was all.
    fn flush(&mut self) -> Result<bool> {
        while self.written < self.out.len() {
            match self.socket.write(&self.out[self.written..]) {
                Ok(bytes) => self.written += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
        self.out.clear();
        self.written = 0;
        Ok(true)
    }

    /// Reads all there is; returns how many entries it answers.
    fn receive(&mut self, mut latencies: Option<&mut Vec<f64>>) -> Result<u64> {
        let mut acked = 0;
        loop {
            match self.socket.read(&mut self.input[self.filled..]) {
                Ok(0) => anyhow::bail!("the server closed the connection"),
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(acked),
                Err(error) => return Err(error.into()),
            }
            let input = std::mem::take(&mut self.input);
            let mut rest = &input[..self.filled];
            while let Some(frame) = h2::split_frame(&mut rest) {
                acked += self.on_frame(&frame, latencies.as_deref_mut())?;
            }
            let (start, end) = (self.filled - rest.len(), self.filled);
            self.filled = rest.len();
            self.input = input;
            self.input.copy_within(start..end, 0);
        }
    }

    fn on_frame(&mut self, frame: &h2::Frame<'_>, latencies: Option<&mut Vec<f64>>) -> Result<u64> {
        h2::refuse_end(frame)?;
        let acknowledged = frame.flags & h2::ACK != 0;
        match frame.kind {
            h2::DATA => return self.on_answers(frame, latencies),
            h2::WINDOW_UPDATE => self.on_window(frame),
            h2::SETTINGS if !acknowledged => {
                if let Some(window) = h2::initial_window(frame.payload) {
                    let more = window - std::mem::replace(&mut self.initial_window, window);
                    self.streams.iter_mut().for_each(|stream| stream.window += more);
                }
                h2::put_frame(&mut self.out, h2::SETTINGS, h2::ACK, 0, &[]);
            }
            h2::PING if !acknowledged => {
                h2::put_frame(&mut self.out, h2::PING, h2::ACK, 0, frame.payload);
            }
            _ => {}
        }
        Ok(0)
    }

    fn on_answers(&mut self, frame: &h2::Frame<'_>, latencies: Option<&mut Vec<f64>>) -> Result<u64> {
        self.unrefilled += frame.payload.len();
        if self.unrefilled >= REFILL_BYTES {
            let more = (self.unrefilled as u32).to_be_bytes();
            h2::put_frame(&mut self.out, h2::WINDOW_UPDATE, 0, 0, &more);
            self.unrefilled = 0;
        }
        let stream = &mut self.streams[(frame.stream as usize - 1) / 2];
        let answered = stream.answers.take(frame.payload)?;
        // A frame's entries are answered one by one, its time of sending is kept once per frame.
        if let Some(latencies) = latencies {
            let answered = stream.sent_at.drain(..(answered as usize).min(stream.sent_at.len()));
            latencies.extend(answered.map(|sent| sent.elapsed().as_secs_f64() * 1e6));
        }
        Ok(answered)
    }

    fn on_window(&mut self, frame: &h2::Frame<'_>) {
        let Some(more) = frame.payload.first_chunk() else { return };
        let more = i64::from(u32::from_be_bytes(*more));
        if frame.stream == 0 {
            self.window += more;
        } else {
            self.streams[(frame.stream as usize - 1) / 2].window += more;
        }
    }
}

impl Stream {
    fn new(id: u32, stream: usize, shape: &Shape) -> Self {
        let turns = if shape.mixed { shape.cycle.next_multiple_of(shape.tasks) } else { shape.cycle };
        let frames = (0..turns).map(|turn| frame(id, stream, turn, shape)).collect();
        Self { window: h2::INITIAL_WINDOW, frames, next: 0, answers: Answers::default(), sent_at: VecDeque::new() }
    }
}

/// A DATA frame of as many entries as the shape says.
fn frame(id: u32, stream: usize, turn: usize, shape: &Shape) -> Vec<u8> {
    let mut payload = Vec::new();
    for position in 0..shape.entries_per_frame {
        let number = (stream * 131 + turn) * shape.entries_per_frame + position;
        let message = entry::entry(shape.task(stream, turn), stream, number % 98_304).encode_to_vec();
        payload.push(0);
        payload.extend_from_slice(&(message.len() as u32).to_be_bytes());
        payload.extend_from_slice(&message);
    }
    let mut frame = Vec::with_capacity(h2::HEAD_BYTES + payload.len());
    h2::put_frame(&mut frame, h2::DATA, 0, id, &payload);
    frame
}

fn stamp_all(bytes: &mut [u8], nanos: u64) {
    let places: Vec<usize> =
        memchr::memmem::find_iter(bytes, STAMP_MARK).map(|at| at + STAMP_MARK.len()).collect();
    for place in places {
        if bytes.len() - place >= STAMP_DIGITS && bytes[place..place + STAMP_DIGITS].iter().all(u8::is_ascii_digit) {
            entry::write_stamp(&mut bytes[place..], nanos);
        }
    }
}
