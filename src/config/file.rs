//! The configuration file: other defaults for the same flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Flags that make no sense in a file.
const NOT_IN_FILE: [&str; 4] = ["config", "print-addrs", "help", "version"];

/// Makes the values of the file that `--config` names the defaults of `subcommand`'s flags.
///
/// # Errors
/// When the file cannot be read, is no TOML, or holds a key that is no flag.
pub fn with_file_defaults(
    command: Command,
    subcommand: &str,
    arguments: &[OsString],
) -> Result<Command, clap::Error> {
    let Some(path) = config_path(&command, subcommand, arguments) else { return Ok(command) };
    let mut serve = command.clone();
    let serve = serve.find_subcommand_mut(subcommand).expect("the caller names its own subcommand");
    let defaults = read(&path).and_then(|table| defaults(serve, table)).map_err(|reason| {
        let message = format!("{}: {reason}", path.display());
        serve.error(ErrorKind::ValueValidation, message)
    })?;
    Ok(command.mut_subcommand(subcommand, |serve| {
        defaults
            .into_iter()
            .fold(serve, |serve, (id, value)| serve.mut_arg(id, |arg| arg.default_value(value)))
    }))
}

/// A first look at the arguments, in which whatever else is wrong with them does not matter.
fn config_path(command: &Command, subcommand: &str, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches(subcommand)?.get_one::<PathBuf>("config").cloned()
}

fn read(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

fn defaults(serve: &Command, table: toml::Table) -> Result<Vec<(String, String)>, String> {
    table.into_iter().map(|(key, value)| Ok((flag_id(serve, &key)?, text(&key, value)?))).collect()
}

fn flag_id(serve: &Command, key: &str) -> Result<String, String> {
    let known = || {
        let flags = serve.get_arguments().filter_map(|arg| Some((arg, arg.get_long()?)));
        flags.filter(|(_, long)| !NOT_IN_FILE.contains(long))
    };
    let found = known().find(|(_, long)| *long == key);
    found.map(|(arg, _): (&Arg, _)| arg.get_id().to_string()).ok_or_else(|| {
        let mut names: Vec<_> = known().map(|(_, long)| long).collect();
        names.sort_unstable();
        format!("unknown key {key:?}, known are {}", names.join(", "))
    })
}

fn text(key: &str, value: toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => Err(format!("{key} is a {}, it needs a text or a number", other.type_str())),
    }
}
