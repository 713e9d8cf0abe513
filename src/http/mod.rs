//! The HTTP side: browsers follow tasks over SSE, read history, and get the viewer.
//!
//! It translates requests and calls the core. The way of a stream: `stream` reads the request and
//! opens a [`ReaderSession`](crate::subscribe::ReaderSession), `sse` writes the session's events
//! as frames, `connection` sends them. Nothing else in the crate knows axum or hyper.
//!
//! # What it guarantees
//! - Every refusal is `application/problem+json` that names value and rule; a page, where a browser asks for one outside the API.
//! - Nobody reads a task that their token does not name, and no token is logged or sent back.
//! - A viewer has no task and no queue of its own: its body reads the session when the
//!   connection can take more. One that takes nothing for `viewer_stall_timeout` is closed.
//! - Once `drain` is cancelled, streams end with an `error` event and a hint when to reconnect.

mod app_state;
mod assets;
mod auth;
mod base_path;
mod connection;
mod health;
mod logs;
mod observe;
mod openapi;
mod options;
mod problem;
mod problem_page;
mod reader_budget;
mod request;
mod router;
mod sse;
mod stream;
mod tasks;
mod viewer_permits;
mod websocket;

pub use app_state::AppState;
pub use auth::{Auth, Claims, LoginCodes, SignError, Verifier, sign};
pub use base_path::{BasePath, BasePathError};
pub use connection::{serve, serve_metrics};
pub use options::{HttpOptions, MetricsPlace, OptionsError};

#[cfg(test)]
mod tests;
