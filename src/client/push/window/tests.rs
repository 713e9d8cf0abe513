//! The window without a network: what is sent, what is acknowledged, what is left.

use super::*;
use crate::domain::WorkerState;
use crate::domain::{TaskId, WorkerId};

fn window(limit_bytes: usize) -> ResendWindow {
    let producer = Producer {
        task: TaskId::new("t").unwrap(),
        worker: WorkerId::new("w").unwrap(),
        level: "INFO".into(),
        source: "stdout".into(),
    };
    let resumption = Resumption { session: "s".into(), next_seq: 1, first_status: None };
    ResendWindow::new(producer, resumption, limit_bytes)
}

fn line(message: &str) -> Line {
    Line { timestamp: "2026-01-01T00:00:00Z".into(), source: None, message: message.into() }
}

fn filled(messages: &[&str]) -> ResendWindow {
    let mut window = window(1 << 20);
    for message in messages {
        assert_eq!(window.offer(line(message)), Offered::Taken);
    }
    window
}

/// Takes all that the stream may send: (`otto.seq`, message).
fn send_all(window: &mut ResendWindow, stream: u64) -> Vec<(String, String)> {
    let mut sent = Vec::new();
    while let NextEntry::Send(entry) = window.next_for(stream, Instant::now()) {
        sent.push((entry.metadata["otto.seq"].clone(), entry.message));
    }
    sent
}

fn seqs_and_messages(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(seq, message)| ((*seq).into(), (*message).into())).collect()
}

#[test]
fn an_ack_that_comes_again_changes_nothing() {
    let mut window = filled(&["a", "b", "c"]);
    let stream = window.begin_stream();
    send_all(&mut window, stream);
    window.acknowledge(2).unwrap();
    let before = (window.progress(), window.unacked_lines());
    for sequence in [2, 1] {
        window.acknowledge(sequence).unwrap();
        assert_eq!((window.progress(), window.unacked_lines()), before);
    }
}

#[test]
fn a_new_stream_resends_from_the_first_line_without_an_ack_with_the_same_numbers() {
    let mut window = filled(&["a", "b", "c"]);
    let first = window.begin_stream();
    assert_eq!(
        send_all(&mut window, first),
        seqs_and_messages(&[("1", "a"), ("2", "b"), ("3", "c")])
    );
    window.acknowledge(1).unwrap();
    let second = window.begin_stream();
    assert!(matches!(window.next_for(first, Instant::now()), NextEntry::End));
    assert_eq!(send_all(&mut window, second), seqs_and_messages(&[("2", "b"), ("3", "c")]));
    window.acknowledge(2).unwrap();
    assert_eq!(window.progress(), Progress { pushed: 3, acknowledged: 3, dropped: 0 });
}

#[test]
fn a_dropped_line_is_not_resent_and_ordinals_of_the_new_stream_still_fit() {
    let mut window = filled(&["a", "b", "c", "d"]);
    let first = window.begin_stream();
    send_all(&mut window, first);
    assert_eq!(window.drop_line(2), Ok(Some(2)));
    assert_eq!(window.drop_line(2), Ok(None), "dropped once only");
    let second = window.begin_stream();
    let sent = send_all(&mut window, second);
    assert_eq!(sent, seqs_and_messages(&[("1", "a"), ("3", "c"), ("4", "d")]));
    window.acknowledge(2).unwrap();
    window.acknowledge(3).unwrap();
    assert_eq!(window.progress(), Progress { pushed: 4, acknowledged: 3, dropped: 1 });
    assert_eq!(window.unacked_lines(), 0);
}

#[test]
fn a_cumulative_acknowledgement_passes_over_drops_and_counts_them_apart() {
    let mut window = filled(&["a", "b", "c", "d"]);
    let stream = window.begin_stream();
    send_all(&mut window, stream);
    window.drop_line(2).unwrap();
    window.drop_line(4).unwrap();
    window.acknowledge(3).unwrap();
    assert_eq!(window.progress(), Progress { pushed: 4, acknowledged: 2, dropped: 2 });
    assert_eq!((window.unacked_lines(), window.bytes), (0, 0));
}

#[test]
fn an_answer_given_before_is_ignored_and_one_to_an_unsent_line_is_refused() {
    let mut window = filled(&["a", "b"]);
    let stream = window.begin_stream();
    window.next_for(stream, Instant::now());
    window.acknowledge(1).unwrap();
    window.acknowledge(1).unwrap();
    for sequence in [2, 0, -1] {
        assert_eq!(window.acknowledge(sequence), Err(UnsentSequence { sequence, sent: 1 }));
    }
    assert_eq!(window.progress().acknowledged, 1);
}

