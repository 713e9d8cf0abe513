//! Settings that had another name in an earlier release.
//!
//! The old flag and the old key of the file are hidden aliases of the flag in
//! [`ServeArgs`](super::ServeArgs). An old environment variable has to be looked for here: an
//! argument has one variable only.

use std::env;

use clap::Command;

/// A flag's environment variable, and the one that it had before.
struct OldVariable {
    flag: &'static str,
    variable: &'static str,
    old_variable: &'static str,
}

const OLD_VARIABLES: [OldVariable; 1] =
    [OldVariable { flag: "threads", variable: "OTTO_THREADS", old_variable: "OTTO_WORKERS" }];

/// Makes `subcommand` read old environment variables where the new ones are not set.
pub fn with_old_variables(command: Command, subcommand: &str) -> Command {
    let is_set = |name| env::var_os(name).is_some();
    let needed =
        OLD_VARIABLES.iter().filter(|old| !is_set(old.variable) && is_set(old.old_variable));
    needed.fold(command, |command, old| {
        command.mut_subcommand(subcommand, |serve| {
            serve.mut_arg(old.flag, |arg| arg.env(old.old_variable))
        })
    })
}
