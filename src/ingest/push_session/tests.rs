//! The session's state machine, on a real store whose disk can be held or made to fail.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use prost::Message;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;

use super::state::RETRY_THROTTLE_MS;
use super::throttle::ack_throttle_ms;
use super::*;
use crate::domain::TaskId;
use crate::encode::{LineLimits, WireLayout};
use crate::hub::Hub;
use crate::ingest::batch_builder::BatchBuilder;
use crate::ingest::{AckStatus, EntryReader, Limits};
use crate::proto::ottoscaler::WorkerLogEntry;
use crate::store::faults::FaultyDisk;
use crate::store::{self, Log, StoreOptions, TryAppendError};
use crate::tasks::{LifeCycle, Tasks};

const MAX_ENTRY_BYTES: usize = 200;

type Incoming = Result<IncomingEntry, &'static str>;
type Session = PushSession<BoxStream<'static, Incoming>, &'static str>;

/// A store and a way into it.
struct Fixture {
    disk: FaultyDisk,
    log: Arc<dyn Log>,
    intake: Intake,
    drain: CancellationToken,
    _dir: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Self {
        let (dir, disk) = (tempfile::tempdir().unwrap(), FaultyDisk::default());
        let options = StoreOptions {
            disk: Arc::new(disk.clone()),
            queue_bytes: 4096,
            ..StoreOptions::new(dir.path())
        };
        let log: Arc<dyn Log> = Arc::new(store::open(options, Box::new(|_, _| {})).unwrap());
        let stall_timeout = Duration::from_secs(30);
        let (entry_bytes, budget_bytes) = (MAX_ENTRY_BYTES, 1 << 24);
        let line_bytes = 2 * MAX_ENTRY_BYTES;
        let idle_ack = Limits::IDLE_ACK;
        let limits =
            Limits { entry_bytes, line_bytes, streams: 1, stall_timeout, idle_ack, budget_bytes };
        let tasks = Tasks::new(
            Arc::clone(&log),
            Hub::new(1 << 20),
            LifeCycle::without_grace(stall_timeout),
        );
        let drain = CancellationToken::new();
        let intake = Intake::new(Arc::clone(&log), tasks, limits, drain.clone());
        Self { disk, log, intake, drain, _dir: dir }
    }

    /// A session, and what its producer sends with.
    fn session(&self, mode: AckMode) -> (UnboundedSender<Incoming>, Session) {
        let (sender, receiver) = unbounded_channel();
        let inbound = UnboundedReceiverStream::new(receiver).boxed();
        let permit = self.intake.permit().unwrap();
        (sender, PushSession::new(self.intake.clone(), permit, mode, inbound))
    }

    /// Holds the disk and appends until the log's queue is full.
    fn fill_queue(&self) {
        self.disk.hold();
        let batch = |turn| {
            let mut builder = BatchBuilder::starting_at(1);
            builder.add(line(&format!("filler {turn}")));
            builder.finish().batch
        };
        let full = (0..).find_map(|turn| self.log.try_append(batch(turn)).err());
        assert!(matches!(full, Some(TryAppendError::Full(_))));
    }

    async fn lines_of(&self, task: &str) -> u64 {
        let known = self.log.task(&TaskId::new(task).unwrap()).await.unwrap();
        known.map_or(0, |task| task.last_line)
    }
}

fn read(entry: &WorkerLogEntry) -> IncomingEntry {
    let (entry_bytes, line_bytes) = (MAX_ENTRY_BYTES, 2 * MAX_ENTRY_BYTES);
    let limits = LineLimits { entry_bytes, line_bytes, encoded_bytes: 1 << 20 };
    let mut reader = EntryReader::new(WireLayout::WorkerLogEntry, limits);
    reader.read(&entry.encode_to_vec(), "2026-11-24T06:57:29.123Z")
}

fn wire(message: &str) -> WorkerLogEntry {
    let (task_id, worker_id) = ("filled".into(), "w".into());
    WorkerLogEntry { task_id, worker_id, message: message.into(), ..Default::default() }
}

