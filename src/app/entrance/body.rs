//! The body of a request that has to come in time; it may not know what is in it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use futures::FutureExt as _;
use http_body::{Frame, SizeHint};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

/// A body that breaks off at its deadline.
pub(super) struct Timely {
    inner: Body,
    deadline: Instant,
    /// Waits for the deadline, once there was something to wait for.
    alarm: Option<Pin<Box<Sleep>>>,
    late: Late,
    /// What is held until all of it has come.
    place: Option<OwnedSemaphorePermit>,
}

/// Whether a body broke off because it was late.
#[derive(Clone, Default)]
pub(super) struct Late(Arc<AtomicBool>);

impl Late {
    pub(super) fn is_so(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Timely {
    /// The same body with a deadline; the place is given back when all of it has come.
    pub(super) fn of(
        inner: Body,
        deadline: Instant,
        place: Option<OwnedSemaphorePermit>,
    ) -> (Body, Late) {
        let late = Late::default();
        if http_body::Body::is_end_stream(&inner) {
            return (inner, late);
        }
        let body = Self {
            inner,
            deadline,
            alarm: None,
            late: late.clone(),
            place,
        };
        (Body::new(body), late)
    }
}

impl http_body::Body for Timely {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        match polled {
            Poll::Ready(None) => {
                self.place = None;
                Poll::Ready(None)
            }
            Poll::Ready(Some(frame)) => Poll::Ready(Some(frame)),
            Poll::Pending => {
                let deadline = self.deadline;
                let alarm = self
                    .alarm
                    .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
                if alarm.poll_unpin(context).is_pending() {
                    return Poll::Pending;
                }
                self.late.0.store(true, Relaxed);
                // Nothing of what came is of use any more.
                self.inner = Body::empty();
                self.place = None;
                Poll::Ready(Some(Err(axum::Error::new(
                    "the request did not end in time",
                ))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
