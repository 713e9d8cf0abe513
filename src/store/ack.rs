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
pub(super) struct AckSender {
    receipt: oneshot::Sender<Answer>,
    /// The runtime that appended, where it was one.
    home: Option<Handle>,
}

impl AckSender {
    pub(super) fn new(receipt: oneshot::Sender<Answer>) -> Self {
        Self { receipt, home: Handle::try_current().ok() }
    }
}

/// The receipts of one runtime, or of none.
struct RuntimeGroup {
    runtime: Option<Handle>,
    answered: Vec<(oneshot::Sender<Answer>, Answer)>,
}

/// Settles them all.
pub(super) fn send_acks(answered: impl ExactSizeIterator<Item = (AckSender, Answer)>) {
    let mut homes: Vec<RuntimeGroup> = Vec::with_capacity(1);
    let mut left = answered.len();
    for (AckSender { receipt, home }, answer) in answered {
        let at = homes.iter().position(|known| is_same(known.runtime.as_ref(), home.as_ref()));
        let at = at.unwrap_or_else(|| {
            homes.push(RuntimeGroup { runtime: home, answered: Vec::with_capacity(left) });
            homes.len() - 1
        });
        homes[at].answered.push((receipt, answer));
        left -= 1;
    }
    homes.into_iter().for_each(RuntimeGroup::send_acks);
}

fn is_same(one: Option<&Handle>, other: Option<&Handle>) -> bool {
    one.map(Handle::id) == other.map(Handle::id)
}

impl RuntimeGroup {
    fn send_acks(self) {
        let Self { runtime, answered } = self;
        match runtime {
            Some(runtime) if answered.len() > 1 => {
                drop(runtime.spawn(async move { tell_all(answered) }));
            }
            _ => tell_all(answered),
        }
    }
}

fn tell_all(answered: Vec<(oneshot::Sender<Answer>, Answer)>) {
    for (receipt, answer) in answered {
        let _nobody_waits = receipt.send(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Receipt;

    /// Receipts that are made on `runtime`, numbered by what they are to be answered.
    fn receipts(runtime: Option<&Handle>, numbers: [u32; 3]) -> Vec<(AckSender, Receipt, Answer)> {
        let _guard = runtime.map(Handle::enter);
        let receipt = |kept| {
            let (sender, receipt) = Receipt::channel();
            (AckSender::new(sender), receipt, Ok(Committed { kept, repeated: 0 }))
        };
        numbers.into_iter().map(receipt).collect()
    }

    #[test]
    fn receipts_of_several_runtimes_and_of_none_each_get_their_own_answer() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let (one, other) = (runtime().unwrap(), runtime().unwrap());
        let mut all = receipts(Some(one.handle()), [1, 2, 3]);
        all.extend(receipts(Some(other.handle()), [4, 5, 6]));
        all.extend(receipts(None, [7, 8, 9]));
        all.swap(1, 4);
        all.swap(2, 7);
        let expected: Vec<_> = all.iter().map(|(.., answer)| answer.clone()).collect();
        let (stats, awaited): (Vec<_>, Vec<_>) = all
            .into_iter()
            .map(|(send_acks, receipt, answer)| ((send_acks, answer), receipt))
            .unzip();
        send_acks(stats.into_iter());
        let answers: Vec<_> = awaited.into_iter().map(|receipt| one.block_on(receipt)).collect();
        assert_eq!(answers, expected);
    }
}
