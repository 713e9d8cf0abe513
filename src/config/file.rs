//! The configuration file: other defaults for the same flags.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, Command};

/// Flags that cannot stand in a file.
const NOT_IN_FILE: [&str; 4] = ["config", "print-addrs", "help", "version"];

/// Makes the values of the file that `--config` names the defaults of `subcommand`'s flags.
///
/// # Errors
/// When the file cannot be read or is not TOML, when a key is unknown, or when a flag is set
/// twice, by its name and an old one.
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
        defaults.into_iter().fold(serve, |serve, default| {
            serve.mut_arg(default.flag_id, |arg| arg.default_value(default.value))
        })
    }))
}

/// A first look at the arguments; whatever else is wrong with them is reported later.
fn config_path(command: &Command, subcommand: &str, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = command.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.subcommand_matches(subcommand)?.get_one::<PathBuf>("config").cloned()
}

fn read(path: &Path) -> Result<toml::Table, String> {
    let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse().map_err(|error: toml::de::Error| error.to_string())
}

/// A flag's default, as the file has it.
#[derive(Debug, PartialEq, Eq)]
struct FlagDefault {
    flag_id: String,
    value: String,
}

fn defaults(serve: &Command, table: toml::Table) -> Result<Vec<FlagDefault>, String> {
    let mut defaults: Vec<FlagDefault> = Vec::new();
    for (key, value) in table {
        let flag_id = flag_id(serve, &key)?;
        if defaults.iter().any(|default| default.flag_id == flag_id) {
            return Err(format!("{key} and its other name are both given, expected one of them"));
        }
        defaults.push(FlagDefault { flag_id, value: text(&key, value)? });
    }
    Ok(defaults)
}

fn flag_id(serve: &Command, key: &str) -> Result<String, String> {
    let found = known(serve).find(|arg| has_name(arg, key));
    found.map(|arg| arg.get_id().to_string()).ok_or_else(|| {
        let mut names: Vec<_> = known(serve).filter_map(Arg::get_long).collect();
        names.sort_unstable();
        format!("unknown key {key:?}, known are {}", names.join(", "))
    })
}

/// The flags that may stand in a file.
fn known(serve: &Command) -> impl Iterator<Item = &Arg> {
    let may_stand = |arg: &&Arg| arg.get_long().is_some_and(|long| !NOT_IN_FILE.contains(&long));
    serve.get_arguments().filter(may_stand)
}

/// Whether `key` is the flag's name or an old one.
fn has_name(arg: &Arg, key: &str) -> bool {
    let old_names = arg.get_all_aliases().unwrap_or_default();
    arg.get_long() == Some(key) || old_names.contains(&key)
}

fn text(key: &str, value: toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(flag) => Ok(flag.to_string()),
        other => {
            Err(format!("{key} is of type {}, expected a string or a number", other.type_str()))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::args::ServeArgs;

    fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
        let serve = ServeArgs::augment_args(Command::new("serve"));
        let defaults = defaults(&serve, text.parse().unwrap())?;
        Ok(defaults.into_iter().map(|default| (default.flag_id, default.value)).collect())
    }

    #[test]
    fn a_key_sets_the_flag_of_its_name_or_of_its_old_name() {
        let cases = [
            ("max-viewers = 7", "max_viewers", "7"),
            ("data-dir = \"x\"", "data_dir", "x"),
            ("threads = 2", "threads", "2"),
            ("workers = 2", "threads", "2"),
        ];
        for (text, flag_id, value) in cases {
            assert_eq!(parse(text), Ok(vec![(flag_id.into(), value.into())]), "{text}");
        }
    }

    #[test]
    fn what_sets_no_flag_is_refused_by_its_key() {
        let cases = [
            ("max-viewer = 7", "unknown key \"max-viewer\", known are auth, data-dir,"),
            ("config = \"x\"", "unknown key \"config\""),
            ("max-viewers = [7]", "max-viewers is of type array, expected a string or a number"),
            ("threads = 2\nworkers = 3", "workers and its other name are both given"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }
}
