//! What a request asks for: the task in its path, the parameters in its query.

pub(super) mod filter;
pub(super) mod params;
pub(super) mod task_path;
