//! How many calls one cloud is asked at once, and how many in a second; this file may not know what is
//! asked, nor for whom.
//!
//! Whatever operations ask for waits in one line, so that no more than the calls before it are in the way
//! of one. How often an operation stands in that line is decided where calls are wished for. What a caller
//! of the service waits for has permits of its own: thousands of operations make no `Create` slow. Of these
//! the callers of one tenant have a share only, so that some are left when all of its calls hang.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until},
};

use super::settings::OpenStackSettings;
use crate::domain::id::ProjectId;

/// Who waits for the answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Waiter {
    /// An operation, which has time.
    Operation,
    /// Somebody who called the service and has no answer yet.
    Caller,
}

/// A call that is under way.
pub(super) struct Permit<'a> {
    _place: Option<SemaphorePermit<'a>>,
    _share: Option<OwnedSemaphorePermit>,
}

/// Lets calls to one cloud leave, whichever entry is used.
#[derive(Debug)]
pub(super) struct RateLimiter {
    for_operations: Semaphore,
    for_callers: Semaphore,
    /// What the callers of one tenant may have of these; of a tenant without a call there is none.
    shares: Mutex<HashMap<ProjectId, Arc<Semaphore>>>,
    share: usize,
    /// The time between two calls, once the burst is used up.
    interval: Duration,
    /// Calls that may leave at once after a pause.
    burst: u32,
    /// When the bucket of calls will be full again, as if it could be overdrawn.
    full: Mutex<Option<Instant>>,
}

impl RateLimiter {
    pub(super) fn new(limits: &OpenStackSettings) -> Self {
        Self {
            for_operations: Semaphore::new(limits.requests_per_cloud.max(1)),
            for_callers: Semaphore::new(limits.caller_requests_per_cloud.max(1)),
            shares: Mutex::default(),
            share: limits.caller_requests_per_tenant.max(1),
            interval: Duration::from_secs(1) / limits.requests_per_second.max(1),
            burst: limits.requests_burst.max(1),
            full: Mutex::default(),
        }
    }

    /// Waits until a call about a project may leave; it is under way until what this answers is dropped.
    pub(super) async fn acquire(&self, waiter: Waiter, project: &ProjectId) -> Permit<'_> {
        // The permits are never closed.
        let (permits, share) = match waiter {
            Waiter::Operation => (&self.for_operations, None),
            // Who waits for the share of a tenant holds nothing that others wait for.
            Waiter::Caller => {
                let share = self.share_of(project).acquire_owned().await;
                (&self.for_callers, share.ok())
            }
        };
        let place = permits.acquire().await.ok();
        if let Some(leaves) = self.ticket(Instant::now()) {
            sleep_until(leaves).await;
        }
        Permit {
            _place: place,
            _share: share,
        }
    }

    fn share_of(&self, project: &ProjectId) -> Arc<Semaphore> {
        // A map has no invariant that a panic elsewhere could break half-way.
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        // One that nobody else has is whole.
        shares.retain(|known, share| known == project || Arc::strong_count(share) > 1);
        let new = || Arc::new(Semaphore::new(self.share));
        Arc::clone(shares.entry(project.clone()).or_insert_with(new))
    }

    /// Takes one out of the bucket of calls; answers when the call may leave, if not now.
    fn ticket(&self, now: Instant) -> Option<Instant> {
        // A time has no invariant that a panic elsewhere could break half-way.
        let mut full = self.full.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = full.map_or(now, |full| full.max(now)) + self.interval;
        *full = Some(filled);
        let leaves = filled.checked_sub(self.interval * self.burst)?;
        (leaves > now).then_some(leaves)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep, timeout};

    use super::*;

    fn one() -> ProjectId {
        ProjectId::new("one")
    }

    #[tokio::test]
    async fn the_callers_of_a_tenant_leave_places_to_those_of_others() {
        let limiter = RateLimiter::new(&OpenStackSettings {
            caller_requests_per_cloud: 3,
            caller_requests_per_tenant: 2,
            ..OpenStackSettings::default()
        });
        let take = |project: &'static str| {
            let limiter = &limiter;
            async move {
                limiter
                    .acquire(Waiter::Caller, &ProjectId::new(project))
                    .await
            }
        };
        let (first, _second) = (take("one").await, take("one").await);
        let mut more: Vec<_> = (0..40).map(|_| Box::pin(take("one"))).collect();
        for waiting in &mut more {
            assert!(futures::poll!(waiting).is_pending());
        }
        let other = take("other").await;
        let mut third = Box::pin(take("third"));
        assert!(
            futures::poll!(&mut third).is_pending(),
            "all places are taken"
        );
        drop(other);
        drop(third.await);
        drop(first);
        drop(more.remove(0).await);
        drop(more);
        drop(take("third").await);
        assert_eq!(
            limiter.shares.lock().unwrap().len(),
            2,
            "one is in use, one was just used"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn calls_leave_at_once_while_the_bucket_lasts_and_then_one_by_one() {
        let limiter = RateLimiter::new(&OpenStackSettings {
            requests_per_second: 10,
            requests_burst: 3,
            ..OpenStackSettings::default()
        });
        let start = Instant::now();
        let mut left = Vec::new();
        for _ in 0..5 {
            drop(limiter.acquire(Waiter::Operation, &one()).await);
            left.push(start.elapsed().as_millis());
        }
        assert_eq!(left, [0, 0, 0, 100, 200]);
        advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..3 {
            drop(limiter.acquire(Waiter::Operation, &one()).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "a pause fills it again");
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_under_way_than_there_are_permits() {
        let limiter = RateLimiter::new(&OpenStackSettings {
            requests_per_cloud: 2,
            ..OpenStackSettings::default()
        });
        let start = Instant::now();
        let calls = (0..5).map(|_| async {
            let _permit = limiter.acquire(Waiter::Operation, &one()).await;
            sleep(Duration::from_secs(1)).await;
            start.elapsed().as_secs()
        });
        let ended = futures::future::join_all(calls).await;
        assert_eq!(ended, [1, 1, 2, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_does_not_wait_for_the_permits_of_operations() {
        let limiter = RateLimiter::new(&OpenStackSettings {
            requests_per_cloud: 1,
            caller_requests_per_cloud: 1,
            ..OpenStackSettings::default()
        });
        let start = Instant::now();
        let _held = limiter.acquire(Waiter::Operation, &one()).await;
        let first = limiter.acquire(Waiter::Caller, &one()).await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let second = timeout(
            Duration::from_secs(1),
            limiter.acquire(Waiter::Caller, &one()),
        )
        .await;
        assert!(second.is_err(), "callers wait for each other");
        drop(first);
    }
}
