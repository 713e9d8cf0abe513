//! Event streams (WHATWG HTML "Server-sent events" §9.2.6), read with a limit on an event's size.
//!
//! Bytes go in as they arrive, events come out; where the chunks are cut never matters. The
//! grammar is `sse-core`'s. A parser holds what was pushed and not parsed yet, and of one event
//! at most the limit for its data, its type and its id each.
//!
//! ```
//! use otto_handler::client::sse::Parser;
//! let mut parser = Parser::new(1024);
//! parser.push(b"id: 7\ndata: hel");
//! assert_eq!(parser.next_event(), Ok(None));
//! parser.push(b"lo\n\n");
//! let event = parser.next_event().unwrap().unwrap();
//! assert_eq!((event.event.as_str(), event.id.as_str(), event.data.as_str()), ("message", "7", "hello"));
//! ```

use std::num::NonZeroUsize;
use std::time::Duration;

use bytes::BytesMut;
use sse_core::{MessageEvent, SseDecoder, SseEvent};

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its type; `message` when the stream named none.
    pub event: String,
    /// The last event id at that point, its own or an earlier one's; empty when there was none.
    pub id: String,
    /// Its data lines, joined by `\n`.
    pub data: String,
}

impl From<MessageEvent> for Event {
    fn from(message: MessageEvent) -> Self {
        let id = message.last_event_id.as_deref().unwrap_or_default().to_owned();
        Self { event: message.event.into_owned(), id, data: message.data }
    }
}

/// An event is larger than the parser's limit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("an event is larger than {limit_bytes} bytes, the limit")]
pub struct TooLarge {
    /// The limit.
    pub limit_bytes: usize,
}

/// An incremental parser for one stream.
#[derive(Debug)]
pub struct Parser {
    limit_bytes: NonZeroUsize,
    decoder: SseDecoder,
    /// Received and not parsed yet.
    pending: BytesMut,
    retry: Option<Duration>,
}

impl Parser {
    /// A parser that takes events of up to `limit_bytes`, one at least.
    pub fn new(limit_bytes: usize) -> Self {
        Self::resuming(limit_bytes, "")
    }

    /// A parser for a stream that was requested with `last_event_id`.
    pub fn resuming(limit_bytes: usize, last_event_id: &str) -> Self {
        let limit_bytes = NonZeroUsize::new(limit_bytes).unwrap_or(NonZeroUsize::MIN);
        let mut decoder = SseDecoder::with_limit(limit_bytes);
        let id = Some(last_event_id).filter(|id| !id.is_empty());
        decoder.reconnect_with_id(id.map(Into::into));
        Self { limit_bytes, decoder, pending: BytesMut::new(), retry: None }
    }

    /// Takes bytes as they arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next whole event; `None` until more bytes are pushed.
    ///
    /// # Errors
    /// When an event is larger than the limit; what follows it can still be read.
    pub fn next_event(&mut self) -> Result<Option<Event>, TooLarge> {
        while let Some(decoded) = self.decoder.next(&mut self.pending) {
            match decoded {
                Ok(SseEvent::Message(message)) => return Ok(Some(message.into())),
                Ok(SseEvent::Retry(ms)) => self.retry = Some(Duration::from_millis(ms.into())),
                Err(_) => return Err(TooLarge { limit_bytes: self.limit_bytes.get() }),
            }
        }
        Ok(None)
    }

    /// Where to resume: the id of the last event, also of one that only carried an id.
    pub fn last_event_id(&self) -> &str {
        self.decoder.last_event_id().map_or("", |id| id)
    }

