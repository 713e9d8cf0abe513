//! A client of raw HTTP/2 frames, for what a well-behaved client cannot be made to do for certain:
//! to send everything, the half-close and the cancel in one write, or only the smallest frames.

use bytes::{BufMut, BytesMut};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use super::http2_frames::{
    ACK, DATA, GOAWAY, HEADER_BYTES, RST_STREAM, SETTINGS, WINDOW_UPDATE, put_frame, put_preface,
    put_request,
};

const END_STREAM: u8 = 1;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

/// A connection. Frames are collected and go out in one write.
pub(crate) struct Connection {
    out: Vec<u8>,
    socket: OwnedWriteHalf,
    /// Ends with the connection and returns whether the server sent GOAWAY.
    pub(crate) ended: JoinHandle<bool>,
}

impl Connection {
    pub(crate) async fn open(addr: &str) -> Self {
        let (mut reading, socket) = TcpStream::connect(addr).await.unwrap().into_split();
        // Nothing keeps account of responses, so the windows must be open for all of them.
        let mut out = Vec::new();
        put_preface(&mut out);
        let mut connection = Self { out, socket, ended: tokio::spawn(async { false }) };
        connection.send().await;
        // The server's settings come first, then the window of the connection as a whole.
        while read_frame(&mut reading).await != Some(WINDOW_UPDATE) {}
        connection.frame(SETTINGS, ACK, 0, &[]);
        connection.ended = tokio::spawn(was_sent_away(reading));
        connection
    }

    fn frame(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        put_frame(&mut self.out, kind, flags, stream, payload);
    }

    /// Opens a stream and pushes the entries, each in its own DATA frame. They must fit
    /// the server's stream window.
    pub(crate) fn push(&mut self, stream: u32, entries: &[WorkerLogEntry]) {
        put_request(&mut self.out, stream);
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
        self.socket.write_all(&std::mem::take(&mut self.out)).await.unwrap();
    }
}

/// Reads to the connection's end; whether a GOAWAY was among the frames.
async fn was_sent_away(mut reading: OwnedReadHalf) -> bool {
    let mut was_sent_away = false;
    while let Some(kind) = read_frame(&mut reading).await {
        was_sent_away |= kind == GOAWAY;
    }
    was_sent_away
}

/// Reads a frame and returns its kind; `None` at the connection's end.
async fn read_frame(reading: &mut OwnedReadHalf) -> Option<u8> {
    let mut head = [0; HEADER_BYTES];
    reading.read_exact(&mut head).await.ok()?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    reading.read_exact(&mut vec![0; length as usize]).await.ok()?;
    Some(head[3])
}
