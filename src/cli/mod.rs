//! The command line: one module per command.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::{
    FileSettings, ServeArgs, naming_variable, with_surroundings, without_empty_variables,
};

mod address;
mod data;
mod demo;
mod exit;
mod health;
mod push;
mod serve;
mod signals;
mod simulate;
mod tail;
mod tasks;
mod token;
mod token_hint;
mod verify;
mod words;

/// The command whose flags may stand in a file.
const SERVE: &str = "serve";

/// Receives CI worker logs over gRPC, keeps them durably, and streams them to browsers.
#[derive(Debug, Parser)]
#[command(name = "otto-handler", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Box<ServeArgs>),
    Demo(demo::Args),
    Push(push::Args),
    Tail(Box<tail::Args>),
    Tasks(tasks::Args),
    Token(token::Args),
    Simulate(simulate::Args),
    Health(health::Args),
    Inspect(data::InspectArgs),
    Backup(data::BackupArgs),
    Restore(data::RestoreArgs),
    Repair(data::RepairArgs),
    Verify(Box<verify::Args>),
}

impl Cli {
    /// Reads `arguments`, the program's name first.
    ///
    /// # Errors
    /// What clap prints: what is wrong with the arguments, or the help that was asked for.
    pub fn read(arguments: Vec<OsString>) -> Result<Self, clap::Error> {
        let mut command = without_empty_variables(Self::command());
        let mut settings = FileSettings::default();
        let is_serve = arguments.get(1).is_some_and(|name| name == SERVE);
        if let Some(serve) = command.find_subcommand(SERVE).filter(|_| is_serve).cloned() {
            let (serve, found) = with_surroundings(serve, &arguments[1..])?;
            (command, settings) = (command.mut_subcommand(SERVE, |_| serve), found);
        }
        let matches = command.try_get_matches_from_mut(arguments);
        let matches = matches.map_err(|error| naming_variable(error, &command))?;
        let mut cli = Self::from_arg_matches(&matches)?;
        if let (Command::Serve(args), Some(given)) =
            (&mut cli.command, matches.subcommand_matches(SERVE))
        {
            let serve = command.find_subcommand(SERVE).expect("it was just matched");
            args.note_sources(serve, given, settings);
        }
        Ok(cli)
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Why the command failed, for people to read.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(args) => serve::run(*args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::Push(args) => push::run(args).await,
            Command::Tail(args) => tail::run(*args).await,
            Command::Tasks(args) => tasks::run(args).await,
            Command::Token(args) => token::run(args).await,
            Command::Simulate(args) => simulate::run(args).await,
            Command::Health(args) => health::run(args).await,
            Command::Inspect(args) => data::inspect(args).await,
            Command::Backup(args) => data::backup(args).await,
            Command::Restore(args) => data::restore(args).await,
            Command::Repair(args) => data::repair(args).await,
            Command::Verify(args) => verify::run(*args).await,
        }
    }
}
