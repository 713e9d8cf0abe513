//! The flags that say when a task is complete.

use std::time::Duration;

/// When a task is complete.
#[derive(Debug, Clone, clap::Args)]
pub struct LifeCycleArgs {
    /// Count a task whose workers have all ended as complete when no new worker, line or stream came for this long
    #[arg(
        long,
        env = "OTTO_TASK_GRACE",
        default_value = "30s",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub task_grace: Duration,

    /// Count a worker as lost when its streams ended without a final status and nothing came for this long
    #[arg(
        long,
        env = "OTTO_WORKER_LOST_AFTER",
        default_value = "2m",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub worker_lost_after: Duration,

    /// Count a task as complete when nothing came for this long, even if its workers sent no final status
    #[arg(
        long,
        env = "OTTO_TASK_QUIET_PERIOD",
        default_value = "5m",
        value_name = "DURATION",
        value_parser = humantime::parse_duration,
        help_heading = "Times"
    )]
    pub task_quiet_period: Duration,
}
