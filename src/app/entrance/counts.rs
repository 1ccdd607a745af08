//! Who is not let in, and why, as numbers for the metrics and as lines of the log that do not grow with
//! the number of those who try; it may not know how anybody is kept out.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

/// Why a caller was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::app) enum Reason {
    /// As many connections are open as may be.
    Connections,
    /// The process has no file left for a connection.
    Files,
    /// The handshake of TLS was not finished in time, or not at all.
    Handshake,
    /// No request came in time.
    FirstRequest,
    /// A request was not finished in time.
    Body,
    /// As many calls are under way as may be.
    Calls,
    /// As many calls or streams of this caller are under way as may be.
    Caller,
    /// A web page asked.
    WebPage,
    /// It was asked for by a name that is not one of this host.
    Host,
    /// It is not gRPC and not below the addresses of JSON.
    NoGrpc,
}

/// All of them, in their order.
const REASONS: [Reason; 10] = [
    Reason::Connections,
    Reason::Files,
    Reason::Handshake,
    Reason::FirstRequest,
    Reason::Body,
    Reason::Calls,
    Reason::Caller,
    Reason::WebPage,
    Reason::Host,
    Reason::NoGrpc,
];

impl Reason {
    /// Its name in logs and metrics.
    pub(in crate::app) fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Files => "files",
            Self::Handshake => "handshake",
            Self::FirstRequest => "first_request",
            Self::Body => "body",
            Self::Calls => "calls",
            Self::Caller => "caller",
            Self::WebPage => "web_page",
            Self::Host => "host",
            Self::NoGrpc => "no_grpc",
        }
    }
}

/// What is counted at the entrance.
#[derive(Debug)]
pub(in crate::app) struct Counts {
    /// The shortest time between two lines of the log about one reason.
    log_every: Duration,
    open: AtomicU64,
    refused: [AtomicU64; REASONS.len()],
    told: Mutex<[Told; REASONS.len()]>,
}

/// What the log knows of a reason.
#[derive(Debug, Clone, Copy, Default)]
struct Told {
    at: Option<Instant>,
    since: u64,
}

impl Counts {
    /// Nobody came yet.
    pub(in crate::app) fn new(log_every: Duration) -> Self {
        Self {
            log_every,
            open: AtomicU64::new(0),
            refused: Default::default(),
            told: Mutex::default(),
        }
    }

    /// One more connection, until what is returned is dropped.
    pub(super) fn opened(&self) -> Open<'_> {
        self.open.fetch_add(1, Relaxed);
        Open(self)
    }

    /// Connections that are open.
    pub(in crate::app) fn open(&self) -> u64 {
        self.open.load(Relaxed)
    }

    /// Somebody was not served. The log hears of the first at once, and of those after it now and then.
    pub(super) fn refused(&self, reason: Reason) {
        let index = reason as usize;
        if let Some(count) = self.refused.get(index) {
            count.fetch_add(1, Relaxed);
        }
        let mut all = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(told) = all.get_mut(index) else {
            return;
        };
        told.since += 1;
        let now = Instant::now();
        if told.at.is_none_or(|at| now - at >= self.log_every) {
            let times = told.since;
            *told = Told {
                at: Some(now),
                since: 0,
            };
            drop(all);
            warn!(reason = reason.name(), times, "not served at the entrance");
        }
    }

    /// How many were not served, by the reason; also those of which there was none.
    pub(in crate::app) fn refusals(&self) -> impl Iterator<Item = (Reason, u64)> {
        let counts = self.refused.iter().map(|count| count.load(Relaxed));
        REASONS.into_iter().zip(counts)
    }
}

/// A connection that is counted.
pub(super) struct Open<'a>(&'a Counts);

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_its_own_place() {
        let counts = Counts::new(Duration::from_secs(1));
        for (index, reason) in REASONS.into_iter().enumerate() {
            assert_eq!(reason as usize, index, "{reason:?}");
            counts.refused(reason);
            assert_eq!(counts.refusals().nth(index), Some((reason, 1)));
        }
    }
}
