//! The calls that do not push: how many there may be, and what bounds their messages.

use std::sync::Arc;

use http::Request;
use tonic::Status;
use tonic::body::Body;

use super::bounded_body::{BoundedBody, MessageLimit};
use super::hold::CallHold;
use super::unpacked_body::UnpackedBody;
use crate::grpc::connection::ConnectionInfo;
use crate::grpc::framing::{ENCODING, Packing};
use crate::ingest::{Intake, StreamBudget};
use crate::permits::Permits;

/// Calls at once, beside those that push. Each may have a stream window of unread bytes.
const MAX_CALLS: usize = 2048;

/// Decides what calls that do not push may take. Clones share the numbers.
#[derive(Clone)]
pub(in crate::grpc) struct Calls(Arc<SharedCalls>);

struct SharedCalls {
    intake: Intake,
    permits: Permits,
    limit: Box<dyn Fn(&str) -> MessageLimit + Send + Sync>,
}

impl Calls {
    /// Calls whose messages are bounded by what `limit` says of their path.
    pub(in crate::grpc) fn new(
        intake: Intake,
        limit: impl Fn(&str) -> MessageLimit + Send + Sync + 'static,
    ) -> Self {
        let permits = Permits::new(MAX_CALLS);
        Self(Arc::new(SharedCalls { intake, permits, limit: Box::new(limit) }))
    }

    /// The same request with a bounded body, and what to hold until it is handled.
    ///
    /// # Errors
    /// When as many calls are open as may be, or the messages are packed in a way that is not taken.
    pub(in crate::grpc) fn admit(
        &self,
        request: Request<Body>,
    ) -> Result<(Request<Body>, CallHold), Status> {
        let Some(permit) = self.0.permits.try_acquire() else {
            self.0.intake.counters().refused_calls.add(1);
            let reason = format!("{MAX_CALLS} calls are open beside those that push, the limit");
            return Err(Status::resource_exhausted(reason));
        };
        let packing = Packing::of(request.headers())?;
        let hold = CallHold::new(permit);
        let limit = (self.0.limit)(request.uri().path());
        let budget = stream_budget(&self.0.intake, &request);
        let held = hold.clone();
        let mut request = request.map(|body| {
            let bounded = BoundedBody::new(body, (limit, packing), budget, held);
            match packing {
                Packing::Identity => Body::new(bounded),
                Packing::Gzip => Body::new(UnpackedBody::new(bounded, limit)),
            }
        });
        request.headers_mut().remove(ENCODING);
        Ok((request, hold))
    }
}

/// The way to memory for a call's messages, within what its connection may have.
pub(in crate::grpc) fn stream_budget<T>(intake: &Intake, request: &Request<T>) -> StreamBudget {
    let info = request.extensions().get::<ConnectionInfo>();
    let connection = info.map(|info| info.budget.clone());
    let connection = connection.unwrap_or_else(|| intake.budget().connection());
    StreamBudget::new(connection, intake.limits().stall_timeout)
}
