//! A producer: sends lines that name themselves, and records which of them were acknowledged.
//!
//! A numbered one carries session and number, as `push` does, and sends everything unanswered
//! again after a break. A plain one sends each line once and gives up what a break left unanswered.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::entries::{Answer, AnswerKind, Entry, Push, PushTarget, STILL_HERE};
use super::window::{SeenWindow, Waiting};
use crate::verify::line;
use crate::verify::metrics::Metrics;
use crate::verify::plan::ProducerPlan;
use crate::verify::record::{Event, Lines};
use crate::verify::recorder::Recorder;

/// So many unanswered lines stop a producer from making more.
const MAX_WAITING: usize = 20_000;

/// Without an answer for so long a stream is given up.
const SILENCE_LIMIT: Duration = Duration::from_secs(15);

/// The wait between two attempts.
const RETRY: Duration = Duration::from_millis(200);

/// Sends until it is told to stop, then until all is answered.
pub(crate) struct Producer {
    plan: ProducerPlan,
    target: PushTarget,
    recorder: Recorder,
    metrics: Arc<Metrics>,
    /// Ends the making of lines.
    stop: CancellationToken,
    /// How long the last answers may take after that.
    patience: Duration,
    window: SeenWindow,
    next_due: Instant,
    paused_until: Option<Instant>,
    /// Sent or acknowledged and not yet recorded.
    sent: Option<(u64, u64)>,
}

/// Why a stream is over.
enum End {
    /// All is answered and no more comes.
    Done,
    /// Another attempt follows.
    Broken(String),
}

impl Producer {
    pub(crate) fn new(
        plan: ProducerPlan,
        target: PushTarget,
        recorder: Recorder,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
        patience: Duration,
    ) -> Self {
        let window = SeenWindow::default();
        let next_due = Instant::now();
        Self {
            plan,
            target,
            recorder,
            metrics,
            stop,
            patience,
            window,
            next_due,
            paused_until: None,
            sent: None,
        }
    }

    /// Runs to its end.
    pub(crate) async fn run(mut self) {
        let mut stopped_at = None;
        loop {
            let broken = match self.attempt().await {
                End::Done => break,
                End::Broken(reason) => reason,
            };
            self.record_sent().await;
            self.recorder.note(format!("the stream broke: {broken}")).await;
            self.window.begin_stream(self.plan.is_numbered);
            if self.stop.is_cancelled() {
                if self.window.is_empty() {
                    break;
                }
                let since = *stopped_at.get_or_insert_with(Instant::now);
                if since.elapsed() > self.patience {
                    self.give_up(&broken).await;
                    return;
                }
            }
            sleep(RETRY).await;
        }
        self.record_sent().await;
        if let Err(reason) = self.target.complete(&self.plan.task, &self.plan.worker).await {
            self.recorder.note(format!("its end could not be told: {reason}")).await;
        }
    }

    async fn give_up(&self, reason: &str) {
        let (unanswered, waited) = (self.window.len(), self.patience.as_secs());
        let what =
            format!("{unanswered} lines have no answer {waited} s after the last fault: {reason}");
        self.recorder.violated(what).await;
    }

    async fn attempt(&mut self) -> End {
        match self.target.open(self.plan.is_cumulative).await {
            Ok(push) => self.stream(push).await,
            Err(reason) => End::Broken(reason),
        }
    }

    async fn stream(&mut self, push: Push) -> End {
        let Push { entries, mut answers } = push;
        let mut last_answer = Instant::now();
        loop {
            if self.stop.is_cancelled() && self.window.is_empty() {
                return End::Done;
            }
            let makes = !self.stop.is_cancelled() && self.window.len() < MAX_WAITING;
            let pause = self.paused_until.filter(|until| *until > Instant::now());
            let sends = self.window.has_unsent() && pause.is_none();
            tokio::select! {
                answer = answers.next() => {
                    last_answer = Instant::now();
                    match self.on_answer(answer).await {
                        Ok(()) => {}
                        Err(reason) => return End::Broken(reason),
                    }
                }
                permit = entries.reserve(), if sends => match permit {
                    Ok(permit) => if let Some(entry) = self.next_entry().await {
                        permit.send(entry.into());
                    },
                    Err(_) => return End::Broken("the stream takes nothing more".into()),
                },
                () = sleep_until(self.next_due), if makes => self.make_line(),
                () = sleep_until(pause.unwrap_or(last_answer)), if pause.is_some() => {}
                () = self.stop.cancelled(), if makes => {}
                () = sleep_until(last_answer + SILENCE_LIMIT), if !self.window.is_empty() => {
                    return End::Broken(format!("no answer for {} s", SILENCE_LIMIT.as_secs()));
                }
            }
            if self.window.is_empty() {
                last_answer = Instant::now();
            }
        }
    }

