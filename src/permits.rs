//! Permits: how many of something may be open at once, or how many bytes may be held. Knows nothing
//! of what they are for.

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

    /// Waits for a permit. First come, first served.
    pub async fn acquire(&self) -> Permit {
        let permit = Arc::clone(&self.semaphore).acquire_owned().await;
        Permit(permit.expect("the semaphore is never closed"))
    }

    /// Waits until every permit is returned. While it waits no further permit is given.
    pub async fn all_released(&self) {
        let all = u32::try_from(self.limit).unwrap_or(u32::MAX);
        drop(self.semaphore.acquire_many(all).await);
    }
}

/// The unit of byte permits, in bytes.
const UNIT_BYTES: usize = 1024;

/// A bounded number of bytes. Clones share them. First come, first served.
#[derive(Debug, Clone)]
pub struct BytePermits {
    semaphore: Arc<Semaphore>,
    units: u32,
}

/// A number of bytes, returned when it is dropped.
#[derive(Debug)]
pub struct BytePermit(OwnedSemaphorePermit);

impl BytePermits {
    /// At most `bytes` at a time.
    pub fn new(bytes: usize) -> Self {
        let most = Semaphore::MAX_PERMITS.min(u32::MAX as usize);
        let units = (bytes / UNIT_BYTES).clamp(1, most);
        let semaphore = Arc::new(Semaphore::new(units));
        Self { semaphore, units: u32::try_from(units).unwrap_or(u32::MAX) }
    }

    /// A permit for `bytes`; `None` when fewer are free. More than there are takes all.
    pub fn try_acquire(&self, bytes: usize) -> Option<BytePermit> {
        let units = self.units(bytes);
        Arc::clone(&self.semaphore).try_acquire_many_owned(units).ok().map(BytePermit)
    }

    /// Waits for a permit for `bytes`. More than there are takes all.
    pub fn acquire(&self, bytes: usize) -> impl Future<Output = BytePermit> + Send + use<> {
        let (semaphore, units) = (Arc::clone(&self.semaphore), self.units(bytes));
        async move {
            let permit = semaphore.acquire_many_owned(units).await;
            BytePermit(permit.expect("the semaphore is never closed"))
        }
    }

    /// How many bytes are held now.
    pub fn used_bytes(&self) -> usize {
        (self.units as usize - self.semaphore.available_permits()) * UNIT_BYTES
    }

    /// How many bytes a permit for `bytes` is for.
    pub fn permitted_bytes(&self, bytes: usize) -> usize {
        self.units(bytes) as usize * UNIT_BYTES
    }

    fn units(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX).min(self.units)
    }
}

impl BytePermit {
    /// How many bytes it is for.
    pub fn bytes(&self) -> usize {
        self.0.num_permits() * UNIT_BYTES
    }

    /// Makes one of `into` and `other`, which are of the same permits.
    pub fn merge(into: &mut Option<Self>, other: Self) {
        match into {
            Some(permit) => permit.0.merge(other.0),
            None => *into = Some(other),
        }
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
