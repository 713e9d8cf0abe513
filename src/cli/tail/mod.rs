//! `tail`: follows the logs of tasks in a terminal.

mod events;
mod follow;
mod parts;
mod printable;
mod render;
mod unfinished;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use clap::builder::BoolishValueParser;
use tokio::sync::mpsc;

use super::address::http_url_text;
use super::exit;
use super::token_hint::with_hint;
use crate::client::follow::{
    AtEnd, FollowOptions, append_keywords, task_page_url, task_stream_url,
};
use crate::client::tasks::TasksClient;
use crate::domain::{TaskId, now_ms};
use crate::encode::format_ms;
use events::{Outputs, Printer};
use follow::{Happening, TailEnd, TaskToFollow, follow};
use render::{Format, Look, Renderer};
use unfinished::UnfinishedRow;

/// What is read ahead of the printing, in events.
const READ_AHEAD: usize = 256;

/// Follow the logs of tasks until they are complete; resumes by itself after a break
///
///   otto-handler tail build-7
///
/// Lines go to standard output, everything else to standard error, in the log's order. A line is
/// printed as a terminal would have shown it: it can move no cursor and set no title. Lines that a
/// worker wrote to its standard error begin with `! `; once a second worker shows up, each line
/// names its worker, and with several tasks its task. In a terminal, what a worker has written
/// without a line feed, a prompt for example, stands below them until its line is finished.
///
/// Exit code: 0 every task succeeded (or, with --no-follow, runs without a failure), 1 one failed, 2 the arguments are wrong or the server refused, 3 nothing told how one ended (lost or
/// unknown), 4 there is no such task, 5 the server could not be reached, 6 one was terminated.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's HTTP address; https:// uses the system's certificates (SSL_CERT_FILE)
    #[arg(long, env = "OTTO_TAIL_URL", value_name = "URL", value_parser = http_url_text, default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// The tasks to follow
    #[arg(value_name = "TASK", required_unless_present = "task")]
    pub tasks: Vec<TaskId>,
    /// A task to follow; the same as naming it without the flag
    #[arg(long, env = "OTTO_TAIL_TASK", value_name = "ID", value_delimiter = ',')]
    pub task: Vec<TaskId>,
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
    #[arg(long, env = "OTTO_TAIL_KEYWORDS", value_name = "TEXT,...", value_delimiter = ',')]
    pub keywords: Vec<String>,
    /// Only lines that contain this text, which may have commas; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub keyword: Vec<String>,
    /// Where to begin: `start`, `now`, or after an event id
    #[arg(long, env = "OTTO_TAIL_FROM", value_name = "start|now|ID")]
    pub from: Option<String>,
    /// Only lines from this time on: RFC 3339, or how long ago, such as `10m`
    #[arg(long, env = "OTTO_TAIL_SINCE", value_name = "TIME")]
    pub since: Option<String>,
    /// Begin with the last N lines that pass the filter
    #[arg(long, env = "OTTO_TAIL_TAIL", value_name = "N", conflicts_with = "from")]
    pub tail: Option<u64>,
    /// Print every event as JSON, one object a line with `event`, `id` and `data`
    #[arg(long, env = "OTTO_TAIL_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
    /// Print messages as they were sent, and nothing else: they may control your terminal
    #[arg(long, env = "OTTO_TAIL_RAW", value_parser = BoolishValueParser::new(), conflicts_with = "json")]
    pub raw: bool,
    /// Begin each line with its time
    #[arg(long, short = 't', env = "OTTO_TAIL_TIMESTAMPS", value_parser = BoolishValueParser::new())]
    pub timestamps: bool,
    /// Wait for a task that does not exist yet
    #[arg(long, env = "OTTO_TAIL_WAIT", value_parser = BoolishValueParser::new())]
    pub wait: bool,
    /// Go on when a complete task is reopened by another line; never ends by itself
    #[arg(long, env = "OTTO_TAIL_FOLLOW_REOPENED", value_parser = BoolishValueParser::new(), conflicts_with = "no_follow")]
    pub follow_reopened: bool,
    /// End when the server could not be reached for this long; by default, and with 0, it is tried for ever
    #[arg(long, env = "OTTO_TAIL_GIVE_UP_AFTER", value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub give_up_after: Option<Duration>,
    /// Do not print the links to the viewer
    #[arg(long, short, env = "OTTO_TAIL_QUIET", value_parser = BoolishValueParser::new())]
    pub quiet: bool,
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
/// When standard output cannot be written, but for a closed pipe.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let row = if args.raw { UnfinishedRow::hidden() } else { UnfinishedRow::of_stdout() };
    let lines = io::BufWriter::new(io::stdout());
    let mut outputs = Outputs { lines, notices: io::stderr(), row };
    let tasks = match tasks(&args) {
        Ok(tasks) => tasks,
        Err(error) => {
            outputs.notice(&error.to_string())?;
            return Ok(ExitCode::from(exit::USAGE));
        }
    };
    if !args.quiet && !args.json {
        for task in &tasks {
            outputs.notice(&format!("in a browser: {}", task_page_url(&args.url, &task.task)?))?;
        }
    }
    match print_all(&args, tasks, &mut outputs).await {
        Ok(code) => Ok(ExitCode::from(code)),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        Err(error) => Err(error.into()),
    }
}

