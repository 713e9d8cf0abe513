//! Permits: how many of something may be open at once. Knows nothing of what they are for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A bounded number of permits. Clones share it.
#[derive(Debug, Clone)]
pub struct Permits {
    limit: usize,
    semaphore: Arc<Semaphore>,
}

/// One permit, returned when it is dropped.
#[derive(Debug)]
pub struct Permit(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Permits {
    /// At most `limit` permits at a time.
    pub fn new(limit: usize) -> Self {
        let limit = limit.min(Semaphore::MAX_PERMITS);
        Self { limit, semaphore: Arc::new(Semaphore::new(limit)) }
    }

    /// How many permits may be held at a time.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many permits are held now. All of them from the moment [`Permits::all_released`] waits.
    pub fn in_use(&self) -> usize {
        self.limit - self.semaphore.available_permits()
    }

    /// A permit; `None` when as many as allowed are held, or somebody waits for all of them.
    pub fn try_acquire(&self) -> Option<Permit> {
        Arc::clone(&self.semaphore).try_acquire_owned().ok().map(Permit)
    }

    /// Waits until every permit is returned. While it waits no further permit is given.
    pub async fn all_released(&self) {
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        drop(self.semaphore.acquire_many(all).await);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn no_more_permits_are_given_than_the_limit_and_a_returned_one_is_given_again() {
        let permits = Permits::new(2);
        let (first, second) = (permits.try_acquire().unwrap(), permits.try_acquire().unwrap());
        assert_eq!((permits.in_use(), permits.limit()), (2, 2));
        assert!(permits.try_acquire().is_none());
        drop(first);
        assert_eq!(permits.in_use(), 1);
        assert!(permits.try_acquire().is_some());
        drop(second);
        assert_eq!(permits.in_use(), 0);
    }

    #[test]
    fn waiting_for_all_ends_with_the_last_permit_and_gives_none_meanwhile() {
        let permits = Permits::new(2);
        assert_eq!(permits.all_released().now_or_never(), Some(()));
        let held = permits.try_acquire().unwrap();
        let mut waiting = pin!(permits.all_released());
        assert_eq!(waiting.as_mut().now_or_never(), None);
        assert!(permits.try_acquire().is_none());
        drop(held);
        assert_eq!(waiting.now_or_never(), Some(()));
        assert!(permits.try_acquire().is_some());
    }

    #[test]
    fn a_limit_beyond_what_can_be_counted_is_the_most_that_can() {
        assert_eq!(Permits::new(usize::MAX).limit(), Semaphore::MAX_PERMITS);
    }
}
