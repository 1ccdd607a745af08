//! What a transaction tells when it ends, and how those who wait hear that it did; it may not know what
//! was written beside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::event::Event;

/// What a transaction tells when it is committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CommitNotice {
    /// Its events, without positions. Whoever ends the transaction writes them as its last thing: they
    /// get the next positions, and nobody else can write events from then to the commit.
    pub(super) events: Vec<Event>,
    /// An operation was admitted or cancelled.
    pub(super) admissions: bool,
}

impl CommitNotice {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        events: Vec::new(),
        admissions: false,
    };

    /// An operation and nothing else.
    pub(super) const ADMISSIONS: Self = Self {
        events: Vec::new(),
        admissions: true,
    };

    /// Events and nothing else.
    pub(super) fn of(events: Vec<Event>) -> Self {
        Self {
            events,
            admissions: false,
        }
    }

    /// Who is to be woken for them.
    pub(super) fn wake(&self) -> Wake {
        Wake {
            changes: !self.events.is_empty(),
            admissions: self.admissions,
        }
    }
}

/// What a transaction gives others reason to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Wake {
    /// Events were written.
    pub(super) changes: bool,
    /// An operation was admitted or cancelled.
    pub(super) admissions: bool,
}

impl Wake {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        changes: false,
        admissions: false,
    };
    /// Everybody.
    pub(super) const BOTH: Self = Self {
        changes: true,
        admissions: true,
    };
}

/// The two numbers that change.
#[derive(Debug, Clone)]
pub(super) struct Notifier {
    changes: Arc<watch::Sender<u64>>,
    admissions: Arc<watch::Sender<u64>>,
}

impl Notifier {
    /// Both at the beginning.
    pub(super) fn new() -> Self {
        Self {
            changes: Arc::new(watch::Sender::new(0)),
            admissions: Arc::new(watch::Sender::new(0)),
        }
    }

    /// Wakes who waits for it. To be called after the commit: whoever wakes earlier reads the old rows.
    pub(super) fn wake(&self, wake: Wake) {
        if wake.changes {
            self.changes.send_modify(|number| *number += 1);
        }
        if wake.admissions {
            self.admissions.send_modify(|number| *number += 1);
        }
    }

    /// The number of the events.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The number of the operations.
    pub(super) fn admissions(&self) -> watch::Receiver<u64> {
        self.admissions.subscribe()
    }
}
