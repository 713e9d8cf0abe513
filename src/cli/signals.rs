//! The signals that stop a server.

use std::fs;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM, SIGINT and SIGHUP, from the moment they are listened for.
pub(super) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
    /// `None` where the process was started to survive it, as `nohup` does.
    hangup: Option<Signal>,
}

impl StopSignals {
    /// Listens for them; from here on none ends the process by itself.
    ///
    /// # Errors
    /// When the system refuses to.
    pub(super) fn listen() -> io::Result<Self> {
        let hangup = SignalKind::hangup();
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: if is_ignored(hangup) { None } else { Some(signal(hangup)?) },
        })
    }

    /// Resolves at the first of them.
    pub(super) async fn first(&mut self) {
        let name = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            Some(_) = next(&mut self.hangup) => "SIGHUP",
        };
        tracing::info!("{name}: shutting down");
    }

    /// Resolves with the name of the signal that asks for an end at once: SIGTERM or SIGINT after
    /// [`StopSignals::first`]. A terminal that closes sends more than one SIGHUP.
    pub(super) async fn second(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

async fn next(signal: &mut Option<Signal>) -> Option<()> {
    signal.as_mut()?.recv().await
}

/// Whether the process ignores `signal`, as Linux tells it; elsewhere it does not.
pub(super) fn is_ignored(signal: SignalKind) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal.as_raw_value() - 1) & 1 == 1)
}