#[test]
fn the_window_is_bounded_in_bytes_and_takes_a_larger_line_alone() {
    let mut window = window(200);
    let long = "x".repeat(1000);
    assert_eq!(window.offer(line(&long)), Offered::Taken);
    assert_eq!(window.offer(line("b")), Offered::Full(line("b")));
    let stream = window.begin_stream();
    send_all(&mut window, stream);
    window.acknowledge(1).unwrap();
    assert_eq!(window.offer(line("b")), Offered::Taken);
    assert_eq!(window.offer(line("c")), Offered::Taken);
    assert_eq!(window.offer(line(&"d".repeat(100))), Offered::Full(line(&"d".repeat(100))));
}

#[test]
fn only_a_sent_line_above_the_limit_can_be_the_one_that_is_too_large() {
    let mut window = filled(&["a", "bbbbb", "cc", "dddddddd"]);
    let stream = window.begin_stream();
    (0..3).for_each(|_| drop(window.next_for(stream, Instant::now())));
    assert_eq!(window.drop_largest_above(5), None);
    assert_eq!(window.drop_largest_above(4), Some(2));
    let stream = window.begin_stream();
    let sent = send_all(&mut window, stream);
    assert_eq!(sent, seqs_and_messages(&[("1", "a"), ("3", "cc"), ("4", "dddddddd")]));
}

#[test]
fn a_throttle_holds_lines_back_until_its_time() {
    let mut window = filled(&["a"]);
    let stream = window.begin_stream();
    window.throttle(Duration::from_secs(60));
    let now = Instant::now();
    assert!(matches!(window.next_for(stream, now), NextEntry::WaitUntil(until) if until > now));
    assert!(matches!(window.next_for(stream, now + Duration::from_secs(61)), NextEntry::Send(_)));
}

#[test]
fn a_finished_window_takes_nothing_and_tells_the_last_status_once_all_is_acknowledged() {
    let mut window = filled(&["a"]);
    let end = TimedStatus { status: WorkerState::Failed.into(), time: "now".into() };
    window.finish(Some(end.clone()));
    assert_eq!(window.offer(line("b")), Offered::Ended(line("b")));
    assert_eq!(window.end(), None);
    let stream = window.begin_stream();
    send_all(&mut window, stream);
    assert!(matches!(window.next_for(stream, Instant::now()), NextEntry::End));
    window.acknowledge(1).unwrap();
    assert_eq!(window.end(), Some(Some(end)));
}

#[test]
fn what_is_left_keeps_its_numbers_and_another_window_goes_on_after_them() {
    let mut first = filled(&["a", "b", "c", "d"]);
    let stream = first.begin_stream();
    send_all(&mut first, stream);
    first.acknowledge(1).unwrap();
    first.drop_line(3).unwrap();
    first.stop();
    let Undelivered { producer, resumption, lines } = first.take_undelivered();
    assert_eq!(lines, [(2, line("b")), (4, line("d"))]);
    assert_eq!((resumption.session.as_str(), resumption.next_seq), ("s", 5));
    assert_eq!((first.unacked_lines(), first.bytes), (0, 0));

    let resumption = Resumption { next_seq: 2, ..resumption };
    let mut second = ResendWindow::new(producer, resumption, 1 << 20);
    for (seq, line) in lines {
        second.skip_to(seq);
        second.offer(line);
    }
    let stream = second.begin_stream();
    assert_eq!(send_all(&mut second, stream), seqs_and_messages(&[("2", "b"), ("4", "d")]));
    second.acknowledge(2).unwrap();
    assert_eq!(second.progress(), Progress { pushed: 2, acknowledged: 2, dropped: 0 });
}

#[test]
fn what_is_unfinished_goes_last_where_the_server_takes_it_and_again_on_a_new_stream() {
    let mut window = filled(&["a"]);
    window.show_unfinished(line("."));
    window.show_unfinished(line(".."));
    let stream = window.begin_stream();
    assert_eq!(send_all(&mut window, stream), seqs_and_messages(&[("1", "a")]));
    window.allow_unfinished(stream - 1);
    assert!(matches!(window.next_for(stream, Instant::now()), NextEntry::Wait));
    let shown = |window: &mut ResendWindow, stream| {
        window.allow_unfinished(stream);
        match window.next_for(stream, Instant::now()) {
            NextEntry::Send(entry) => (entry.metadata["otto.partial"].clone(), entry.message),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(shown(&mut window, stream), ("true".into(), "..".into()));
    assert!(matches!(window.next_for(stream, Instant::now()), NextEntry::Wait));
    window.acknowledge(1).unwrap();
    assert_eq!(window.acknowledge(2), Err(UnsentSequence { sequence: 2, sent: 1 }));
    let stream = window.begin_stream();
    assert_eq!(shown(&mut window, stream), ("true".into(), "..".into()));
    assert_eq!(window.offer(line("..b")), Offered::Taken);
    assert_eq!(send_all(&mut window, stream), seqs_and_messages(&[("2", "..b")]));
    let stream = window.begin_stream();
    window.allow_unfinished(stream);
    assert_eq!(send_all(&mut window, stream), seqs_and_messages(&[("2", "..b")]));
}
