//! Where sessions read from.

use std::sync::Arc;

use super::ticks::Ticks;
use crate::hub::Hub;
use crate::store::Log;
use crate::tasks::Tasks;

/// Where sessions read from. Clones share it.
#[derive(Clone)]
pub struct Source {
    /// For entries before a window's start.
    pub log: Arc<dyn Log>,
    /// For the newest entries.
    pub hub: Hub,
    /// Tells when a task is complete.
    pub tasks: Tasks,
    /// When busy sessions read; an idle one reads at once.
    pub ticks: Ticks,
}
