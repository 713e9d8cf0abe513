//! `tail`: follows a task's log in a terminal.

mod events;
mod parts;
mod render;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Instant;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;

use crate::cli::exit;
use crate::client::follow::{
    AtEnd, Follow, FollowOptions, Update, is_task_known, task_page_url, task_stream_url,
};
use crate::domain::TaskId;
use events::{Tail, TailEnd};
use render::{Format, Renderer};

/// Follow a task's log until the task is complete; resumes by itself after a break
///
/// Lines go to standard output, everything else to standard error. A line is printed as a
/// terminal would have shown it: it can move no cursor and set no title. Lines that a worker
/// wrote to its standard error begin with `! `; once a second worker shows up, each line names
/// its worker.
///
/// Exit code: 0 when the task succeeded, 1 when it failed, 6 when it was terminated, 3 when nothing
/// told how it ended, 4 when there is no such task, 5 when it gave up, 2 when the server refused.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's HTTP address
    #[arg(long, env = "OTTO_TAIL_URL", default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// The task to follow
    #[arg(value_name = "TASK", required_unless_present = "task")]
    pub id: Option<TaskId>,
    /// The same, where TASK is not given
    #[arg(long, env = "OTTO_TAIL_TASK", value_name = "ID")]
    pub task: Option<TaskId>,
    /// Wait for a task that is not there yet
    #[arg(long, env = "OTTO_TAIL_WAIT", value_parser = BoolishValueParser::new())]
    pub wait: bool,
    /// Give up when nothing has come from the server for this long; without it, never
    #[arg(long, env = "OTTO_TAIL_GIVE_UP_AFTER", value_name = "TIME")]
    pub give_up_after: Option<humantime::Duration>,
    /// Only what was received at this time or later, in RFC 3339
    #[arg(long, env = "OTTO_TAIL_SINCE", value_name = "TIME")]
    pub since: Option<jiff::Timestamp>,
    /// Print only the log and what goes wrong
    #[arg(long, short, env = "OTTO_TAIL_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
    /// Bearer token, see `otto-handler token`
    #[arg(long, env = "OTTO_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Only lines of these levels, separated by commas
    #[arg(long, env = "OTTO_TAIL_LEVEL", value_name = "LEVEL,...")]
    pub level: Option<String>,
    /// Only lines of these sources, separated by commas
    #[arg(long, env = "OTTO_TAIL_SOURCE", value_name = "SOURCE,...")]
    pub source: Option<String>,
    /// Only lines of these workers, separated by commas
    #[arg(long, env = "OTTO_TAIL_WORKER", value_name = "ID,...")]
    pub worker: Option<String>,
    /// Only lines that contain one of these texts, separated by commas
    #[arg(long, env = "OTTO_TAIL_KEYWORDS", value_name = "TEXT,...")]
    pub keywords: Option<String>,
    /// Where to begin: `start`, `now`, or after an event id
    #[arg(long, env = "OTTO_TAIL_FROM", value_name = "start|now|ID")]
    pub from: Option<String>,
    /// Begin with the last N lines
    #[arg(long, env = "OTTO_TAIL_TAIL", value_name = "N", conflicts_with = "from")]
    pub tail: Option<u64>,
    /// Print each event as JSON, one object a line with `event` and `id`, instead of text
    #[arg(long, env = "OTTO_TAIL_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Print messages as they were sent, and nothing else: they may control your terminal
    #[arg(long, env = "OTTO_TAIL_RAW", value_parser = BoolishValueParser::new(), conflicts_with = "json")]
    pub raw: bool,
    /// End at the log's current end
    #[arg(long, env = "OTTO_TAIL_NO_FOLLOW", value_parser = BoolishValueParser::new())]
    pub no_follow: bool,
    /// Colours; `auto` is on in a terminal unless NO_COLOR is set
    #[arg(long, env = "OTTO_TAIL_COLOR", value_name = "WHEN", default_value = "auto")]
    pub color: ColorChoice,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// In a terminal.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Runs the command.
