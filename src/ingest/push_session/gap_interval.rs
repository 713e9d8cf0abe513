//! How often a stream may write gaps and nothing else.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use tokio::time::{Sleep, sleep};

/// The time between two batches of a stream that hold only gaps. Lines that are refused meanwhile
/// are counted in the next one, so that whoever is refused cannot fill the log.
const GAP_INTERVAL: Duration = Duration::from_secs(1);

/// Runs for a while after a batch that held only gaps.
#[derive(Debug, Default)]
pub(super) struct GapInterval(Option<Pin<Box<Sleep>>>);

impl GapInterval {
    pub(super) fn begin(&mut self) {
        self.0 = Some(Box::pin(sleep(GAP_INTERVAL)));
    }

    /// Whether it runs; wakes when it does no more.
    pub(super) fn runs(&mut self, context: &mut Context<'_>) -> bool {
        let runs = self.0.as_mut().is_some_and(|sleep| sleep.as_mut().poll(context).is_pending());
        if !runs {
            self.0 = None;
        }
        runs
    }
}
