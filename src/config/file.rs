//! The configuration file: other defaults for the same flags.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Flags that cannot stand in a file.
const NOT_IN_FILE: [&str; 4] = ["config", "print-addrs", "help", "version"];

/// The settings of a file, each with the line that it stands in.
#[derive(Debug, Clone, Default)]
pub struct FileSettings {
    path: PathBuf,
    settings: Vec<FileSetting>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileSetting {
    flag_id: String,
    /// The flag's name; the key may be an older one.
    name: String,
    value: String,
    line: usize,
}

impl FileSettings {
    /// Makes them the defaults of the flags of `serve`.
    pub fn as_defaults(&self, serve: Command) -> Command {
        self.settings.iter().fold(serve, |serve, setting| {
            serve.mut_arg(&setting.flag_id, |arg| arg.default_value(setting.value.clone()))
        })
    }

    /// The file and line that set the flag of this name.
    pub fn place_of(&self, name: &str) -> Option<String> {
        let setting = self.settings.iter().find(|setting| setting.name == name)?;
        Some(self.place(setting.line))
    }

    /// Without those for which `is_overruled` says so of a flag's id.
    pub fn without(mut self, is_overruled: impl Fn(&str) -> bool) -> Self {
        self.settings.retain(|setting| !is_overruled(&setting.flag_id));
        self
    }

    fn place(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }
}

/// The settings of the file that `--config` names in `arguments`, or its variable; none where there
/// is no such file. `arguments` begin with the name of `serve`.
///
/// # Errors
/// With file and line: when it is not TOML, a key is unknown, a value cannot be used, or a flag is
/// set twice, by its name and an old one. When it cannot be read. A secret is never part of the error.
pub(super) fn file_settings(
    serve: &Command,
    arguments: &[OsString],
) -> Result<FileSettings, clap::Error> {
    match config_path(serve, arguments) {
        Some(path) => read(serve, &path)
            .map_err(|reason| clap::Error::raw(ErrorKind::ValueValidation, format!("{reason}\n"))),
        None => Ok(FileSettings::default()),
    }
}

/// A first look at the arguments; whatever else is wrong with them is reported later.
fn config_path(serve: &Command, arguments: &[OsString]) -> Option<PathBuf> {
    let matches = serve.clone().ignore_errors(true).try_get_matches_from(arguments).ok()?;
    matches.get_one::<PathBuf>("config").cloned()
}

fn read(serve: &Command, path: &Path) -> Result<FileSettings, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read the configuration {}: {error}", path.display()))?;
    let mut found = FileSettings { path: path.to_owned(), settings: Vec::new() };
    // The error's own text would show the line, which may hold a secret.
    let table = DeTable::parse(&text).map_err(|error| {
        let line = line_of(&text, error.span().map_or(0, |span| span.start));
        format!("{}: {}", found.place(line), error.message())
    })?;
    let mut entries: Vec<_> = table.get_ref().iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    for (key, value) in entries {
        let line = line_of(&text, key.span().start);
        let setting = setting(serve, key.get_ref(), value, line)
            .and_then(|setting| found.unset_so_far(setting, key.get_ref()))
            .map_err(|reason| format!("{}: {reason}", found.place(line)))?;
        found.settings.push(setting);
    }
    Ok(found)
}