/// A line of the task `filled`.
fn line(message: &str) -> IncomingEntry {
    read(&wire(message))
}

fn line_of(task: &str) -> IncomingEntry {
    read(&WorkerLogEntry { task_id: task.into(), ..wire("a line") })
}

/// A line of the task `filled` that breaks a rule.
fn refused(worker: &str) -> IncomingEntry {
    let metadata = [("otto.seq".to_owned(), "1".to_owned())].into();
    read(&WorkerLogEntry { worker_id: worker.into(), metadata, ..wire("refused") })
}

fn numbered(seq: u64) -> IncomingEntry {
    let metadata = [("otto.session", "s".to_owned()), ("otto.seq", seq.to_string())];
    let metadata = metadata.map(|(key, value)| (key.to_owned(), value)).into();
    read(&WorkerLogEntry { metadata, ..wire("numbered") })
}

fn kept(sequence: u64) -> Ack {
    Ack { sequence, status: AckStatus::Kept, throttle_ms: 0 }
}

fn dropped(sequence: u64, reason: &str) -> Ack {
    Ack { sequence, status: AckStatus::Dropped(reason.into()), throttle_ms: 0 }
}

fn retry(sequence: u64) -> Ack {
    let status = AckStatus::Retry("the log's queue was full for 30s".into());
    Ack { sequence, status, throttle_ms: RETRY_THROTTLE_MS }
}

/// All acks, and why the session ended, if its producer did not end it.
async fn finish(session: &mut Session) -> (Vec<Ack>, Option<SessionEnd<&'static str>>) {
    let mut acks = Vec::new();
    while let Some(item) = session.next().await {
        match item {
            Ok(ack) => acks.push(ack),
            Err(end) => {
                assert!(session.next().await.is_none(), "an error is the last item");
                return (acks, Some(end));
            }
        }
    }
    (acks, None)
}

const NO_SESSION: &str = "metadata has otto.seq without otto.session";

const NO_TASK: &str = "task_id is empty, it needs 1 to 253 bytes";

#[tokio::test]
async fn a_stream_that_its_producer_ends_gets_an_ack_for_each_entry_or_for_all_kept_ones() {
    let large = "x".repeat(MAX_ENTRY_BYTES);
    let lines = || vec![line("one"), line("two"), line("three")];
    let mixed = || vec![line("one"), line("two"), line_of(""), line("three")];
    let cases = [
        ("nothing", AckMode::Each, vec![], vec![]),
        ("lines", AckMode::Each, lines(), vec![kept(1), kept(2), kept(3)]),
        ("lines", AckMode::Cumulative, lines(), vec![kept(3)]),
        (
            "an invalid one among them",
            AckMode::Each,
            mixed(),
            vec![kept(1), kept(2), dropped(3, NO_TASK), kept(4)],
        ),
        (
            "an invalid one among them",
            AckMode::Cumulative,
            mixed(),
            vec![kept(2), dropped(3, NO_TASK), kept(4)],
        ),
        ("only an invalid one", AckMode::Each, vec![line_of("")], vec![dropped(1, NO_TASK)]),
        ("a large one", AckMode::Each, vec![line(&large), line("two")], vec![kept(1), kept(2)]),
        ("a wrong number", AckMode::Each, vec![refused("w")], vec![dropped(1, NO_SESSION)]),
        (
            "numbers that come twice",
            AckMode::Each,
            vec![numbered(1), numbered(2), numbered(1)],
            vec![kept(1), kept(2), kept(3)],
        ),
    ];
    for (name, mode, entries, expected) in cases {
        let fixture = Fixture::new();
        let (sender, mut session) = fixture.session(mode);
        entries.into_iter().for_each(|entry| sender.send(Ok(entry)).unwrap());
        drop(sender);
        let (acks, end) = finish(&mut session).await;
        assert_eq!(acks, expected, "{name}, {mode:?}");
        assert!(end.is_none(), "{name}, {mode:?}: {end:?}");
        assert_eq!(fixture.intake.open_streams(), 0, "{name}: the permit is not released");
    }
}

