//! A real server, real clients, no sleeps. One binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test that fails should panic where it fails")]

mod support;

mod architecture;
mod backpressure;
mod cancel;
mod commands;
mod configuration;
mod data_dir;
mod fixture;
mod http;
mod lifecycle;
mod long_lines;
mod memory;
mod memory_mode;
mod metrics;
mod packed;
mod process_log;
mod pull;
mod push;
mod restart;
mod shutdown;
mod verdict;
mod verify;

mod worker_push;
