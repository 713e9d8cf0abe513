//! Opening a viewer.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::ending::ViewerLog;
use super::{LargeEntry, Viewer, before};
use crate::domain::Epoch;
use crate::http::auth::access::Access;
use crate::http::reader_budget::ReaderBudget;
use crate::http::sse::frames::{self, Frames};
use crate::http::viewer_permits::ViewerPermit;
use crate::subscribe::{Filter, LineFilter, ReaderSession};

/// What a viewer is opened with.
pub(in crate::http) struct ViewerOptions {
    pub(in crate::http) session: ReaderSession,
    pub(in crate::http) epoch: Epoch,
    /// Which entries the viewer asked for.
    pub(in crate::http) filter: Filter,
    /// Which tasks it may see.
    pub(in crate::http) access: Access,
    /// Whether the first frame has an id, for a viewer that does not begin at the first entry: if
    /// it were cut off before its first event, it would miss what came in between.
    pub(in crate::http) send_position: bool,
    pub(in crate::http) heartbeat: Duration,
    /// In what time its token expires.
    pub(in crate::http) expires_in: Option<Duration>,
    pub(in crate::http) drain: CancellationToken,
    pub(in crate::http) budget: ReaderBudget,
    pub(in crate::http) permit: ViewerPermit,
    pub(in crate::http) log: ViewerLog,
}

impl Viewer {
    pub(in crate::http) fn open(options: ViewerOptions) -> Self {
        let ViewerOptions {
            session, filter, access, heartbeat, drain, budget, permit, log, ..
        } = options;
        let frames = Frames { epoch: options.epoch };
        let now = Instant::now();
        let mut greeting = frames::retry();
        if options.send_position {
            greeting.extend(frames.id_only(before(session.cursor())));
        }
        Self {
            session,
            frames,
            filter: (!filter.is_empty()).then(|| LineFilter::new(filter)),
            unknown_line: None,
            access,
            unsent: None,
            budget,
            large: LargeEntry::None,
            greeting: Some(greeting),
            hidden: None,
            next_id_only: now,
            heartbeat,
            next_heartbeat: now + heartbeat,
            expires_at: options.expires_in.and_then(|left| now.checked_add(left)),
            timer: Box::pin(sleep_until(now + heartbeat)),
            drain: Box::pin(drain.cancelled_owned()),
            has_ended: false,
            permit,
            log,
            rendered_entries: 0,
        }
    }
}
