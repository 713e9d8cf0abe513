//! The scheduler's channel with what `std`'s has and it lacks: a dropped receiver drops what is queued,
//! and nothing is queued after that.

use std::sync::Arc;
use std::time::Duration;

use shuttle::sync::{Mutex, mpsc};

pub use shuttle::sync::mpsc::{RecvTimeoutError, SendError, TryRecvError};

/// Whether the receiver is gone. Held while something is queued.
type IsClosed = Arc<Mutex<bool>>;

#[derive(Debug)]
pub struct Sender<T>(mpsc::Sender<T>, IsClosed);

#[derive(Debug)]
pub struct Receiver<T>(mpsc::Receiver<T>, IsClosed);

pub fn channel<T>() -> (Sender<T>, Receiver<T>) {
    let ((sender, receiver), closed) = (mpsc::channel(), IsClosed::default());
    (Sender(sender, Arc::clone(&closed)), Receiver(receiver, closed))
}

impl<T> Sender<T> {
    pub fn send(&self, message: T) -> Result<(), SendError<T>> {
        let is_closed = self.1.lock().unwrap();
        if *is_closed { Err(SendError(message)) } else { self.0.send(message) }
    }
}

impl<T> Receiver<T> {
    pub fn recv_timeout(&self, wait: Duration) -> Result<T, RecvTimeoutError> {
        self.0.recv_timeout(wait)
    }

    pub fn try_recv(&self) -> Result<T, TryRecvError> {
        self.0.try_recv()
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let Ok(mut is_closed) = self.1.lock() else { return };
        *is_closed = true;
        while self.0.try_recv().is_ok() {}
    }
}
