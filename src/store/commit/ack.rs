//! Tells producers what became of their batches.
//!
//! A waker that is called from the committer's thread costs a system call, and the woken task
//! runs, acknowledges and writes before the next one is looked at. So one task on each runtime
//! resolves the receipts of that runtime: one wake from outside, and the ACKs of streams that
//! share a connection leave in one write.

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::store::log::{AppendError, Committed};

type AppendResult = Result<Committed, AppendError>;

/// What resolves a receipt.
#[derive(Debug)]
pub(in crate::store) struct AckSender {
    receipt: oneshot::Sender<AppendResult>,
    /// The runtime that appended, where it was one.
    runtime: Option<Handle>,
}

impl AckSender {
    pub(in crate::store) fn new(receipt: oneshot::Sender<AppendResult>) -> Self {
        Self { receipt, runtime: Handle::try_current().ok() }
    }
}

/// The receipts of one runtime, or of none.
struct RuntimeGroup {
    runtime: Option<Handle>,
    resolved: Vec<(oneshot::Sender<AppendResult>, AppendResult)>,
}

/// Resolves all receipts.
pub(super) fn send_acks(resolved: impl ExactSizeIterator<Item = (AckSender, AppendResult)>) {
    let mut groups: Vec<RuntimeGroup> = Vec::with_capacity(1);
    let mut left = resolved.len();
    for (AckSender { receipt, runtime }, result) in resolved {
        let is_same = |group: &RuntimeGroup| group.id() == runtime.as_ref().map(Handle::id);
        let at = groups.iter().position(is_same).unwrap_or_else(|| {
            groups.push(RuntimeGroup { runtime, resolved: Vec::with_capacity(left) });
            groups.len() - 1
        });
        groups[at].resolved.push((receipt, result));
        left -= 1;
    }
    groups.into_iter().for_each(RuntimeGroup::send);
}

impl RuntimeGroup {
    fn id(&self) -> Option<tokio::runtime::Id> {
        self.runtime.as_ref().map(Handle::id)
    }

    fn send(self) {
        let Self { runtime, resolved } = self;
        match runtime {
            Some(runtime) if resolved.len() > 1 => {
                drop(runtime.spawn(async move { send_all(resolved) }));
            }
            _ => send_all(resolved),
        }
    }
}

fn send_all(resolved: Vec<(oneshot::Sender<AppendResult>, AppendResult)>) {
    for (receipt, result) in resolved {
        let _nobody_waits = receipt.send(result);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Receipt;

    /// Receipts that are made on `runtime`, numbered by what they are to be resolved with.
    fn receipts(
        runtime: Option<&Handle>,
        numbers: [u32; 3],
    ) -> Vec<(AckSender, Receipt, AppendResult)> {
        let _guard = runtime.map(Handle::enter);
        let receipt = |kept| {
            let (sender, receipt) = Receipt::channel();
            (AckSender::new(sender), receipt, Ok(Committed { kept, repeated: 0 }))
        };
        numbers.into_iter().map(receipt).collect()
    }

    #[test]
    fn receipts_of_several_runtimes_and_of_none_each_get_their_own_result() {
        let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
        let (one, other) = (runtime().unwrap(), runtime().unwrap());
        let mut all = receipts(Some(one.handle()), [1, 2, 3]);
        all.extend(receipts(Some(other.handle()), [4, 5, 6]));
        all.extend(receipts(None, [7, 8, 9]));
        all.swap(1, 4);
        all.swap(2, 7);
        let expected: Vec<_> = all.iter().map(|(.., result)| result.clone()).collect();
        let (resolved, awaited): (Vec<_>, Vec<_>) =
            all.into_iter().map(|(sender, receipt, result)| ((sender, result), receipt)).unzip();
        send_acks(resolved.into_iter());
        let results: Vec<_> = awaited.into_iter().map(|receipt| one.block_on(receipt)).collect();
        assert_eq!(results, expected);
    }
}