/// Follows `tasks` and prints what happens; the exit code when all have ended.
async fn print_all<L: Write, N: Write>(
    args: &Args,
    tasks: Vec<TaskToFollow>,
    outputs: &mut Outputs<L, N>,
) -> io::Result<u8> {
    let (sender, mut happenings) = mpsc::channel(READ_AHEAD);
    let mut printers = Vec::new();
    let client = TasksClient::new(&args.url, args.token.as_deref());
    let has_several = tasks.len() > 1;
    for (index, task) in tasks.into_iter().enumerate() {
        let prefix = has_several.then(|| task.task.to_string());
        let look = Look { format: format(args), has_times: args.timestamps, task: prefix };
        printers.push(Printer::new(task.task.clone(), Renderer::new(look)));
        tokio::spawn(follow(index, task, client.clone(), sender.clone()));
    }
    drop(sender);
    let mut worst = exit::SUCCESS;
    loop {
        let next = match happenings.try_recv() {
            Ok(next) => Some(next),
            Err(_) => {
                outputs.draw_row()?;
                happenings.recv().await
            }
        };
        outputs.erase_row()?;
        let Some((index, happening)) = next else { return Ok(worst) };
        let printer = &mut printers[index];
        match happening {
            Happening::Event(event) => printer.on_event(&event, outputs)?,
            Happening::Notice(text) => outputs.notice(&text)?,
            Happening::End(end) => {
                let (code, text) = exit_code(end, printer.task(), args.token.is_some());
                text.map_or(Ok(()), |text| outputs.notice(&text))?;
                worst = exit::worse(worst, code);
            }
        }
    }
}

/// The exit code of a task's end, and what is said to it.
fn exit_code(end: TailEnd, task: &TaskId, has_token: bool) -> (u8, Option<String>) {
    match end {
        TailEnd::Complete(outcome) => (exit::of_outcome(outcome), None),
        TailEnd::CaughtUp { has_failed: true } => (exit::TASK_FAILED, None),
        TailEnd::CaughtUp { has_failed: false } => (exit::SUCCESS, None),
        TailEnd::NoSuchTask => {
            let text = format!("there is no task {task} on the server; --wait waits for it");
            (exit::NO_TASK, Some(text))
        }
        TailEnd::Refused { reason, status } => {
            (exit::USAGE, Some(with_hint(reason, status, has_token)))
        }
        TailEnd::GaveUp(reason) => (exit::GAVE_UP, Some(reason)),
    }
}

/// What is to be followed, and how.
///
/// # Errors
/// When an address or a time cannot be used, or a task is named twice.
fn tasks(args: &Args) -> anyhow::Result<Vec<TaskToFollow>> {
    let mut named: Vec<&TaskId> = Vec::new();
    for task in args.tasks.iter().chain(&args.task) {
        ensure!(!named.contains(&task), "task {:?} is named twice", task.as_str());
        named.push(task);
    }
    named.into_iter().map(|task| to_follow(args, task)).collect()
}

