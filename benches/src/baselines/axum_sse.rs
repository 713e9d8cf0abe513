//! axum's `Sse` over `tokio::sync::broadcast`: the event is built per subscriber.

use std::convert::Infallible;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use axum::routing::get;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;

/// More than the load is ever ahead, so that no subscriber lags.
const CHANNEL_EVENTS: usize = 8192;

#[derive(Clone)]
struct Published {
    id: u64,
    json: String,
}

type Events = broadcast::Sender<Published>;

async fn stream(
    State(events): State<Events>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = BroadcastStream::new(events.subscribe());
    Sse::new(events.filter_map(|event| async {
        let Published { id, json } = event.ok()?;
        Some(Ok(Event::default().event("log").id(id.to_string()).data(json)))
    }))
}

/// Serves until killed, on the default multi-thread runtime.
///
/// # Errors
/// When it cannot listen or the feed is broken.
pub fn run() -> Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let (events, _) = broadcast::channel(CHANNEL_EVENTS);
        let http = TcpListener::bind("127.0.0.1:0").await?;
        let feed = TcpListener::bind("127.0.0.1:0").await?;
        super::print_addrs(&[("http", http.local_addr()?), ("feed", feed.local_addr()?)]);
        let router = Router::new().route("/stream", get(stream)).with_state(events.clone());
        tokio::spawn(async move { axum::serve(http, router).await });
        loop {
            let (socket, _) = feed.accept().await?;
            publish(BufReader::new(socket), &events).await;
        }
    })
}

/// Publishes the feed's events until it ends.
async fn publish(mut feed: BufReader<tokio::net::TcpStream>, events: &Events) {
    for id in 1.. {
        let Ok(length) = feed.read_u32().await else { return };
        let mut json = vec![0; length as usize];
        if feed.read_exact(&mut json).await.is_err() {
            return;
        }
        let json = String::from_utf8_lossy(&json).into_owned();
        let _nobody_listens = events.send(Published { id, json });
    }
}
