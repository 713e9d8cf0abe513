//! One connection of a load. Its streams take turns, one frame each, as in grpc-go's writer, so
//! that entries of all streams are mixed on the wire.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::time::Instant;

use anyhow::Result;
use mio::net::TcpStream;

use crate::entry::{self, SENT_AT_DIGITS, SENT_AT_PREFIX};
use crate::load::h2::{self, AckCounter};
use crate::shape::{Shape, frame};

/// How much is written at once.
const OUT_BYTES: usize = 64 * 1024;
const IN_BYTES: usize = 256 * 1024;
/// After how many response bytes the connection's window is opened again.
const REOPEN_BYTES: usize = 1 << 29;

struct Stream {
    window: i64,
    frames: Vec<Vec<u8>>,
    next: usize,
    acks: AckCounter,
    sent_at: VecDeque<Instant>,
}

/// A connection and its streams.
pub struct Connection {
    pub socket: TcpStream,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    filled: usize,
    window: i64,
    initial_window: i64,
    received_since_update: usize,
    streams: Vec<Stream>,
    next: usize,
}

impl Connection {
    /// Connects and opens the streams.
    ///
    /// # Errors
    /// When the connection is refused.
    pub fn open(addr: &str, shape: &Shape, index: usize) -> Result<Self> {
        let socket = std::net::TcpStream::connect(addr)?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut out = Vec::with_capacity(2 * OUT_BYTES);
        h2::put_preface(&mut out);
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
            window: i64::from(h2::INITIAL_WINDOW),
            initial_window: i64::from(h2::INITIAL_WINDOW),
            received_since_update: 0,
            streams,
            next: 0,
        })
    }

    /// Appends up to `frames` frames to what is to be written, as far as windows allow.
    pub fn fill(&mut self, frames: u64, sent_at: Option<u64>, timed: bool) -> u64 {
        let (mut filled, mut blocked) = (0, 0);
        let streams = self.streams.len();
        while filled < frames && self.out.len() < OUT_BYTES && blocked < streams {
            let stream = &mut self.streams[self.next];
            self.next = (self.next + 1) % streams;
            let frame = &stream.frames[stream.next];
            let cost = (frame.len() - h2::HEADER_BYTES) as i64;
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
            if let Some(nanos) = sent_at {
                write_sent_at_everywhere(&mut self.out[start..], nanos);
            }
            if timed {
                stream.sent_at.push_back(Instant::now());
            }
        }
        filled
    }

    /// Writes what the socket takes; returns whether that was all.
    pub fn flush(&mut self) -> Result<bool> {
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

    /// Reads all there is; returns how many entries it acknowledges.
    pub fn receive(&mut self, mut latencies: Option<&mut Vec<f64>>) -> Result<u64> {
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
        h2::check_not_ended(frame)?;
        let acknowledged = frame.flags & h2::ACK != 0;
        match frame.kind {
            h2::DATA => return self.on_acks(frame, latencies),
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

    fn on_acks(&mut self, frame: &h2::Frame<'_>, latencies: Option<&mut Vec<f64>>) -> Result<u64> {
        self.received_since_update += frame.payload.len();
        if self.received_since_update >= REOPEN_BYTES {
            let more = (self.received_since_update as u32).to_be_bytes();
            h2::put_frame(&mut self.out, h2::WINDOW_UPDATE, 0, 0, &more);
            self.received_since_update = 0;
        }
        let stream = &mut self.streams[(frame.stream as usize - 1) / 2];
        let acked = stream.acks.take(frame.payload)?;
        // Entries are acknowledged one by one; the time of sending is kept once per frame.
        if let Some(latencies) = latencies {
            let acked = stream.sent_at.drain(..(acked as usize).min(stream.sent_at.len()));
            latencies.extend(acked.map(|sent| sent.elapsed().as_secs_f64() * 1e6));
        }
        Ok(acked)
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
        let turns =
            if shape.mixed { shape.cycle.next_multiple_of(shape.tasks) } else { shape.cycle };
        let frames = (0..turns).map(|turn| frame(id, stream, turn, shape)).collect();
        Self {
            window: i64::from(h2::INITIAL_WINDOW),
            frames,
            next: 0,
            acks: AckCounter::default(),
            sent_at: VecDeque::new(),
        }
    }
}

fn write_sent_at_everywhere(bytes: &mut [u8], nanos: u64) {
    let positions: Vec<usize> =
        memchr::memmem::find_iter(bytes, SENT_AT_PREFIX).map(|at| at + SENT_AT_PREFIX.len()).collect();
    for position in positions {
        if bytes.len() - position >= SENT_AT_DIGITS
            && bytes[position..position + SENT_AT_DIGITS].iter().all(u8::is_ascii_digit)
        {
            entry::write_sent_at(&mut bytes[position..], nanos);
        }
    }
}