#[tokio::test]
async fn an_error_of_the_transport_comes_after_the_acks() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    sender.send(Ok(line("one"))).unwrap();
    sender.send(Err("reset")).unwrap();
    let (acks, end) = finish(&mut session).await;
    assert_eq!(acks, [kept(1)]);
    assert!(matches!(end, Some(SessionEnd::Inbound("reset"))), "{end:?}");
}

#[tokio::test]
async fn a_draining_server_acknowledges_what_has_arrived_and_ends_the_stream() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    sender.send(Ok(line("one"))).unwrap();
    sender.send(Ok(line("two"))).unwrap();
    fixture.drain.cancel();
    let (acks, end) = finish(&mut session).await;
    assert_eq!(acks, [kept(1), kept(2)]);
    assert!(matches!(end, Some(SessionEnd::Draining)), "{end:?}");
    assert!(sender.is_closed());
}

#[tokio::test]
async fn a_log_that_fails_ends_the_stream_without_an_ack() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    fixture.disk.fail_write(1);
    sender.send(Ok(line("one"))).unwrap();
    let (acks, end) = finish(&mut session).await;
    assert_eq!(acks, []);
    assert!(matches!(end, Some(SessionEnd::Log(_))), "{end:?}");

    // From now on the log fails at once.
    let (sender, mut session) = fixture.session(AckMode::Each);
    sender.send(Ok(line("two"))).unwrap();
    let (acks, end) = finish(&mut session).await;
    assert_eq!(acks, []);
    assert!(matches!(end, Some(SessionEnd::Log(_))), "{end:?}");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_means_retry_and_a_gap_and_then_numbered_entries_get_retry_too() {
    let fixture = Fixture::new();
    fixture.fill_queue();
    let (sender, mut session) = fixture.session(AckMode::Cumulative);
    sender.send(Ok(line_of("stalled"))).unwrap();
    sender.send(Ok(line_of("stalled"))).unwrap();
    assert_eq!(session.next().await.unwrap().unwrap(), retry(1));
    assert_eq!(session.next().await.unwrap().unwrap(), retry(2));

    // A paused clock would run out while the queue empties.
    tokio::time::resume();
    fixture.disk.release();
    for (entry, expected) in
        [(line_of("stalled"), kept(3)), (numbered(1), retry(4)), (line_of("stalled"), kept(5))]
    {
        sender.send(Ok(entry)).unwrap();
        assert_eq!(session.next().await.unwrap().unwrap(), expected);
    }
    drop(sender);
    let (acks, end) = finish(&mut session).await;
    assert!(acks.is_empty() && end.is_none(), "{acks:?}, {end:?}");
    let task = fixture.log.task(&TaskId::new("stalled").unwrap()).await.unwrap().unwrap();
    assert_eq!((task.last_line, task.lost_lines), (2, 2));
    assert_eq!(fixture.intake.counters().retried.get(), 3);
}

#[tokio::test(start_paused = true)]
async fn after_a_stall_the_gap_is_written_although_numbered_entries_that_come_with_it_get_retry() {
    let fixture = Fixture::new();
    fixture.fill_queue();
    let (sender, mut session) = fixture.session(AckMode::Each);
    sender.send(Ok(line_of("stalled"))).unwrap();
    assert!(futures_util::poll!(session.next()).is_pending());
    // Read together with the gap, once the first line has waited too long.
    sender.send(Ok(numbered(1))).unwrap();
    sender.send(Ok(line_of("stalled"))).unwrap();
    for sequence in 1..=3 {
        assert_eq!(session.next().await.unwrap().unwrap(), retry(sequence));
    }

    // A paused clock would run out while the queue empties.
    tokio::time::resume();
    fixture.disk.release();
    sender.send(Ok(numbered(2))).unwrap();
    assert_eq!(session.next().await.unwrap().unwrap(), retry(4));
    drop(sender);
    let (acks, end) = finish(&mut session).await;
    assert!(acks.is_empty() && end.is_none(), "{acks:?}, {end:?}");
    let task = fixture.log.task(&TaskId::new("stalled").unwrap()).await.unwrap();
    let counts = task.map(|task| (task.last_line, task.lost_lines));
    assert_eq!(counts, Some((0, 2)), "neither line is kept, and both are noted");
}

