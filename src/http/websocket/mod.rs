//! The same streams over WebSocket (RFC 6455).
//!
//! Each event is a text message, `{"event", "id", "data"}`, made from the frame that a stream of
//! server-sent events has: what is shared, bounded and resumed there is here too. The client may ask
//! for another stream, or for another filter of the same one, without a new connection.
//!
//! A client that reads nothing holds one chunk and a small buffer; it is disconnected after the
//! viewers' stall timeout, as any other.

mod connection_hold;
mod messages;
mod origin;
mod wishes;

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Uri};
use tokio::time::{Instant, sleep_until};
use tracing::{Instrument, Span};

use super::app_state::AppState;
use super::auth::identity::Identity;
use super::problem::Problem;
use super::sse::viewer::Viewer;
use super::stream::open_viewer;
use super::viewer_permits::Transport;
use crate::domain::Scope;
pub(super) use connection_hold::ConnectionHold;
use messages::{EndReason, answer, messages, refusal};
use wishes::{Subscription, Wish};

/// The largest message of a client, in bytes: a list of filters.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// What is written at once, in bytes, and what is read at once.
const WRITE_BUFFER_BYTES: usize = 32 * 1024;
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// How long a connection may be without a stream.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the client may take to answer a close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

type Sink = SplitSink<WebSocket, Message>;

/// Opens a WebSocket. The address's query may ask for the first stream.
pub(super) async fn open(
    State(state): State<AppState>,
    identity: Identity,
    Extension(hold): Extension<ConnectionHold>,
    uri: Uri,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Problem> {
    origin::check(&headers, state.frontend())?;
    let first = Subscription::of_address(&uri)?;
    let viewer = match first {
        Some(subscription) => Some(subscribe(&state, &identity, subscription).await?),
        None => None,
    };
    let upgrade = upgrade.map_err(|error| Problem::bad_request("no_websocket", error))?;
    let upgrade = upgrade
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES);
    // What it logs has the request's id, too.
    let span = Span::current();
    Ok(upgrade.on_upgrade(move |socket| {
        let serving = async move {
            let (sink, inbound) = socket.split();
            let disconnect = hold.disconnect.clone();
            let client = Client { state, identity, sink, viewer, idle_since: Instant::now() };
            disconnect.run_until_cancelled(client.run(inbound)).await;
            drop(hold);
        };
        serving.instrument(span)
    }))
}

async fn subscribe(
    state: &AppState,
    identity: &Identity,
    Subscription { scope, query }: Subscription,
) -> Result<Viewer, Problem> {
    if let Scope::Task(task) = &scope {
        identity.check(task)?;
    }
    open_viewer(state, identity, scope, query, Transport::WebSocket).await
}

/// A client that is connected.
struct Client {
    state: AppState,
    identity: Identity,
    sink: Sink,
    /// `None` while nothing is asked for.
    viewer: Option<Viewer>,
    idle_since: Instant,
}

/// What happens next.
enum Happening {
    Received(Option<Result<Message, axum::Error>>),
    Chunk(Option<Bytes>),
    Idle,
}

impl Client {
    /// Serves the client until one of both ends it.
    async fn run(mut self, mut inbound: SplitStream<WebSocket>) {
        match self.serve(&mut inbound).await {
            Ok(Some(reason)) => self.close(reason, inbound).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "a WebSocket ended early"),
        }
    }

    /// Why the server ends it; `None` where the client does.
    async fn serve(
        &mut self,
        inbound: &mut SplitStream<WebSocket>,
    ) -> Result<Option<EndReason>, axum::Error> {
        loop {
            match self.next(inbound).await {
                Happening::Received(None | Some(Ok(Message::Close(_)))) => return Ok(None),
                Happening::Received(Some(Ok(Message::Text(text)))) => self.on_wish(&text).await?,
                Happening::Received(Some(Ok(Message::Binary(_)))) => {
                    let problem = Problem::bad_request("invalid_message", "it must be text");
                    self.send(refusal(&problem)).await?;
                }
                Happening::Received(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
                Happening::Received(Some(Err(error))) => return Err(error),
                Happening::Chunk(Some(chunk)) => {
                    if let Some(viewer) = &mut self.viewer {
                        viewer.note_sent(chunk.len());
                    }
                    if let Some(reason) = self.send_events(&chunk).await? {
                        return Ok(Some(reason));
                    }
                }
                Happening::Chunk(None) => return Ok(Some(EndReason::Whole)),
                Happening::Idle => return Ok(Some(EndReason::Idle)),
            }
        }
    }

    async fn next(&mut self, inbound: &mut SplitStream<WebSocket>) -> Happening {
        let viewer = &mut self.viewer;
        let events = async {
            match viewer {
                Some(viewer) => Happening::Chunk(viewer.next().await),
                None => {
                    sleep_until(self.idle_since + IDLE_TIMEOUT).await;
                    Happening::Idle
                }
            }
        };
        tokio::select! {
            biased;
            received = inbound.next() => Happening::Received(received),
            happening = events => happening,
        }
    }

    /// Does what the client asks for, or says why not.
    async fn on_wish(&mut self, text: &str) -> Result<(), axum::Error> {
        let done = match Wish::read(text) {
            Ok(Wish::Subscribe(subscription)) => {
                let scope = subscription.scope.clone();
                // Its place is free for the next one.
                self.viewer = None;
                let opened = subscribe(&self.state, &self.identity, subscription).await;
                opened.map(|viewer| {
                    self.viewer = Some(viewer);
                    answer("subscribed", Some(&scope))
                })
            }
            Ok(Wish::Filter(filter)) => match &mut self.viewer {
                Some(viewer) => {
                    viewer.set_filter(filter);
                    Ok(answer("filtered", None))
                }
                None => Err(wishes::no_stream()),
            },
            Ok(Wish::Unsubscribe) => {
                self.viewer = None;
                Ok(answer("unsubscribed", None))
            }
            Err(problem) => Err(problem),
        };
        self.idle_since = Instant::now();
        self.send(done.unwrap_or_else(|problem| refusal(&problem))).await
    }

    /// Sends the events in `chunk`; returns the reason if they end the stream.
    async fn send_events(&mut self, chunk: &[u8]) -> Result<Option<EndReason>, axum::Error> {
        let mut reason = None;
        for message in messages(chunk) {
            reason = message.ends;
            self.sink.feed(Message::Text(message.text.into())).await?;
        }
        self.sink.flush().await?;
        Ok(reason)
    }

    async fn send(&mut self, text: String) -> Result<(), axum::Error> {
        self.sink.send(Message::Text(text.into())).await
    }

    /// Says why it ends, and waits a moment for the client to have read all of it.
    async fn close(mut self, reason: EndReason, mut inbound: SplitStream<WebSocket>) {
        self.viewer = None;
        let (code, text) = match reason {
            EndReason::Whole => (close_code::NORMAL, "nothing more comes"),
            EndReason::Idle => (close_code::NORMAL, "no stream was asked for"),
            EndReason::Later => (close_code::AGAIN, "come back later"),
            EndReason::Refused => (close_code::POLICY, "see the last error"),
        };
        let frame = CloseFrame { code, reason: text.into() };
        let closing = async {
            self.sink.send(Message::Close(Some(frame))).await.ok();
            while let Some(Ok(_)) = inbound.next().await {}
        };
        tokio::time::timeout(CLOSE_TIMEOUT, closing).await.ok();
    }
}