fn to_follow(args: &Args, task: &TaskId) -> anyhow::Result<TaskToFollow> {
    let mut url = task_stream_url(&args.url, task)?;
    let since = args.since.as_deref().map(since);
    let filters = [
        ("level", &args.level),
        ("source", &args.source),
        ("workerId", &args.worker),
        ("since", &since),
    ];
    let keywords = keywords(args);
    let is_filtered = filters.iter().any(|(_, value)| value.is_some()) || !keywords.is_empty();
    let tail = args.tail.filter(|_| !is_filtered).map(|lines| lines.to_string());
    let follow = args.no_follow.then(|| "false".to_owned());
    let others = [("from", &args.from), ("tail", &tail), ("follow", &follow)];
    for (name, value) in filters.into_iter().chain(others) {
        if let Some(value) = value {
            url.query_pairs_mut().append_pair(name, value);
        }
    }
    if !keywords.is_empty() {
        append_keywords(&mut url, &keywords);
    }
    let mut stream = FollowOptions::new(url);
    stream.token.clone_from(&args.token);
    stream.at_end = if args.no_follow { AtEnd::Finish } else { AtEnd::Reconnect };
    Ok(TaskToFollow {
        task: task.clone(),
        stream,
        last_hits: args.tail.filter(|_| is_filtered).map(|lines| lines as usize),
        waits: args.wait,
        follows_reopened: args.follow_reopened,
        give_up_after: args.give_up_after.filter(|limit| !limit.is_zero()),
    })
}

fn keywords(args: &Args) -> Vec<&str> {
    let given = args.keywords.iter().chain(&args.keyword);
    given.map(|keyword| keyword.trim()).filter(|keyword| !keyword.is_empty()).collect()
}

/// A time as the server reads it; `text` may say how long ago.
fn since(text: &str) -> String {
    match humantime::parse_duration(text) {
        Ok(ago) => format_ms(now_ms().saturating_sub(ago.as_millis() as u64)),
        Err(_) => text.to_owned(),
    }
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

    fn to_follow_of(line: &str) -> anyhow::Result<Vec<TaskToFollow>> {
        let command = Command::try_parse_from(line.split(' '))?;
        tasks(&command.args)
    }

    #[test]
    fn each_keyword_is_a_parameter_of_its_own_and_one_with_a_comma_stays_whole() {
        let query = |arguments: &[&str]| {
            let command = Command::parse_from([&["tail", "t"], arguments].concat());
            let url = tasks(&command.args).unwrap().remove(0).stream.url;
            url.query().unwrap_or_default().to_owned()
        };
        assert_eq!(query(&["--keywords", "a, b,"]), "keywords=a&keywords=b");
        assert_eq!(query(&["--keyword", "3, found"]), "keywords=3%2C+found&keywords=");
        let both = query(&["--keyword", "3, found", "--keyword=x", "--keywords=y"]);
        assert_eq!(both, "keywords=y&keywords=3%2C+found&keywords=x");
        assert_eq!(query(&["--keyword", " "]), "");
    }

    #[test]
    fn the_arguments_become_the_query() {
        let line = "tail a/b --level ERROR,WARN --worker w --no-follow";
        let [task] = &to_follow_of(line).unwrap()[..] else { panic!("one task was named") };
        assert_eq!(
            task.stream.url.as_str(),
            "http://127.0.0.1:4000/api/v1/log-streaming/stream/a%2Fb\
             ?level=ERROR%2CWARN&workerId=w&follow=false"
        );
        assert_eq!((task.stream.at_end, task.last_hits), (AtEnd::Finish, None));
    }

    #[test]
    fn the_last_lines_are_counted_by_the_server_without_a_filter_and_here_with_one() {
        let all = &to_follow_of("tail t --tail 10").unwrap()[0];
        assert!(all.stream.url.query().is_some_and(|query| query == "tail=10"));
        let hits = &to_follow_of("tail t --tail 10 --keywords x").unwrap()[0];
        assert_eq!((hits.stream.url.query(), hits.last_hits), (Some("keywords=x"), Some(10)));
    }

    #[test]
    fn several_tasks_may_be_named_with_and_without_the_flag_but_none_twice() {
        assert_eq!(to_follow_of("tail a b --task c,d").unwrap().len(), 4);
        let twice = to_follow_of("tail a --task a").unwrap_err().to_string();
        assert_eq!(twice, "task \"a\" is named twice");
        assert!(to_follow_of("tail").unwrap_err().to_string().contains("TASK"));
    }

    #[test]
    fn a_time_may_be_how_long_ago() {
        assert_eq!(since("2026-11-28T10:00:00Z"), "2026-11-28T10:00:00Z");
        let ago = crate::encode::parse_ms(&since("10m")).unwrap();
        let expected = now_ms() - 600_000;
        assert!(expected.abs_diff(ago) < 60_000, "{ago} is not near {expected}");
    }
}
