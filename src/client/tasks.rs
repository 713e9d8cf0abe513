//! Asks a server for tasks, without their logs.

use reqwest::{StatusCode, Url, header};
use serde::{Deserialize, Serialize};

use super::away::no_answer;
use super::follow::{UrlError, list_url, task_url};
use super::https;
use crate::domain::{Outcome, TaskId};

/// What a server tells of a task; members that nobody here asks for are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskInfo {
    /// Its id.
    pub task_id: String,
    /// `running` or `complete`.
    pub state: String,
    /// How it ended; `None` while it runs.
    #[serde(default)]
    pub outcome: Option<Outcome>,
    /// Whether a worker failed.
    #[serde(default)]
    pub failed: bool,
    /// Its last line's number.
    pub lines: u64,
    /// Lines that are missing.
    pub lost_lines: u64,
    /// Bytes that are kept.
    pub bytes: u64,
    /// When its last entry came, RFC 3339.
    pub last_time: String,
    /// How many workers it has.
    #[serde(default)]
    pub worker_counts: WorkerTotals,
}

/// How many workers a task has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerTotals {
    /// All of them.
    pub total: u32,
    /// Those that failed.
    pub failed: u32,
    /// Those of whom a stream was cut.
    #[serde(default)]
    pub cut: u32,
}

/// A page of the list, the task with the newest entry first.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskList {
    /// The tasks.
    pub tasks: Vec<TaskInfo>,
    #[serde(rename = "nextCursor")]
    next_cursor: Option<String>,
    /// What older servers call it.
    next: Option<String>,
}

impl TaskList {
    /// The `cursor` of the next page.
    pub fn next_cursor(&self) -> Option<&str> {
        self.next_cursor.as_deref().or(self.next.as_deref())
    }
}

/// Why a server does not tell.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The address cannot be used.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// No answer, or not a whole one.
    #[error("{0}")]
    Unreachable(String),
    /// The server refused.
    #[error("the server refused with {status}{detail}")]
    Refused {
        /// The status code.
        status: u16,
        /// What it said; begins with `: ` unless it is empty.
        detail: String,
    },
}

impl TasksError {
    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Url(_) | Self::Unreachable(_) => None,
        }
    }
}

/// Asks one server.
#[derive(Debug, Clone)]
pub struct TasksClient {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
}

impl TasksClient {
    /// Asks the server at `base`, with `token` where one is needed.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        let token = token.map(str::to_owned);
        Self { http: https::client(), base: base.to_owned(), token }
    }

    /// What the server tells of `task`; `None` where it has none.
    ///
    /// # Errors
    /// When it cannot be reached, or refuses.
    pub async fn task(&self, task: &TaskId) -> Result<Option<TaskInfo>, TasksError> {
        match self.get(task_url(&self.base, task)?).await {
            Err(TasksError::Refused { status: 404, .. }) => Ok(None),
            found => found.map(Some),
        }
    }

    /// A page of the list; `query` has names and values of its parameters.
    ///
    /// # Errors
    /// When the server cannot be reached, or refuses.
    pub async fn list(&self, query: &[(&str, &str)]) -> Result<TaskList, TasksError> {
        let mut url = list_url(&self.base)?;
        url.query_pairs_mut().extend_pairs(query);
        self.get(url).await
    }

    async fn get<T: for<'a> Deserialize<'a>>(&self, url: Url) -> Result<T, TasksError> {
        let unreachable = |error: reqwest::Error| TasksError::Unreachable(no_answer(&url, &error));
        let mut request = self.http.get(url.clone());
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body = response.bytes().await.map_err(unreachable)?;
        if status != StatusCode::OK {
            let problem: Option<Problem> = serde_json::from_slice(&body).ok();
            let detail = problem.map_or(String::new(), |problem| format!(": {}", problem.detail));
            return Err(TasksError::Refused { status: status.as_u16(), detail });
        }
        serde_json::from_slice(&body).map_err(|error| {
            TasksError::Unreachable(format!("the answer from {url} cannot be read: {error}"))
        })
    }
}
