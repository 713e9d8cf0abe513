//! One thread that calls `write()` for every event on every socket: the least CPU without
//! coalescing.

use std::io::{BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use anyhow::Result;

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

type Sockets = Arc<Mutex<Vec<TcpStream>>>;

/// Serves until killed.
///
/// # Errors
/// When it cannot listen or the feed is broken.
pub fn run() -> Result<()> {
    let viewers = TcpListener::bind("127.0.0.1:0")?;
    let feed = TcpListener::bind("127.0.0.1:0")?;
    super::print_addrs(&[("http", viewers.local_addr()?), ("feed", feed.local_addr()?)]);
    let sockets = Sockets::default();
    let accepted = sockets.clone();
    thread::spawn(move || {
        for socket in viewers.incoming().flatten() {
            // A viewer that has left already is noticed when it is written to.
            drop(open(socket, &accepted));
        }
    });
    for socket in feed.incoming() {
        publish(BufReader::new(socket?), &sockets);
    }
    Ok(())
}

fn open(mut socket: TcpStream, sockets: &Sockets) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let mut request = [0; 1024];
    let _request_bytes = socket.read(&mut request)?;
    // Locked during the response: a viewer that has it gets every event from then on.
    let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    socket.write_all(HEAD)?;
    sockets.push(socket);
    Ok(())
}

fn publish(mut feed: BufReader<TcpStream>, sockets: &Sockets) {
    let mut length = [0; 4];
    for id in 1_u64.. {
        if feed.read_exact(&mut length).is_err() {
            return;
        }
        let mut json = vec![0; u32::from_be_bytes(length) as usize];
        if feed.read_exact(&mut json).is_err() {
            return;
        }
        let mut frame = format!("event: log\nid: {id}\ndata: ").into_bytes();
        frame.extend_from_slice(&json);
        frame.extend_from_slice(b"\n\n");
        let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.retain_mut(|socket| socket.write_all(&frame).is_ok());
    }
}
