//! The environment variables that settings are read from.
//!
//! A variable that is set to nothing is not set: compose files write `${X:-}`. A switch that is
//! set to `false`, `no`, `off` or `0` is not set either, so that it is at odds with no flag.

use std::env;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

/// A flag's environment variable, and the one that it had before.
///
/// The old flag and the old key of the file are hidden aliases of the flag in
/// [`ServeArgs`](super::ServeArgs). An old environment variable has to be looked for here: an
/// argument has one variable only.
struct OldVariable {
    flag: &'static str,
    variable: &'static str,
    old_variable: &'static str,
}

const OLD_VARIABLES: [OldVariable; 1] =
    [OldVariable { flag: "threads", variable: "OTTO_THREADS", old_variable: "OTTO_WORKERS" }];

/// Makes `serve` read old environment variables where the new ones are not set.
pub(super) fn with_old_variables(serve: Command) -> Command {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let needed =
        OLD_VARIABLES.iter().filter(|old| !is_set(old.variable) && is_set(old.old_variable));
    needed.fold(serve, |serve, old| serve.mut_arg(old.flag, |arg| arg.env(old.old_variable)))
}

/// Makes `command` and its subcommands overlook variables that are set to nothing.
pub fn without_empty_variables(command: Command) -> Command {
    command.mut_args(unset_where_empty).mut_subcommands(without_empty_variables)
}

fn unset_where_empty(arg: Arg) -> Arg {
    let Some(value) = arg.get_env().and_then(env::var_os) else { return arg };
    let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
    let text = value.to_string_lossy().to_lowercase();
    let is_off = is_switch && matches!(text.as_str(), "0" | "false" | "f" | "no" | "n" | "off");
    if value.is_empty() || is_off { arg.env(Resettable::Reset) } else { arg }
}

/// Names the environment variable that a value which cannot be used comes from, if it does.
pub fn naming_variable(mut error: clap::Error, command: &Command) -> clap::Error {
    let (Some(ContextValue::String(flag)), Some(ContextValue::String(value))) =
        (error.get(ContextKind::InvalidArg), error.get(ContextKind::InvalidValue))
    else {
        return error;
    };
    // Arguments have their full names only once they are built.
    let mut command = command.clone();
    command.build();
    let name = args_of(&command).find_map(|arg| {
        let name = arg.get_env().filter(|_| arg.to_string() == *flag)?;
        let found = env::var_os(name)?;
        (found.to_string_lossy() == value.as_str()).then(|| name.to_string_lossy().into_owned())
    });
    if let Some(name) = name {
        let text = format!("environment variable {name}");
        error.insert(ContextKind::InvalidArg, ContextValue::String(text));
    }
    error
}

/// The arguments of `command` and its subcommands.
fn args_of(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().chain(command.get_subcommands().flat_map(Command::get_arguments))
}
