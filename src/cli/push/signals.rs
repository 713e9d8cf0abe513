//! The signals that `push` gets, and those that it passes on to its command.

use std::fs::File;
use std::io;

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::signals::is_ignored;

pub(super) const SIGHUP: u8 = 1;
pub(super) const SIGINT: u8 = 2;
const SIGQUIT: u8 = 3;
const SIGUSR1: u8 = 10;
const SIGUSR2: u8 = 12;
pub(super) const SIGTERM: u8 = 15;

/// Signals that wait to be looked at; more of them at once say nothing new.
const WAITING: usize = 16;

/// Signals as they come, by number.
pub(super) struct Signals(mpsc::Receiver<u8>);

impl Signals {
    /// Catches those that end the input.
    pub(super) fn that_stop() -> io::Result<Self> {
        Self::catch(&[SIGHUP, SIGINT, SIGTERM])
    }

    /// Catches those that a command is to get.
    pub(super) fn to_pass_on() -> io::Result<Self> {
        Self::catch(&[SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGTERM])
    }

    fn catch(numbers: &[u8]) -> io::Result<Self> {
        let (sender, received) = mpsc::channel(WAITING);
        for number in numbers {
            let kind = SignalKind::from_raw(i32::from(*number));
            // Whoever started the program to survive a signal, as `nohup` does, means it.
            if is_ignored(kind) {
                continue;
            }
            let (mut signal, sender, number) = (signal(kind)?, sender.clone(), *number);
            tokio::spawn(async move {
                while signal.recv().await.is_some() {
                    sender.try_send(number).ok();
                }
            });
        }
        Ok(Self(received))
    }

    pub(super) async fn next(&mut self) -> u8 {
        match self.0.recv().await {
            Some(number) => number,
            None => std::future::pending().await,
        }
    }
}

/// Whether a terminal sends `signal` to every process of this one's group, a command too.
pub(super) fn comes_from_the_terminal(signal: u8) -> bool {
    let is_foreground = || {
        let terminal = File::open("/dev/tty").ok()?;
        Some(tcgetpgrp(terminal).ok()? == getpgrp())
    };
    matches!(signal, SIGINT | SIGQUIT) && is_foreground().unwrap_or(false)
}