#[tokio::test]
async fn refused_lines_of_many_workers_leave_one_gap_each_wherever_they_stand_in_a_batch() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    for turn in 0..30 {
        sender.send(Ok(refused(&format!("w{}", turn % 3)))).unwrap();
        sender.send(Ok(line_of("other"))).unwrap();
    }
    drop(sender);
    finish(&mut session).await;
    let task = fixture.log.task(&TaskId::new("filled").unwrap()).await.unwrap().unwrap();
    assert_eq!((task.lost_lines, task.last_offset.0 - task.first_offset.0), (30, 2));
}

#[tokio::test]
async fn a_stream_of_refused_lines_is_answered_at_once_and_leaves_a_gap_a_second_at_most() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    let begun = std::time::Instant::now();
    for sequence in 1..=500 {
        sender.send(Ok(refused("w"))).unwrap();
        let ack = session.next().await.unwrap().unwrap();
        assert!(matches!(ack.status, AckStatus::Dropped(_)) && ack.sequence == sequence);
    }
    drop(sender);
    finish(&mut session).await;
    let task = fixture.log.task(&TaskId::new("filled").unwrap()).await.unwrap().unwrap();
    let gaps = task.last_offset.0 - task.first_offset.0 + 1;
    assert_eq!(task.lost_lines, 500);
    assert!(gaps <= begun.elapsed().as_secs() + 2, "{gaps} gaps in {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_session_that_is_dropped_keeps_what_arrives_until_its_stream_ends() {
    let fixture = Fixture::new();
    fixture.disk.hold();
    let (sender, mut session) = fixture.session(AckMode::Each);
    sender.send(Ok(line_of("cancelled"))).unwrap();
    assert!(futures_util::poll!(session.next()).is_pending());
    drop(session);
    sender.send(Ok(line_of("cancelled"))).unwrap();
    assert_eq!(fixture.intake.open_streams(), 1);
    fixture.disk.release();
    drop(sender);
    fixture.intake.drained().await;
    assert_eq!(fixture.lines_of("cancelled").await, 2);
}

#[tokio::test(start_paused = true)]
async fn an_idle_stream_gets_its_last_ack_again_within_the_time_and_never_a_drop() {
    let fixture = Fixture::new();
    let (sender, mut session) = fixture.session(AckMode::Each);
    let unanswered = tokio::time::timeout(9 * Limits::IDLE_ACK, session.next()).await;
    assert!(unanswered.is_err(), "before the first ACK there is none to say again");
    for (entry, expected) in
        [(line("one"), kept(1)), (line("two"), kept(2)), (line_of(""), dropped(3, NO_TASK))]
    {
        sender.send(Ok(entry)).unwrap();
        assert_eq!(session.next().await.unwrap().unwrap(), expected);
    }
    let again = Ack { sequence: 2, status: AckStatus::StillHere, throttle_ms: 0 };
    for _ in 0..3 {
        let begun = tokio::time::Instant::now();
        assert_eq!(session.next().await.unwrap().unwrap(), again);
        let least = Limits::IDLE_ACK / 2 - Duration::from_millis(10);
        let most = Limits::IDLE_ACK + Duration::from_millis(10);
        assert!((least..=most).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }
    sender.send(Ok(line("three"))).unwrap();
    assert_eq!(session.next().await.unwrap().unwrap(), kept(4));
    drop(sender);
    let (acks, end) = finish(&mut session).await;
    assert!(acks.is_empty() && end.is_none(), "{acks:?}, {end:?}");
}

#[test]
fn acks_ask_for_a_wait_from_half_a_queue_on() {
    for (pressure, throttle_ms) in [(0.0, 0), (0.5, 0), (0.75, 50), (1.0, 100)] {
        assert_eq!(ack_throttle_ms(pressure), throttle_ms, "{pressure}");
    }
}

mod unfinished;
