//! `tasks`: lists a server's tasks.

use std::io::{self, Write};
use std::process::ExitCode;

use clap::ValueEnum;
use clap::builder::BoolishValueParser;

use super::address::http_url_text;
use super::exit;
use super::token_hint::with_hint;
use crate::client::tasks::{TaskInfo, TasksClient, TasksError};
use crate::domain::{Outcome, describe_lost};

/// The most that a page of the list holds.
const PAGE: usize = 1000;

/// List tasks, the one with the newest line first
///
///   otto-handler tasks --state running
///   otto-handler tasks --outcome failed --name nightly
///
/// Exit code: 0 the list was printed, 2 the server refused, 5 it cannot be reached.
#[derive(Debug, Clone, clap::Args)]
#[command(verbatim_doc_comment)]
pub(super) struct Args {
    /// The server's HTTP address; https:// uses the system's certificates (SSL_CERT_FILE)
    #[arg(long, env = "OTTO_TASKS_URL", value_name = "URL", value_parser = http_url_text, default_value = "http://127.0.0.1:4000")]
    pub url: String,
    /// Bearer token, see `otto-handler token`
    #[arg(long, env = "OTTO_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Only tasks in this state
    #[arg(long, env = "OTTO_TASKS_STATE")]
    pub state: Option<ListedState>,
    /// Only complete tasks that ended like this: succeeded, failed, terminated, lost or unknown
    #[arg(long, env = "OTTO_TASKS_OUTCOME", value_name = "OUTCOME")]
    pub outcome: Option<Outcome>,
    /// Only tasks whose id contains this text, in any case
    #[arg(long, env = "OTTO_TASKS_NAME", value_name = "TEXT")]
    pub name: Option<String>,
    /// How many at most; 0 for all
    #[arg(long, env = "OTTO_TASKS_LIMIT", value_name = "N", default_value_t = 100)]
    pub limit: u32,
    /// Print one JSON object a line instead of a table
    #[arg(long, env = "OTTO_TASKS_JSON", value_parser = BoolishValueParser::new())]
    pub json: bool,
}

/// Whether more of a task is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ListedState {
    /// More is.
    Running,
    /// Nothing more is.
    Complete,
}

/// Runs the command.
///
/// # Errors
/// When standard output cannot be written, but for a closed pipe.
pub(super) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let tasks = match list(&args).await {
        Ok(tasks) => tasks,
        Err(error) => {
            let reason = with_hint(error.to_string(), error.status(), args.token.is_some());
            eprintln!("otto-handler tasks: {reason}");
            let is_away = matches!(error, TasksError::Unreachable(_));
            return Ok(ExitCode::from(if is_away { exit::GAVE_UP } else { exit::USAGE }));
        }
    };
    let mut output = io::BufWriter::new(io::stdout());
    let written = if args.json { json(&tasks, &mut output) } else { table(&tasks, &mut output) };
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::from(exit::SUCCESS)),
    }
}

async fn list(args: &Args) -> Result<Vec<TaskInfo>, TasksError> {
    let client = TasksClient::new(&args.url, args.token.as_deref());
    let limit = if args.limit == 0 { usize::MAX } else { args.limit as usize };
    let mut tasks = Vec::new();
    let mut cursor = None;
    loop {
        let page_limit = (limit - tasks.len()).min(PAGE).to_string();
        let mut query = vec![("limit", page_limit.as_str())];
        let state = args.state.map(|state| match state {
            ListedState::Running => "running",
            ListedState::Complete => "complete",
        });
        let parameters = [
            ("state", state),
            ("outcome", args.outcome.map(Outcome::as_str)),
            ("name", args.name.as_deref()),
            ("cursor", cursor.as_deref()),
        ];
        query.extend(parameters.iter().filter_map(|(name, value)| Some((*name, (*value)?))));
        let page = client.list(&query).await?;
        cursor = page.next_cursor().map(str::to_owned);
        tasks.extend(page.tasks);
        if cursor.is_none() || tasks.len() >= limit {
            return Ok(tasks);
        }
    }
}

fn json(tasks: &[TaskInfo], output: &mut impl Write) -> io::Result<()> {
    tasks.iter().try_for_each(|task| {
        serde_json::to_writer(&mut *output, task)?;
        writeln!(output)
    })
}

fn table(tasks: &[TaskInfo], output: &mut impl Write) -> io::Result<()> {
    let rows: Vec<_> = tasks.iter().map(row).collect();
    let head = ["TASK", "STATE", "WORKERS", "LINES", "LOST", "SIZE", "LAST LINE"];
    let mut widths = head.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let head = head.map(str::to_owned);
    for row in std::iter::once(&head).chain(&rows) {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(output, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

fn row(task: &TaskInfo) -> [String; 7] {
    let running = if task.failed { "failing" } else { "running" };
    let workers = task.worker_counts;
    let failed =
        if workers.failed > 0 { format!(" ({} failed)", workers.failed) } else { String::new() };
    [
        task.task_id.clone(),
        task.outcome.map_or(running, Outcome::as_str).to_owned(),
        format!("{}{failed}", workers.total),
        task.lines.to_string(),
        describe_lost(task.lost_lines, workers.cut),
        bytesize::ByteSize(task.bytes).to_string(),
        task.last_time.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::tasks::WorkerTotals;

    #[test]
    fn a_table_has_a_column_as_wide_as_its_widest_cell() {
        let task = |id: &str, outcome, failed| TaskInfo {
            task_id: id.into(),
            state: "complete".into(),
            outcome,
            failed: failed > 0,
            lines: 12,
            lost_lines: 0,
            bytes: 2048,
            last_time: "2026-11-28T10:00:00.000Z".into(),
            worker_counts: WorkerTotals { total: 2, failed, cut: failed },
        };
        let mut table_text = Vec::new();
        let tasks = [task("a-long-build", Some(Outcome::Lost), 0), task("b", None, 1)];
        table(&tasks, &mut table_text).unwrap();
        let expected = "\
TASK          STATE    WORKERS       LINES  LOST  SIZE     LAST LINE
a-long-build  lost     2             12     0     2.0 KiB  2026-11-28T10:00:00.000Z
b             failing  2 (1 failed)  12     some  2.0 KiB  2026-11-28T10:00:00.000Z
";
        assert_eq!(String::from_utf8(table_text).unwrap(), expected);
    }
}
