//! The settings of `serve`, and the checks that they pass.
//!
//! Every setting is a flag, an environment variable and a key of the configuration file, under
//! one name. What counts first is the flag, then its variable, a platform's variable (`PORT`), the
//! file, the default. [`ServeArgs`] are the flags as given, [`Config`] is what they mean to the
//! parts of the server.

mod address;
mod args;
mod check;
mod effective;
mod environment;
mod file;
mod life_cycle_args;
mod observe_args;
mod options;
mod reading;

pub use address::{AddrError, HttpAddr, socket_addr};
pub use args::{AuthMode, LogFormat, PullMode, PushAuth, ServeArgs};
pub use check::{Config, ConfigError, MIN_SECRET_BYTES};
pub use environment::{naming_variable, without_empty_variables};
pub use file::FileSettings;
pub use reading::{configured_http_addr, with_surroundings};
