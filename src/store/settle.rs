//! Tells producers what became of their batches.
//!
//! A waker that is called from the committer's thread costs a system call, and the woken task
//! runs, answers and writes before the next one is looked at. So the receipts of one runtime are
//! settled by one task on it: one wake from outside, and the answers of streams that share a
//! connection leave in one write.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::log::{AppendError, Committed};

type Answer = Result<Committed, AppendError>;

/// What settles a receipt.
#[derive(Debug)]
pub(super) struct Settle {
    receipt: oneshot::Sender<Answer>,
    /// The runtime that appended, where it was one.
    home: Option<Handle>,
}

impl Settle {
    pub(super) fn new(receipt: oneshot::Sender<Answer>) -> Self {
        Self { receipt, home: Handle::try_current().ok() }
    }

    fn tell(self, answer: Answer) {
        let _nobody_waits = self.receipt.send(answer);
    }
}

/// Settles them all.
pub(super) fn settle(mut answered: Vec<(Settle, Answer)>) {
    while let Some((first, _)) = answered.first() {
        let home = first.home.clone();
        let is_at_home = |other: &Option<Handle>| match (&home, other) {
            (Some(home), Some(other)) => home.id() == other.id(),
            (home, other) => home.is_none() && other.is_none(),
        };
        let (at_home, elsewhere): (Vec<_>, _) =
            answered.into_iter().partition(|(settle, _)| is_at_home(&settle.home));
        answered = elsewhere;
        settle_at(home.as_ref(), at_home);
    }
}

fn settle_at(home: Option<&Handle>, answered: Vec<(Settle, Answer)>) {
    let tell_all = |answered: Vec<(Settle, Answer)>| {
        answered.into_iter().for_each(|(settle, answer)| settle.tell(answer));
    };
    match home {
        Some(home) if answered.len() > 1 => drop(home.spawn(async move { tell_all(answered) })),
        _ => tell_all(answered),
    }
}
