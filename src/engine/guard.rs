//! A call that ends with the lease under which it was begun; it may not know what it asks for.
//!
//! A process may stand still at any instruction for longer than its lease: stopped, swapped out,
//! starved. When it goes on, another replica acts in its place. So the lease is looked at not once
//! when a call begins but each time before the call gets on by a step: whatever it would have sent
//! next stays unsent. What it had handed to a connection in the very step before the standstill may
//! still leave; that is a request without an answer, which the next owner looks for anyway.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{sync::watch, time::Instant};

/// A call under a lease; it answers nothing when the lease ended first.
pub(super) struct Guarded<T> {
    call: Pin<Box<dyn Future<Output = T> + Send>>,
    acts_until: watch::Receiver<Instant>,
}

impl<T> Guarded<T> {
    /// Lets `call` get on while `acts_until` lies ahead.
    pub(super) fn new(
        call: impl Future<Output = T> + Send + 'static,
        acts_until: watch::Receiver<Instant>,
    ) -> Self {
        Self {
            call: Box::pin(call),
            acts_until,
        }
    }
}

impl<T> Future for Guarded<T> {
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        // An answer that is there already is given up as well: it may be older than what the next
        // owner has done since.
        if Instant::now() >= *self.acts_until.borrow() {
            return Poll::Ready(None);
        }
        self.call.as_mut().poll(context).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::Duration,
    };

    use tokio::time::{advance, sleep};

    use super::*;

    const LEASE: Duration = Duration::from_secs(10);

    /// A call of three requests, each of which takes four seconds to be answered.
    fn call(sent: &Arc<AtomicU32>) -> impl Future<Output = u32> + Send + 'static {
        let sent = Arc::clone(sent);
        async move {
            for _ in 0..3 {
                sent.fetch_add(1, Ordering::SeqCst);
                sleep(Duration::from_secs(4)).await;
            }
            sent.load(Ordering::SeqCst)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_sends_nothing_more_once_its_lease_has_ended() {
        let sent = Arc::new(AtomicU32::new(0));
        let (_lease, acts_until) = watch::channel(Instant::now() + LEASE);
        let mut guarded = tokio::spawn(Guarded::new(call(&sent), acts_until));
        tokio::task::yield_now().await;
        assert_eq!(sent.load(Ordering::SeqCst), 1, "the first request left");
        // All stands still, the way SIGSTOP does it; the answer is there when it goes on.
        advance(LEASE).await;
        assert_eq!((&mut guarded).await.expect("no panic"), None);
        assert_eq!(sent.load(Ordering::SeqCst), 1, "and no other one");
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_not_begun_in_time_is_never_begun() {
        let sent = Arc::new(AtomicU32::new(0));
        let (_lease, acts_until) = watch::channel(Instant::now() + LEASE);
        let guarded = Guarded::new(call(&sent), acts_until);
        advance(LEASE).await;
        assert_eq!(guarded.await, None);
        assert_eq!(sent.load(Ordering::SeqCst), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_lives_on_in_a_lease_that_is_renewed() {
        let sent = Arc::new(AtomicU32::new(0));
        let (lease, acts_until) = watch::channel(Instant::now() + LEASE);
        let guarded = tokio::spawn(Guarded::new(call(&sent), acts_until));
        sleep(Duration::from_secs(9)).await;
        lease.send_replace(Instant::now() + LEASE);
        assert_eq!(guarded.await.expect("no panic"), Some(3));
    }
}
