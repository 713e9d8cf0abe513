//! HTTP/2 frames written by hand (RFC 9113 §4.1), as far as a pushing client needs them. The
//! benchmarks include this file too: it uses nothing but `std`.

pub(crate) const FORWARD_PATH: &str = "/ottoscaler.v1.OttoHandlerLogService/ForwardWorkerLogs";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const HEADER_BYTES: usize = 9;
/// A stream's and a connection's window until the peer says otherwise.
pub(crate) const INITIAL_WINDOW: u32 = 65_535;
/// The greatest window.
pub(crate) const GREATEST_WINDOW: u32 = (1 << 31) - 1;
pub(crate) const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Appends a frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// Appends what a client sends first: the preface, and the greatest windows for responses, so
/// that these are never held back.
pub(crate) fn put_preface(out: &mut Vec<u8>) {
    out.extend_from_slice(PREFACE);
    let mut setting = SETTINGS_INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
    setting.extend_from_slice(&GREATEST_WINDOW.to_be_bytes());
    put_frame(out, SETTINGS, 0, 0, &setting);
    let more = GREATEST_WINDOW - INITIAL_WINDOW;
    put_frame(out, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
}

/// Appends the headers of a pushing request, in HPACK without compression (RFC 7541 §6.2.2).
pub(crate) fn put_request(out: &mut Vec<u8>, stream: u32) {
    // `:method: POST` and `:scheme: http` are in the static table, as are the other names.
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
    put_frame(out, HEADERS, END_HEADERS, stream, &block);
}
