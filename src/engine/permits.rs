//! Permits that are taken in the order of a rank; it may not know what they are for.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::domain::time::Timestamp;

/// So many permits, and those who wait for one.
#[derive(Debug)]
pub(super) struct Permits(Mutex<Queue>);

#[derive(Debug)]
struct Queue {
    free: usize,
    arrived: u64,
    waiting: BinaryHeap<Waiting>,
}

/// One who waits; the greatest is called first, which is the one of the lowest rank that came first.
#[derive(Debug)]
struct Waiting {
    rank: Reverse<(Timestamp, u64)>,
    call: oneshot::Sender<Permit>,
}

/// A permit that was taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Option<Arc<Permits>>);

impl Permits {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Queue {
            free: count.max(1),
            arrived: 0,
            waiting: BinaryHeap::new(),
        })))
    }

    /// Waits for a permit; of those who wait, the one of the lowest rank gets the next.
    pub(super) async fn take(self: &Arc<Self>, rank: Timestamp) -> Permit {
        loop {
            let called = {
                let mut queue = self.queue();
                if queue.free > 0 {
                    queue.free -= 1;
                    return Permit(Some(Arc::clone(self)));
                }
                queue.arrived += 1;
                let (call, called) = oneshot::channel();
                let rank = Reverse((rank, queue.arrived));
                queue.waiting.push(Waiting { rank, call });
                called
            };
            if let Ok(permit) = called.await {
                return permit;
            }
        }
    }

    /// Gives a permit to the next who still waits for one.
    fn give_back(self: &Arc<Self>) {
        loop {
            let next = {
                let mut queue = self.queue();
                let next = queue.waiting.pop();
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(next) = next else {
                return;
            };
            match next.call.send(Permit(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It does not wait any more, and the permit goes to the one behind it.
                Err(mut permit) => permit.0 = None,
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // A queue has no invariant that a panic elsewhere could break half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(permits) = self.0.take() {
            permits.give_back();
        }
    }
}

impl Ord for Waiting {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank.cmp(&other.rank)
    }
}

impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Waiting {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl Eq for Waiting {}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, poll};

    use super::*;

    #[tokio::test]
    async fn the_lowest_rank_is_next_and_of_equals_the_first() {
        let permits = Permits::new(1);
        let held = permits.take(Timestamp(0)).await;
        let mut late = Box::pin(permits.take(Timestamp(9)));
        let mut first = Box::pin(permits.take(Timestamp(3)));
        let mut second = Box::pin(permits.take(Timestamp(3)));
        for waiting in [&mut late, &mut first, &mut second] {
            assert!(poll!(waiting).is_pending());
        }
        drop(held);
        assert!(poll!(&mut late).is_pending());
        assert!(poll!(&mut second).is_pending());
        drop(first.await);
        assert!(poll!(&mut late).is_pending());
        drop(second.await);
        drop(late.await);
    }

    #[tokio::test]
    async fn no_permit_is_lost_with_those_who_stop_waiting() {
        let permits = Permits::new(2);
        let held = [
            permits.take(Timestamp(0)).await,
            permits.take(Timestamp(0)).await,
        ];
        let mut gone: Vec<_> = (0..100)
            .map(|_| Box::pin(permits.take(Timestamp(1))))
            .collect();
        let mut called = Box::pin(permits.take(Timestamp(0)));
        for waiting in gone.iter_mut().chain([&mut called]) {
            assert!(poll!(waiting).is_pending());
        }
        gone.clear();
        let [one, other] = held;
        // This one is called and stops before it hears of it.
        drop(one);
        drop(called);
        drop(other);
        let both = [permits.take(Timestamp(2)), permits.take(Timestamp(2))];
        let both = futures::future::join_all(both).now_or_never();
        assert_eq!(both.map(|permits| permits.len()), Some(2));
    }
}
