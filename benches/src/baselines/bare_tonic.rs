//! tonic as its documentation shows it: prost messages and an ACK for each, nothing else.

use std::pin::Pin;

use anyhow::Result;
use futures_util::{Stream, StreamExt};
use otto_handler::proto::ottoscaler::otto_handler_log_service_server::{
    OttoHandlerLogService, OttoHandlerLogServiceServer,
};
use otto_handler::proto::ottoscaler::{
    LogForwardResponse, WorkerLogEntry, WorkerStatusAck, WorkerStatusNotification,
};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};

struct AckAll;

#[tonic::async_trait]
impl OttoHandlerLogService for AckAll {
    type ForwardWorkerLogsStream =
        Pin<Box<dyn Stream<Item = Result<LogForwardResponse, Status>> + Send>>;

    async fn forward_worker_logs(
        &self,
        request: Request<Streaming<WorkerLogEntry>>,
    ) -> Result<Response<Self::ForwardWorkerLogsStream>, Status> {
        let acks = request.into_inner().enumerate().map(|(index, entry)| {
            let _entry = entry?;
            Ok(LogForwardResponse { sequence: index as i64 + 1, ..Default::default() })
        });
        Ok(Response::new(Box::pin(acks)))
    }

    async fn notify_worker_status(
        &self,
        _request: Request<WorkerStatusNotification>,
    ) -> Result<Response<WorkerStatusAck>, Status> {
        Ok(Response::new(WorkerStatusAck::default()))
    }
}

/// Serves until killed, on the default multi-thread runtime.
///
/// # Errors
/// When it cannot listen.
pub fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let incoming = TcpIncoming::bind("127.0.0.1:0".parse()?)?.with_nodelay(Some(true));
        super::print_addrs(&[("grpc", incoming.local_addr()?)]);
        Ok(Server::builder()
            .add_service(OttoHandlerLogServiceServer::new(AckAll))
            .serve_with_incoming(incoming)
            .await?)
    })
}
