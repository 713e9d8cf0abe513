//! The configuration in force, for the log.

use std::ffi::OsStr;

use clap::{Arg, ArgMatches, Command};

/// Every flag of `command` with its value on one line; a secret shows only whether it is set. A port
/// that is overruled is not in force.
pub(super) fn effective(
    command: &Command,
    matches: &ArgMatches,
    is_port_overruled: bool,
) -> String {
    let values = command.get_arguments().filter_map(|arg| {
        let name = arg.get_long().filter(|name| !["help", "version"].contains(name))?;
        let is_overruled = is_port_overruled && name == "port";
        let value = if is_overruled { "none".into() } else { value(arg, matches) };
        Some(format!("{name}={value}"))
    });
    values.collect::<Vec<_>>().join(" ")
}

fn value(arg: &Arg, matches: &ArgMatches) -> String {
    let raw = matches.get_raw(arg.get_id().as_str());
    let texts = raw.into_iter().flatten().map(OsStr::to_string_lossy);
    let text = texts.collect::<Vec<_>>().join(",");
    match text.as_str() {
        "" => "none".into(),
        // A flag that must not show its environment variable in the help is a secret.
        _ if arg.is_hide_env_values_set() => "(hidden)".into(),
        _ => text,
    }
}
