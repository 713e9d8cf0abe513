//! The settings of `serve`, and the checks that they pass.
//!
//! Every setting is a flag, an environment variable and a key of the configuration file, under
//! one name; a flag wins over the environment, the environment over the file. [`ServeArgs`] are
//! the flags as given, [`Config`] is what they mean to the parts of the server.

mod args;
mod check;
mod effective;
mod file;
mod life_cycle_args;
mod old_names;
mod options;

pub use args::{AuthMode, LogFormat, PullMode, PushAuth, ServeArgs};
pub use check::{Config, ConfigError, MIN_SECRET_BYTES};
pub use effective::effective;
pub use file::with_file_defaults;
pub use old_names::with_old_variables;
