//! What `serve` can be told, and whether it makes sense.
//!
//! Every setting is a flag, an environment variable and a key of the configuration file, under
//! one name; a flag wins over the environment, the environment over the file.

mod args;
mod check;
mod effective;
mod file;

pub use args::{AuthMode, LogFormat, PullMode, PushAuth, ServeArgs};
pub use check::{Config, ConfigError, MIN_SECRET_BYTES};
pub use effective::effective;
pub use file::with_file_defaults;