///
/// # Errors
/// When the address cannot be used, or standard output cannot be written (but for a closed pipe).
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let task = args.id.as_ref().or(args.task.as_ref()).expect("clap asks for one");
    let options = match options(&args, task) {
        Ok(options) => options,
        Err(error) => return Ok(fail(&error.to_string(), exit::USAGE)),
    };
    if !args.wait && is_task_known(&args.url, task, args.token.as_deref()).await == Some(false) {
        let text = format!("there is no task {task} at {}; --wait waits for it", args.url);
        return Ok(fail(&text, exit::NO_TASK));
    }
    if !args.quiet {
        eprintln!("otto-handler tail: in a browser: {}", task_page_url(&args.url, task)?);
    }
    let mut follow = Follow::new(options)?;
    let output = io::BufWriter::new(io::stdout());
    let mut tail = Tail::new(task.clone(), Renderer::new(format(&args)), output);
    match follow_to_end(&mut follow, &mut tail, &args).await {
        Ok(TailEnd::Ended) => Ok(ExitCode::from(tail.exit_code())),
        Ok(TailEnd::Refused(reason)) => Ok(fail(&reason, exit::USAGE)),
        Ok(TailEnd::GaveUp(reason)) => Ok(fail(&reason, exit::GAVE_UP)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

fn fail(reason: &str, code: u8) -> ExitCode {
    eprintln!("otto-handler tail: {reason}");
    ExitCode::from(code)
}

async fn follow_to_end<W: Write>(
    follow: &mut Follow,
    tail: &mut Tail<W>,
    args: &Args,
) -> io::Result<TailEnd> {
    let mut failing_since: Option<Instant> = None;
    loop {
        let update = match follow.next().await {
            Ok(Some(update)) => update,
            Ok(None) => return tail.flush().map(|()| TailEnd::Ended),
            Err(error) => return tail.flush().map(|()| TailEnd::Refused(error.to_string())),
        };
        let end = match update {
            Update::Event(event) => {
                failing_since = None;
                tail.on_event(&event)?
            }
            Update::Disconnected { reason, retry_in } => {
                let failing = failing_since.get_or_insert_with(Instant::now).elapsed();
                if args.give_up_after.is_some_and(|limit| failing >= *limit) {
                    let seconds = failing.as_secs();
                    let text = format!("gave up after {seconds} s without an event: {reason}");
                    return tail.flush().map(|()| TailEnd::GaveUp(text));
                }
                let seconds = retry_in.as_secs_f32();
                eprintln!("otto-handler tail: {reason}; trying again in {seconds:.1} s");
                None
            }
        };
        if end.is_some() || !follow.has_ready() {
            tail.flush()?;
        }
        if let Some(end) = end {
            return Ok(end);
        }
    }
}

fn options(args: &Args, task: &TaskId) -> anyhow::Result<FollowOptions> {
    let mut url = task_stream_url(&args.url, task)?;
    let since = args.since.map(|time| time.to_string());
    let tail = args.tail.map(|lines| lines.to_string());
    let parameters = [
        ("level", &args.level),
        ("source", &args.source),
        ("workerId", &args.worker),
        ("keywords", &args.keywords),
        ("from", &args.from),
        ("tail", &tail),
        ("since", &since),
        ("follow", &args.no_follow.then(|| "false".to_owned())),
    ];
    for (name, value) in parameters {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    let mut options = FollowOptions::new(url);
    options.token.clone_from(&args.token);
    options.at_end = if args.no_follow { AtEnd::Finish } else { AtEnd::Reconnect };
    Ok(options)
}

fn format(args: &Args) -> Format {
    let has_no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_colored = match args.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stdout().is_terminal() && !has_no_color,
    };
    match is_colored {
        _ if args.json => Format::Json,
        _ if args.raw => Format::Raw,
        true => Format::Colored,
        false => Format::Plain,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_arguments_become_the_query() {
        let line = "tail a/b --level ERROR,WARN --worker w --tail 10 --no-follow";
        let args = Command::parse_from(line.split(' ')).args;
        let options = options(&args, args.id.as_ref().unwrap()).unwrap();
        assert_eq!(
            options.url.as_str(),
            "http://127.0.0.1:4000/api/v1/log-streaming/stream/a%2Fb\
             ?level=ERROR%2CWARN&workerId=w&tail=10&follow=false"
        );
        assert_eq!(options.at_end, AtEnd::Finish);
    }
}
