//! HTTP/2 frames written by hand (RFC 9113 §4.1), for what a well-behaved client cannot be
//! made to do for certain: everything, the half-close and the cancel in one write, or nothing
//! but the smallest frames.

use bytes::{BufMut, BytesMut};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FORWARD_PATH: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
/// SETTINGS_INITIAL_WINDOW_SIZE: the greatest.
const INITIAL_WINDOW: [u8; 6] = [0, 4, 0x7f, 0xff, 0xff, 0xff];
/// From the 65,535 that a connection begins with to near the greatest.
const CONNECTION_WINDOW: [u8; 4] = [0x7f, 0xfe, 0, 0];
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// A connection. Frames are collected and go out in one write.
pub(crate) struct Connection {
    out: BytesMut,
    socket: OwnedWriteHalf,
    /// Ends with the connection and tells whether the server sent GOAWAY.
    pub(crate) ended: JoinHandle<bool>,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> Self {
        let (mut reading, socket) = TcpStream::connect(addr).await.unwrap().into_split();
        let out = BytesMut::from(PREFACE);
        let mut connection = Self { out, socket, ended: tokio::spawn(async { false }) };
        // Room for every response, as none of them is accounted for.
        connection.frame(SETTINGS, 0, 0, &INITIAL_WINDOW);
        connection.frame(WINDOW_UPDATE, 0, 0, &CONNECTION_WINDOW);
        connection.send().await;
        // The server's settings come first, then the window of the connection as a whole.
        while read_frame(&mut reading).await != Some(WINDOW_UPDATE) {}
        connection.frame(SETTINGS, ACK, 0, &[]);
        connection.ended = tokio::spawn(was_sent_away(reading));
        connection
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.out.put_uint(payload.len() as u64, 3);
        self.out.put_slice(&[kind, flags]);
        self.out.put_u32(stream);
        self.out.put_slice(payload);
    }

    /// Opens a stream and pushes the entries, each in a DATA frame of its own. They must fit
    /// the server's stream window.
    pub(crate) fn push(&mut self, stream: u32, entries: &[WorkerLogEntry]) {
        self.frame(HEADERS, END_HEADERS, stream, &headers());
        for entry in entries {
            let message = entry.encode_to_vec();
            let mut payload = BytesMut::new();
            payload.put_u8(0);
            payload.put_u32(message.len() as u32);
            payload.put_slice(&message);
            self.frame(DATA, 0, stream, &payload);
        }
    }

    pub(crate) fn half_close(&mut self, stream: u32) {
        self.frame(DATA, END_STREAM, stream, &[]);
    }

    pub(crate) fn cancel(&mut self, stream: u32) {
        self.frame(RST_STREAM, 0, stream, &CANCEL);
    }

    /// Writes what was collected and closes the connection at once.
    pub(crate) async fn send_and_close(mut self) {
        self.send().await;
        self.socket.shutdown().await.unwrap();
    }

    pub(crate) async fn send(&mut self) {
        self.socket.write_all(&self.out.split()).await.unwrap();
    }
}

/// Request headers in HPACK without compression (RFC 7541 §6.2.2).
fn headers() -> Vec<u8> {
    // `:method: POST` and `:scheme: http` stand in the static table; the other names too.
    let mut block = vec![0x83, 0x86];
    let mut named = |name: &[u8], value: &str| {
        block.extend_from_slice(name);
        block.push(value.len() as u8);
        block.extend_from_slice(value.as_bytes());
    };
    named(&[0x04], FORWARD_PATH);
    named(&[0x01], "localhost");
    named(&[0x0f, 0x10], "application/grpc");
    named(b"\x00\x02te", "trailers");
    block
}

/// Reads to the connection's end; whether a GOAWAY was among the frames.
async fn was_sent_away(mut reading: OwnedReadHalf) -> bool {
    let mut was_sent_away = false;
    while let Some(kind) = read_frame(&mut reading).await {
        was_sent_away |= kind == GOAWAY;
    }
    was_sent_away
}

/// Reads a frame and tells its kind; `None` at the connection's end.
async fn read_frame(reading: &mut OwnedReadHalf) -> Option<u8> {
    let mut head = [0; 9];
    reading.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    reading.read_exact(&mut vec![0; length as usize]).await.ok()?;
    Some(head[3])
}