    fn make_line(&mut self) {
        self.window.add();
        let spacing = Duration::from_secs_f64(1.0 / self.plan.lines_per_second);
        // After a long break the rate is kept, not made up for.
        let earliest = Instant::now() - spacing.max(Duration::from_millis(100));
        self.next_due = self.next_due.max(earliest) + spacing;
    }

    async fn next_entry(&mut self) -> Option<Entry<'_>> {
        let (number, is_first) = self.window.send(Instant::now())?;
        if is_first {
            self.on_sent(number).await;
        }
        let ProducerPlan { seed, task, worker, session, is_numbered, .. } = &self.plan;
        let text = line::text(*seed, task, worker, number);
        let numbered = is_numbered.then_some((session.as_str(), number));
        Some(Entry { task, worker, text, numbered })
    }

    /// Before the line is on its way: what nobody is known to have sent, nobody may read.
    async fn on_sent(&mut self, number: u64) {
        self.metrics.add(|counts| counts.sent += 1);
        let (from, _) = *self.sent.get_or_insert((number, number));
        self.sent = Some((from, number));
        if number - from >= 63 {
            self.record_sent().await;
        }
    }

    async fn record_sent(&mut self) {
        if let Some((from, to)) = self.sent.take() {
            self.recorder.record(Event::Sent(self.lines(from, to))).await;
        }
    }

    fn lines(&self, from: u64, to: u64) -> Lines {
        Lines { task: self.plan.task.clone(), worker: self.plan.worker.clone(), from, to }
    }

    async fn on_answer(&mut self, answer: Result<Option<Answer>, String>) -> Result<(), String> {
        let Some(answer) = answer? else { return Err("the server ended the stream".into()) };
        if !answer.pause.is_zero() {
            self.paused_until = Some(Instant::now() + answer.pause);
        }
        match answer.kind {
            // Claims nothing that an earlier ACK did not.
            AnswerKind::Ack if answer.message == STILL_HERE => Ok(()),
            AnswerKind::Ack => self.on_ack(answer.sequence).await,
            AnswerKind::Drop => self.on_drop(&answer).await,
            AnswerKind::Retry if self.plan.is_numbered => {
                sleep(answer.pause).await;
                Err(format!("the server asks to send again: {}", answer.message))
            }
            AnswerKind::Retry => {
                // Not kept, says the server, and not sent again: nothing is claimed of it.
                let answered = self.window.answer(answer.sequence);
                answered.map(drop).map_err(|nonsense| nonsense.to_string())
            }
        }
    }

    async fn on_ack(&mut self, sequence: i64) -> Result<(), String> {
        let answered = if self.plan.is_cumulative {
            self.window.answer_up_to(sequence)
        } else {
            self.window.answer(sequence).map(|line| vec![line])
        };
        let answered = match answered {
            Ok(answered) => answered,
            Err(nonsense) => {
                self.recorder.violated(nonsense.to_string()).await;
                return Err(nonsense.to_string());
            }
        };
        for stretch in stretches(&answered) {
            self.recorder.record(Event::Acked(self.lines(stretch.0, stretch.1))).await;
        }
        let waits = answered.iter().filter_map(|line| line.sent_at);
        waits.for_each(|sent_at| self.metrics.acked_after(sent_at.elapsed()));
        Ok(())
    }

    async fn on_drop(&mut self, answer: &Answer) -> Result<(), String> {
        let line = self.window.answer(answer.sequence).map_err(|nonsense| nonsense.to_string())?;
        let lines = self.lines(line.number, line.number);
        self.recorder.record(Event::Dropped { lines, message: answer.message.clone() }).await;
        Ok(())
    }
}

/// The numbers as stretches, each its first and its last.
fn stretches(lines: &[Waiting]) -> Vec<(u64, u64)> {
    let mut found: Vec<(u64, u64)> = Vec::new();
    for number in lines.iter().map(|line| line.number) {
        match found.last_mut() {
            Some((_, to)) if *to + 1 == number => *to = number,
            _ => found.push((number, number)),
        }
    }
    found
}