    /// Takes the reconnection time that the stream last asked for.
    pub fn take_retry(&mut self) -> Option<Duration> {
        self.retry.take()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMIT_BYTES: usize = 1 << 20;

    fn event(event: &str, id: &str, data: &str) -> Event {
        Event { event: event.into(), id: id.into(), data: data.into() }
    }

    fn parse(chunks: &[&[u8]]) -> (Vec<Event>, String, Option<Duration>) {
        let mut parser = Parser::new(LIMIT_BYTES);
        let mut events = Vec::new();
        for chunk in chunks {
            parser.push(chunk);
            while let Some(event) = parser.next_event().unwrap() {
                events.push(event);
            }
        }
        let last_event_id = parser.last_event_id().to_owned();
        (events, last_event_id, parser.take_retry())
    }

    fn events_of(text: &str) -> Vec<Event> {
        parse(&[text.as_bytes()]).0
    }

    #[test]
    fn the_standards_examples_parse_as_it_says() {
        let stocks = "data: YHOO\ndata: +2\ndata: 10\n\n";
        assert_eq!(events_of(stocks), [event("message", "", "YHOO\n+2\n10")]);

        let ids = ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n";
        let expected = [
            event("message", "1", "first event"),
            event("message", "", "second event"),
            event("message", "", " third event"),
        ];
        assert_eq!(events_of(ids), expected);

        let blanks = "data\n\ndata\ndata\n\ndata:";
        assert_eq!(events_of(blanks), [event("message", "", ""), event("message", "", "\n")]);

        assert_eq!(events_of("data:test\n\ndata: test\n\n").len(), 2);
    }

    #[test]
    fn cr_lf_and_crlf_all_end_lines() {
        let mixed = "event: a\rdata: 1\r\rdata: 2\r\n\r\ndata: 3\n\n";
        let expected = [event("a", "", "1"), event("message", "", "2"), event("message", "", "3")];
        assert_eq!(events_of(mixed), expected);
    }

    #[test]
    fn an_event_ended_by_cr_comes_at_once_and_the_lf_after_it_ends_no_second_line() {
        let mut parser = Parser::new(LIMIT_BYTES);
        parser.push(b"data: 1\r\n\r");
        assert_eq!(parser.next_event(), Ok(Some(event("message", "", "1"))));
        parser.push(b"\ndata: 2\n\n");
        assert_eq!(parser.next_event(), Ok(Some(event("message", "", "2"))));
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_start() {
        assert_eq!(events_of("\u{feff}data: 1\n\n\u{feff}data: 2\n\n").len(), 1);
    }

    #[test]
    fn an_id_with_nul_is_ignored() {
        assert_eq!(events_of("id: 1\nid: 2\0\ndata: x\n\n"), [event("message", "1", "x")]);
    }

    #[test]
    fn an_id_alone_moves_the_resume_point_and_an_unfinished_event_does_not() {
        let (events, last_event_id, _) = parse(&[b"id: 5\n\nid: 6\ndata: cut"]);
        assert!(events.is_empty());
        assert_eq!(last_event_id, "5");
    }

    #[test]
    fn retry_takes_digits_only() {
        assert_eq!(parse(&[b"retry: 2500\n"]).2, Some(Duration::from_millis(2500)));
        for bad in ["retry: +1\n", "retry: 1s\n", "retry:\n", "retry: -1\n"] {
            assert_eq!(parse(&[bad.as_bytes()]).2, None, "{bad:?}");
        }
    }

    #[test]
    fn an_event_type_without_data_does_not_leak_into_the_next_event() {
        assert_eq!(events_of("event: a\n\ndata: x\n\n"), [event("message", "", "x")]);
    }

    #[test]
    fn invalid_utf8_becomes_replacement_characters() {
        let (events, ..) = parse(&[b"data: a\xff\xe2\x82\n\n"]);
        assert_eq!(events, [event("message", "", "a\u{fffd}\u{fffd}")]);
    }

    #[test]
    fn an_event_above_the_limit_is_refused_whether_in_one_line_or_in_many() {
        let long = "x".repeat(101);
        let many_lines = "data: 0123456789\n".repeat(10);
        for text in [
            format!("data: {long}"),
            many_lines,
            "data\n".repeat(102),
            format!("id: {long}"),
            format!("event: {long}"),
        ] {
            let mut parser = Parser::new(100);
            parser.push(text.as_bytes());
            assert_eq!(parser.next_event(), Err(TooLarge { limit_bytes: 100 }), "{text:?}");
        }
    }

    #[test]
    fn comments_and_unknown_fields_of_any_length_take_no_memory() {
        let mut parser = Parser::new(100);
        for start in [":", "unknown: "] {
            parser.push(start.as_bytes());
            for _ in 0..100 {
                parser.push(&[b'x'; 1000]);
                assert_eq!(parser.next_event(), Ok(None));
                assert!(parser.pending.is_empty());
            }
            parser.push(b"\n");
        }
        parser.push(b"data: 1\n\n");
        assert_eq!(parser.next_event(), Ok(Some(event("message", "", "1"))));
    }

    fn stream_text() -> impl Strategy<Value = Vec<u8>> {
        let token = prop::sample::select(vec![
            "\r",
            "\n",
            "\r\n",
            "\n\n",
            "data",
            "data: x",
            "data:é",
            "event: log",
            "id: 1",
            "id: 2\0",
            "retry: 10",
            ":",
            " ",
            "\u{feff}",
            "ü",
            "0",
        ]);
        let broken = prop::sample::select(vec![&b"\xff"[..], b"\xe2\x82", b"\0"]);
        let piece = prop_oneof![9 => token.prop_map(str::as_bytes), 1 => broken];
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn where_chunks_are_cut_never_matters(
            text in stream_text(),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let chunks: Vec<_> = cuts.windows(2).map(|pair| &text[pair[0]..pair[1]]).collect();
            prop_assert_eq!(parse(&chunks), parse(&[&text]));
        }

        #[test]
        fn written_events_are_read_back(written in prop::collection::vec(
            ("[a-z]{1,8}", "[0-9a-f]{1,8}", "[^\r\n\0]{0,30}(\n[^\r\n\0]{0,30}){0,3}"), 0..20,
        )) {
            let text: String = written.iter().map(|(name, id, data)| {
                let data = data.replace('\n', "\ndata: ");
                format!("event: {name}\nid: {id}\ndata: {data}\n\n")
            }).collect();
            let expected: Vec<_> =
                written.iter().map(|(name, id, data)| event(name, id, data)).collect();
            prop_assert_eq!(events_of(&text), expected);
        }
    }
}
