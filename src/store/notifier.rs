//! What a transaction tells when it ends, and how those who wait hear that it did; it may not know what
//! was written beside.

use std::sync::Arc;

use tokio::sync::watch;

use crate::domain::{
    audit::{Note, What},
    event::Event,
};

/// What a transaction tells when it is committed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct CommitNotice {
    /// Its events, without positions. Whoever ends the transaction writes them as its last thing: they
    /// get the next positions, and nobody else can write events from then to the commit.
    pub(super) events: Vec<Event>,
    /// What it enters in the audit, without numbers: written like the events, and for the same reason.
    pub(super) audit: Vec<Note>,
    /// An operation was admitted or cancelled.
    pub(super) admissions: bool,
}

impl CommitNotice {
    /// Nothing.
    pub(super) const NONE: Self = Self {
        events: Vec::new(),
        audit: Vec::new(),
        admissions: false,
    };

    /// An operation and nothing else.
    pub(super) const ADMISSIONS: Self = Self {
        events: Vec::new(),
        audit: Vec::new(),
        admissions: true,
    };

    /// Events and nothing else.
    pub(super) fn of(events: Vec<Event>) -> Self {
        Self {
            events,
            audit: Vec::new(),
            admissions: false,
        }
    }

    /// The same with an entry of the audit.
    pub(super) fn with(mut self, note: Note) -> Self {
        self.audit.push(note);
        self
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

/// What a transaction wrote, once it is committed.
#[derive(Debug)]
pub(super) struct Committed {
    /// Who is to be woken.
    pub(super) wake: Wake,
    /// What was entered in the audit, with the numbers that it got.
    pub(super) audit: Vec<(u64, Note)>,
}

impl Committed {
    /// Nothing.
    pub(super) const NOTHING: Self = Self {
        wake: Wake::NONE,
        audit: Vec::new(),
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

    /// Wakes who waits for it, and says in the log what was accepted: not earlier, since nothing is before
    /// the commit.
    pub(super) fn committed(&self, done: &Committed) {
        self.wake(done.wake);
        for (number, note) in &done.audit {
            tell(*number, note);
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

/// One line for what was accepted. The end of it has a line of the engine, a call of an admin has none.
fn tell(number: u64, note: &Note) {
    match &note.what {
        What::Accepted {
            method,
            request_id,
            makes,
        } => {
            let (who, object) = (&note.who, &note.object);
            let request_id = Some(request_id).filter(|id| !id.is_empty());
            tracing::info!(
                audit = number,
                method,
                request_id,
                kind = object.kind,
                id = object.id,
                makes = makes.as_ref().map(|made| made.id.as_str()),
                cloud = object.cloud,
                tenant = object.tenant,
                caller = who.name,
                via = who.via,
                door = who.door,
                address = who.address.map(tracing::field::display),
                "accepted"
            );
        }
        What::Ended { .. } | What::AdminUsed { .. } => {}
    }
}
