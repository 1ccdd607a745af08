//! Places that are taken in the order of a rank; it may not know what they are for.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use crate::domain::time::Timestamp;

/// So many places, and those who wait for one.
#[derive(Debug)]
pub(super) struct Places(Mutex<Line>);

#[derive(Debug)]
struct Line {
    free: usize,
    arrived: u64,
    waiting: BinaryHeap<Waiting>,
}

/// One who waits; the greatest is called first, which is the one of the lowest rank that came first.
#[derive(Debug)]
struct Waiting {
    rank: Reverse<(Timestamp, u64)>,
    call: oneshot::Sender<Place>,
}

/// A place that was taken, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Option<Arc<Places>>);

impl Places {
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Line {
            free: count.max(1),
            arrived: 0,
            waiting: BinaryHeap::new(),
        })))
    }

    /// Waits for a place; of those who wait, the one of the lowest rank gets the next.
    pub(super) async fn take(self: &Arc<Self>, rank: Timestamp) -> Place {
        loop {
            let called = {
                let mut line = self.line();
                if line.free > 0 {
                    line.free -= 1;
                    return Place(Some(Arc::clone(self)));
                }
                line.arrived += 1;
                let (call, called) = oneshot::channel();
                let rank = Reverse((rank, line.arrived));
                line.waiting.push(Waiting { rank, call });
                called
            };
            if let Ok(place) = called.await {
                return place;
            }
        }
    }

    /// Gives a place to the next who still waits for one.
    fn give_back(self: &Arc<Self>) {
        loop {
            let next = {
                let mut line = self.line();
                let next = line.waiting.pop();
                if next.is_none() {
                    line.free += 1;
                }
                next
            };
            let Some(next) = next else {
                return;
            };
            match next.call.send(Place(Some(Arc::clone(self)))) {
                Ok(()) => return,
                // It does not wait any more, and the place goes to the one behind it.
                Err(mut place) => place.0 = None,
            }
        }
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        // A line has no invariant that a panic elsewhere could break half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(places) = self.0.take() {
            places.give_back();
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
        let places = Places::new(1);
        let held = places.take(Timestamp(0)).await;
        let mut late = Box::pin(places.take(Timestamp(9)));
        let mut first = Box::pin(places.take(Timestamp(3)));
        let mut second = Box::pin(places.take(Timestamp(3)));
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
    async fn no_place_is_lost_with_those_who_stop_waiting() {
        let places = Places::new(2);
        let held = [
            places.take(Timestamp(0)).await,
            places.take(Timestamp(0)).await,
        ];
        let mut gone: Vec<_> = (0..100)
            .map(|_| Box::pin(places.take(Timestamp(1))))
            .collect();
        let mut called = Box::pin(places.take(Timestamp(0)));
        for waiting in gone.iter_mut().chain([&mut called]) {
            assert!(poll!(waiting).is_pending());
        }
        gone.clear();
        let [one, other] = held;
        // This one is called and stops before it hears of it.
        drop(one);
        drop(called);
        drop(other);
        let both = [places.take(Timestamp(2)), places.take(Timestamp(2))];
        let both = futures::future::join_all(both).now_or_never();
        assert_eq!(both.map(|places| places.len()), Some(2));
    }
}
