//! Tells those who wait that something was written; it may not know what.

use std::sync::Arc;

use tokio::sync::watch;

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
    /// Events.
    pub(super) const CHANGES: Self = Self {
        changes: true,
        admissions: false,
    };
    /// An operation.
    pub(super) const ADMISSIONS: Self = Self {
        changes: false,
        admissions: true,
    };
    /// Events and an operation.
    pub(super) const BOTH: Self = Self {
        changes: true,
        admissions: true,
    };
}

/// The two numbers that change.
#[derive(Debug, Clone)]
pub(super) struct Wakes {
    changes: Arc<watch::Sender<u64>>,
    admissions: Arc<watch::Sender<u64>>,
}

impl Wakes {
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
