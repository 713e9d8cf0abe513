use super::*;

fn lines(from: u64, to: u64) -> Lines {
    Lines { task: "t".into(), worker: "w".into(), from, to }
}

fn run(number: u64, line: u64, count: u64) -> Run {
    Run { worker: "w".into(), number, line, offset: line, count }
}

fn saw(actor: &str, runs: &[Run]) -> (String, Event) {
    (actor.into(), Event::Saw { task: "t".into(), runs: runs.to_vec() })
}

fn opened(actor: &str, at: Start) -> (String, Event) {
    (actor.into(), Event::Opened { task: Some("t".into()), at })
}

fn ended(actor: &str) -> (String, Event) {
    (actor.into(), Event::Ended { task: "t".into() })
}

fn gap(actor: &str, from: u64, to: u64, reason: &str) -> (String, Event) {
    (actor.into(), Event::Gap { task: Some("t".into()), from, to, reason: reason.into() })
}

fn judge(acked: u64, history: Vec<(String, Event)>) -> Verdict {
    judge_with("retention", acked, history)
}

fn judge_with(excuse: &str, acked: u64, history: Vec<(String, Event)>) -> Verdict {
    let mut judge = Judge::default();
    let plan = Event::Plan { seed: 7, excuses: vec![excuse.into()] };
    let start = [
        ("run".into(), plan),
        ("p".into(), Event::Sent(lines(1, 10))),
        ("p".into(), Event::Acked(lines(1, acked))),
    ];
    for (actor, event) in start.into_iter().chain(history) {
        judge.take(&Record { time: 0, actor, event });
    }
    judge.finish()
}

fn kept(runs: &[Run]) -> Vec<(String, Event)> {
    vec![opened(HISTORY, Start::First), saw(HISTORY, runs), ended(HISTORY)]
}

fn counts(verdict: &Verdict) -> (u64, u64, u64, u64) {
    let worker = &verdict.workers[0];
    (worker.lost, worker.repeated, worker.reordered, worker.unexplained)
}

#[test]
fn everything_acknowledged_and_kept_in_order_is_sound() {
    let mut history = vec![opened("v", Start::First), saw("v", &[run(1, 1, 3)])];
    history.extend([opened("v", Start::Resume), saw("v", &[run(4, 4, 2)])]);
    history.extend(kept(&[run(1, 1, 9)]));
    history.extend([saw("v", &[run(6, 6, 4)]), ended("v")]);
    let verdict = judge(8, history);
    assert_eq!((counts(&verdict), verdict.outcome()), ((0, 0, 0, 0), Outcome::Sound));
    assert_eq!((verdict.workers[0].kept, verdict.readers), (9, 2));
}

#[test]
fn an_acknowledged_line_that_is_not_kept_is_lost() {
    let verdict = judge(10, kept(&[run(1, 1, 8)]));
    assert_eq!((counts(&verdict), verdict.outcome()), ((2, 0, 0, 0), Outcome::Violated));
    assert_eq!(verdict.violations, ["t w: 9 to 10 were acknowledged and are lost"]);
}

#[test]
fn a_line_that_a_viewer_saw_and_that_is_not_kept_is_lost() {
    let mut history = vec![opened("v", Start::First), saw("v", &[run(1, 1, 9)])];
    history.extend(kept(&[run(1, 1, 8)]));
    let verdict = judge(8, history);
    // The reading at the end stopped before a line that is known to stand there.
    assert_eq!(counts(&verdict), (1, 0, 0, 1));
}

#[test]
fn a_gap_explains_a_loss_only_for_a_reason_that_the_plan_allows() {
    let rest = |reason: &str| {
        let gap = gap(HISTORY, 1, 4, reason);
        vec![opened(HISTORY, Start::First), gap, saw(HISTORY, &[run(5, 5, 6)]), ended(HISTORY)]
    };
    let verdict = judge(10, rest("retention"));
    assert_eq!((counts(&verdict), verdict.workers[0].told), ((0, 0, 0, 0), 4));
    assert_eq!(counts(&judge(10, rest("crash"))), (4, 0, 0, 0));
}

#[test]
fn a_line_kept_twice_is_repeated_and_one_behind_a_later_one_is_reordered() {
    assert_eq!(counts(&judge(10, kept(&[run(1, 1, 10), run(3, 11, 1)]))), (0, 1, 0, 0));
    assert_eq!(counts(&judge(10, kept(&[run(6, 1, 5), run(1, 6, 5)]))), (0, 0, 5, 0));
}

#[test]
fn a_viewer_that_misses_lines_without_a_gap_is_unexplained() {
    let viewer = |gaps: Vec<(String, Event)>| {
        let mut history = kept(&[run(1, 1, 10)]);
        history.extend([opened("v", Start::First), saw("v", &[run(1, 1, 2)])]);
        history.extend(gaps);
        history.extend([saw("v", &[run(6, 6, 5)]), ended("v")]);
        counts(&judge(10, history))
    };
    assert_eq!(viewer(vec![]), (0, 0, 0, 3));
    assert_eq!(viewer(vec![gap("v", 3, 5, "damage")]), (0, 0, 0, 0));
    assert_eq!(viewer(vec![gap("v", 4, 5, "damage")]), (0, 0, 0, 1));
}

#[test]
fn a_viewer_that_stops_before_the_end_or_resumes_wrongly_is_told() {
    let viewer = |events: Vec<(String, Event)>| {
        let mut history = kept(&[run(1, 1, 10)]);
        history.push(opened("v", Start::First));
        history.extend(events);
        counts(&judge(10, history))
    };
    assert_eq!(viewer(vec![saw("v", &[run(1, 1, 7)]), ended("v")]), (0, 0, 0, 3));
    let again =
        vec![saw("v", &[run(1, 1, 7)]), opened("v", Start::Resume), saw("v", &[run(7, 7, 4)])];
    assert_eq!(viewer(again), (0, 1, 0, 0));
}

#[test]
fn without_a_reading_at_the_end_nothing_is_known() {
    let history = vec![opened("v", Start::First), saw("v", &[run(1, 1, 3)])];
    assert_eq!(judge(10, history).outcome(), Outcome::Unknown);
}

#[test]
fn damage_explains_a_loss_only_where_it_was_injected() {
    let outcome = |excuse: &str| {
        let mut history = vec![opened(HISTORY, Start::First), saw(HISTORY, &[run(1, 1, 4)])];
        history.extend([gap(HISTORY, 5, 6, "damage"), saw(HISTORY, &[run(7, 7, 4)])]);
        history.push(ended(HISTORY));
        judge_with(excuse, 10, history)
    };
    let injected = outcome("damage");
    assert_eq!((injected.outcome(), injected.workers[0].told), (Outcome::Sound, 2));
    let verdict = outcome("retention");
    assert_eq!((verdict.outcome(), verdict.workers[0].lost), (Outcome::Violated, 2));
    assert!(verdict.violations[0].contains("5 to 6 are told as damaged"), "{verdict:?}");
}