/// The line of a text, from 1, that has the byte at `position`.
fn line_of(text: &str, position: usize) -> usize {
    let before = &text.as_bytes()[..position.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

impl FileSettings {
    fn unset_so_far(&self, setting: FileSetting, key: &str) -> Result<FileSetting, String> {
        if self.settings.iter().any(|other| other.flag_id == setting.flag_id) {
            return Err(format!("{key} and its other name are both given, expected one of them"));
        }
        Ok(setting)
    }
}

fn setting(
    serve: &Command,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    line: usize,
) -> Result<FileSetting, String> {
    let arg = known(serve).find(|arg| has_name(arg, key)).ok_or_else(|| {
        let mut names: Vec<_> = known(serve).filter_map(Arg::get_long).collect();
        names.sort_unstable();
        format!("unknown key {key:?}, known are {}", names.join(", "))
    })?;
    let value = text(key, value.get_ref())?;
    check(arg, key, &value)?;
    let (flag_id, name) = (arg.get_id().to_string(), arg.get_long().unwrap_or(key).to_owned());
    Ok(FileSetting { flag_id, name, value, line })
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

fn text(key: &str, value: &DeValue<'_>) -> Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map(|number| number.to_string()).map_err(|error| format!("{key}: {error}"))
        }
        DeValue::Boolean(flag) => Ok(flag.to_string()),
        other => {
            Err(format!("{key} is of type {}, expected a string or a number", other.type_str()))
        }
    }
}

/// Checks a value as the flag's own would be checked.
fn check(arg: &Arg, key: &str, value: &str) -> Result<(), String> {
    let Some(long) = arg.get_long() else { return Ok(()) };
    let alone = Command::new("file").arg(arg.clone());
    let tried = alone.try_get_matches_from(["file".to_owned(), format!("--{long}={value}")]);
    let Err(error) = tried else { return Ok(()) };
    let rule = match (error.get(ContextKind::ValidValue), std::error::Error::source(&error)) {
        (Some(ContextValue::Strings(known)), _) if !known.is_empty() => {
            format!("expected {}", known.join(", "))
        }
        (_, Some(reason)) => reason.to_string(),
        _ => "it cannot be used".to_owned(),
    };
    // A flag that must not show its environment variable in the help is a secret.
    let shown =
        if arg.is_hide_env_values_set() { "not usable".into() } else { format!("{value:?}") };
    Err(format!("{key} is {shown}: {rule}"))
}

#[cfg(test)]
mod tests {
    use clap::Args;

    use super::*;
    use crate::config::args::ServeArgs;

    /// What a file with `text` sets, or what is wrong with it, after the file's name.
    fn parse(text: &str) -> Result<Vec<FileSetting>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let serve = ServeArgs::augment_args(Command::new("serve"));
        let place = format!("{}:", file.path().display());
        read(&serve, file.path())
            .map(|found| found.settings)
            .map_err(|error| error.strip_prefix(&place).expect(&error).to_owned())
    }

    #[test]
    fn a_key_sets_the_flag_of_its_name_or_of_its_old_name() {
        let cases = [
            ("max-viewers = 7", "max_viewers", "7"),
            ("max-viewers = 0x1_0", "max_viewers", "16"),
            ("data-dir = \"x\"", "data_dir", "x"),
            ("threads = 2", "threads", "2"),
            ("workers = 2", "threads", "2"),
        ];
        for (text, flag_id, value) in cases {
            let found = parse(text).unwrap();
            assert_eq!((&*found[0].flag_id, &*found[0].value), (flag_id, value), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_line() {
        let cases = [
            ("\nmax-viewer = 7", "2: unknown key \"max-viewer\", known are access-log, auth, "),
            ("config = \"x\"", "1: unknown key \"config\""),
            ("max-viewers = [7]", "1: max-viewers is of type array, expected a string or a number"),
            ("threads = 2\nworkers = 3", "2: workers and its other name are both given"),
            ("# a\n\nmax-viewers = \"many\"", "3: max-viewers is \"many\": invalid digit found"),
            ("auth = \"open\"", "1: auth is \"open\": expected jwt, none"),
            ("heartbeat = 15", "1: heartbeat is \"15\": time unit needed"),
            ("http-addr = \"localhost\"", "1: http-addr is \"localhost\": expected an IP address"),
            ("max-viewers = 7\nmax-viewers = 8", "2: duplicate key"),
            ("auth = \"none\"\nmax-viewers =\n", "2: "),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(expected), "{text:?}: {error}");
        }
    }

    #[test]
    fn no_error_shows_what_stands_in_a_secrets_line() {
        let lines = [
            "jwt-secret = tiger0tiger",
            "jwt-secret = \"tiger0tiger",
            "jwt-secret = 'tiger0tiger",
            "jwt-secret = \"tiger0\\tiger\" x",
            "jwt-secret = \"tiger0\\qtiger\"",
            "jwt-secret = [\"tiger0tiger\"]",
            "jwt-secret = { tiger0tiger = 1 }",
            "jwt-secret tiger0tiger",
            "jwt-secret = \"tiger0tiger\" tiger0tiger",
            "jwt-secret = \"a\"\njwt-secret = \"tiger0tiger\"",
        ];
        for line in lines {
            let error = parse(line).unwrap_err();
            assert!(!error.contains("tiger"), "{line:?}: {error}");
        }
    }
}
