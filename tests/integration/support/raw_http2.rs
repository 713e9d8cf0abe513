//! HTTP/2 frames written by hand (RFC 9113 §4.1), for what a well-behaved client cannot be
//! made to do for certain: everything, the half-close and the cancel in one write.

use bytes::{BufMut, BytesMut};
use otto_handler::proto::ottoscaler::WorkerLogEntry;
use prost::Message;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FORWARD_PATH: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];
const STREAM: u32 = 1;

fn frame(out: &mut BytesMut, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.put_uint(payload.len() as u64, 3);
    out.put_slice(&[kind, flags]);
    out.put_u32(stream);
    out.put_slice(payload);
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

/// Opens a connection and writes, in one piece: the entries, each in a DATA frame of its own,
/// the half-close, and the cancel. They must fit the server's stream window.
pub(crate) async fn push_and_cancel(addr: &str, entries: &[WorkerLogEntry]) -> TcpStream {
    let mut out = BytesMut::from(PREFACE);
    frame(&mut out, SETTINGS, 0, 0, &[]);
    frame(&mut out, HEADERS, END_HEADERS, STREAM, &headers());
    for entry in entries {
        let message = entry.encode_to_vec();
        let mut payload = BytesMut::new();
        payload.put_u8(0);
        payload.put_u32(message.len() as u32);
        payload.put_slice(&message);
        frame(&mut out, DATA, 0, STREAM, &payload);
    }
    frame(&mut out, DATA, END_STREAM, STREAM, &[]);
    frame(&mut out, RST_STREAM, 0, STREAM, &CANCEL);
    let mut connection = TcpStream::connect(addr).await.unwrap();
    connection.write_all(&out).await.unwrap();
    connection
}
