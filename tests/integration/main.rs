//! A real server, real clients, no sleeps. One binary, so that it is linked once.

mod support;

mod architecture;
mod backpressure;
mod cancel;
mod configuration;
mod push;
mod restart;
mod shutdown;
mod viewers;
