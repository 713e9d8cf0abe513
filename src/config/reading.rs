//! From arguments, variables and a file to [`ServeArgs`].
//!
//! The order for every setting: its flag, its variable, a platform's variable (`PORT`), the file,
//! the default.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::address::reached_at;
use super::args::ServeArgs;
use super::effective::effective;
use super::environment::{naming_variable, with_old_variables, without_empty_variables};
use super::file::{FileSettings, file_settings};

/// `serve` with what the environment and the file say, ready for `arguments`, which begin with the
/// command's name.
///
/// # Errors
/// When the file cannot be used.
pub fn with_surroundings(
    serve: Command,
    arguments: &[OsString],
) -> Result<(Command, FileSettings), clap::Error> {
    let serve = without_empty_variables(with_old_variables(serve));
    let settings = file_settings(&serve, arguments)?;
    Ok((settings.as_defaults(serve), settings))
}

impl ServeArgs {
    /// Reads flags given within the process.
    ///
    /// # Errors
    /// What clap would print.
    pub fn read<'a>(flags: impl IntoIterator<Item = &'a str>) -> Result<Self, clap::Error> {
        let flags = flags.into_iter().map(OsString::from);
        let arguments: Vec<_> = std::iter::once("serve".into()).chain(flags).collect();
        let serve = Self::augment_args(Command::new("serve"));
        let (mut serve, settings) = with_surroundings(serve, &arguments)?;
        let matches = serve.try_get_matches_from_mut(arguments);
        let matches = matches.map_err(|error| naming_variable(error, &serve))?;
        let mut args = Self::from_arg_matches(&matches)?;
        args.note_sources(&serve, &matches, settings);
        Ok(args)
    }

    /// Notes where the values of `matches` come from, and decides between those that are at odds.
    pub fn note_sources(&mut self, serve: &Command, matches: &ArgMatches, settings: FileSettings) {
        if self.http_addr.has_port() && rank(matches, "http_addr") > rank(matches, "port") {
            self.port = None;
        }
        let is_default = |id: &str| matches.value_source(id) == Some(ValueSource::DefaultValue);
        self.places = settings.without(|id| !is_default(id));
        self.effective = effective(serve, matches, self.port.is_none());
    }
}

/// How much a value of the HTTP address counts. `PORT` is a platform's.
fn rank(matches: &ArgMatches, id: &str) -> u8 {
    match matches.value_source(id) {
        Some(ValueSource::CommandLine) => 3,
        Some(ValueSource::EnvVariable) if id != "port" => 2,
        Some(ValueSource::EnvVariable) => 1,
        _ => 0,
    }
}

/// Where the HTTP side of a server with these variables and this file is reached from this machine.
///
/// # Errors
/// When one of them cannot be used.
pub fn configured_http_addr(config: Option<&Path>) -> Result<SocketAddr, clap::Error> {
    let config = config.map(|path| format!("--config={}", path.display()));
    let args = ServeArgs::read(config.as_deref())?;
    Ok(reached_at(args.http_addr.with_port(args.port)))
}
