//! Reads of the same kind that are wanted at the same time, done as one; this file may not know what
//! is read.
//!
//! Whoever wants something names its keys and waits for its turn. Whoever's turn it is waits a moment for
//! those who come with it, and reads for all who wait by then; those who come while that read is under
//! way share the next one. So nobody is given anything that was read before it was asked for, and one who
//! is alone reads alone.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::sleep};

use crate::domain::fault::Fault;

/// Those who want things of one kind with one token.
#[derive(Debug)]
pub(super) struct Coalescer<T> {
    /// Held by the one who reads.
    turn: tokio::sync::Mutex<()>,
    waiting: Mutex<Vec<Waiting<T>>>,
    /// How long one whose turn it is waits for others.
    pause: Duration,
}

#[derive(Debug)]
struct Waiting<T> {
    keys: Vec<String>,
    answer: oneshot::Sender<Result<Vec<T>, Fault>>,
}

impl<T> Coalescer<T> {
    /// Whoever reads waits so long for others.
    pub(super) fn new(pause: Duration) -> Self {
        Self {
            turn: tokio::sync::Mutex::default(),
            waiting: Mutex::default(),
            pause,
        }
    }
}

impl<T: Clone> Coalescer<T> {
    /// The things that have one of `keys`; `read` is given those of everybody who waits.
    pub(super) async fn get<R>(
        &self,
        keys: Vec<String>,
        key_of: impl Fn(&T) -> &str,
        read: impl FnOnce(Vec<String>) -> R,
    ) -> Result<Vec<T>, Fault>
    where
        R: Future<Output = Result<Vec<T>, Fault>>,
    {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let (answer, mut answered) = oneshot::channel();
        self.waiting().push(Waiting {
            keys: keys.clone(),
            answer,
        });
        // Answered all at once, and not one after the other as the turn goes through their hands: they
        // stay a crowd for what they want next.
        let _turn = tokio::select! {
            biased;
            Ok(found) = &mut answered => return found,
            turn = self.turn.lock() => turn,
        };
        if let Ok(found) = answered.try_recv() {
            return found;
        }
        // Of a hundred that were woken by one answer the first would else read alone, and the others after
        // it, at each of their reads again.
        sleep(self.pause).await;
        let together = std::mem::take(&mut *self.waiting());
        // One who read for us may have been dropped halfway, and our keys with it.
        let wanted: BTreeSet<String> = together
            .iter()
            .flat_map(|one| one.keys.iter().cloned())
            .chain(keys.iter().cloned())
            .collect();
        let found = read(wanted.into_iter().collect()).await;
        for one in together {
            let own = found
                .as_ref()
                .map(|found| having(found, &one.keys, &key_of))
                .map_err(Clone::clone);
            // Who was dropped meanwhile wants no answer.
            drop(one.answer.send(own));
        }
        found.map(|found| having(&found, &keys, &key_of))
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Vec<Waiting<T>>> {
        // A queue has no invariant that a panic elsewhere could break half-way.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// So many things are worth a list instead of a question for each.
const LIST_FROM: usize = 5;
/// A list may have so many rows for each thing that is wanted of it.
const ROWS_FOR_ONE: usize = 24;

/// How many rows a list may have that is read instead of asking for so many things one by one, if
/// any: a list of a large project must not cost the cloud more than the questions that it saves.
pub(super) fn worth_a_list(wanted: usize) -> Option<usize> {
    (wanted >= LIST_FROM).then_some(wanted * ROWS_FOR_ONE)
}

fn having<T: Clone>(found: &[T], keys: &[String], key_of: impl Fn(&T) -> &str) -> Vec<T> {
    found
        .iter()
        .filter(|thing| keys.iter().any(|key| key == key_of(thing)))
        .cloned()
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::future::{join, join_all};
    use tokio::{sync::Notify, time::timeout};

    use super::*;
    use crate::domain::fault::{FaultKind, Service};

    const PAUSE: Duration = Duration::from_millis(10);

    fn key(thing: &(String, usize)) -> &str {
        &thing.0
    }

    fn keys(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_during_a_read_share_the_next_one() {
        let coalescer = Coalescer::new(PAUSE);
        let (reads, open) = (AtomicUsize::new(0), Notify::new());
        let get = |name: &'static str, waits: bool| {
            let (coalescer, reads, open) = (&coalescer, &reads, &open);
            coalescer.get(keys(&[name]), key, move |wanted| async move {
                let number = reads.fetch_add(1, Ordering::Relaxed);
                if waits {
                    open.notified().await;
                }
                Ok(wanted.into_iter().map(|key| (key, number)).collect())
            })
        };
        let late = async {
            sleep(PAUSE * 2).await;
            let (others, ()) = join(
                join_all(["b", "c", "b"].map(|name| get(name, false))),
                async {
                    open.notify_one();
                },
            )
            .await;
            others
        };
        let (first, others) = join(get("a", true), late).await;
        assert_eq!(first, Ok(vec![("a".to_owned(), 0)]), "alone");
        for (answer, name) in others.into_iter().zip(["b", "c", "b"]) {
            assert_eq!(answer, Ok(vec![(name.to_owned(), 1)]), "together");
        }
        assert_eq!(reads.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_at_the_same_moment_share_the_first_one() {
        let coalescer = Coalescer::new(PAUSE);
        let reads = AtomicUsize::new(0);
        let get = |name: &'static str| {
            coalescer.get(keys(&[name]), key, |wanted| async {
                reads.fetch_add(1, Ordering::Relaxed);
                Ok(wanted.into_iter().map(|key| (key, 0)).collect())
            })
        };
        let answers = join_all(["a", "b", "c"].map(get)).await;
        for (answer, name) in answers.into_iter().zip(["a", "b", "c"]) {
            assert_eq!(answer, Ok(vec![(name.to_owned(), 0)]));
        }
        assert_eq!(reads.load(Ordering::Relaxed), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn one_who_reads_and_is_dropped_leaves_nobody_waiting() {
        let coalescer = Coalescer::new(PAUSE);
        let mut first = Box::pin(coalescer.get(keys(&["a"]), key, |_| std::future::pending()));
        assert!(timeout(PAUSE * 2, &mut first).await.is_err());
        let mut second = Box::pin(coalescer.get(keys(&["b"]), key, |wanted| async move {
            Ok(wanted.into_iter().map(|key| (key, 7)).collect())
        }));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert_eq!(second.await, Ok(vec![("b".to_owned(), 7)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_is_shared_and_not_kept() {
        let coalescer: Coalescer<(String, usize)> = Coalescer::new(PAUSE);
        let fault = Fault::new(FaultKind::Unreachable, Service::Compute, "read", "refused");
        let failed = coalescer
            .get(keys(&["a"]), key, |_| async { Err(fault.clone()) })
            .await;
        assert_eq!(failed, Err(fault));
        let again = coalescer
            .get(keys(&["a"]), key, |_| async {
                Ok(vec![("a".to_owned(), 1)])
            })
            .await;
        assert_eq!(again, Ok(vec![("a".to_owned(), 1)]));
    }
}
