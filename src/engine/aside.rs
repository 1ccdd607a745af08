//! Operations that are left alone for a while, because they cannot be read, planned or written; it may
//! not know why in any more than words.
//!
//! One such operation holds up no other. It is tried again after a pause, and says on its resource
//! meanwhile that nothing is done for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::turn::ActiveOperation;
use crate::{
    domain::id::{OperationId, ResourceId},
    port::journal::JournalError,
};

/// Why an operation is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// This version cannot read it: another replica may.
    Unread,
    /// Its planner panics.
    Planner,
    /// The store refuses what is to be written about it.
    Unwritten,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unread, Self::Planner, Self::Unwritten];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Planner => "planner",
            Self::Unwritten => "unwritten",
        }
    }
}

/// What nobody here has come back to for so long after its pause is another replica's by now, or at its end.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);

/// What all lanes of an engine have set aside.
#[derive(Debug, Clone, Default)]
pub(super) struct Asides(Arc<Mutex<HashMap<OperationId, (Why, Instant)>>>);

impl Asides {
    fn all(&self) -> MutexGuard<'_, HashMap<OperationId, (Why, Instant)>> {
        // A map has no invariant that a panic elsewhere could break half-way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is left alone until then.
    pub(super) fn put(&self, operation: OperationId, why: Why, until: Instant) {
        self.all().insert(operation, (why, until));
    }

    /// It goes on.
    pub(super) fn remove(&self, operation: OperationId) {
        self.all().remove(&operation);
    }

    /// Those that this replica cannot read and does not try to now.
    pub(super) fn unread(&self, now: Instant) -> Vec<OperationId> {
        let mut all = self.all();
        all.retain(|_, (_, until)| now < *until + FORGOTTEN_AFTER);
        let left = all
            .iter()
            .filter(|(_, (why, until))| *why == Why::Unread && now < *until);
        left.map(|(id, _)| *id).collect()
    }

    /// How many there are, for each reason.
    pub(super) fn count(&self) -> Vec<(Why, u64)> {
        let all = self.all();
        let of = |why| all.values().filter(|(other, _)| *other == why).count();
        let counts = Why::ALL.map(|why| (why, u64::try_from(of(why)).unwrap_or(u64::MAX)));
        counts.into()
    }
}

/// An operation that is to be left alone.
pub(super) struct SetAside {
    pub(super) operation: OperationId,
    pub(super) resource: Option<ResourceId>,
    pub(super) why: Why,
    /// For its resource.
    pub(super) told: String,
    pub(super) until: Instant,
}

/// Whether the store refused something for what is in it, and not for how things stand.
pub(super) fn is_about_a_row(error: &JournalError) -> bool {
    match error {
        JournalError::Unreadable(_) | JournalError::Defect(_) => true,
        JournalError::Fenced(_) | JournalError::Outdated(_) | JournalError::Unavailable(_) => false,
    }
}

/// An operation whose planner panicked.
pub(super) fn panicked(active: &ActiveOperation, panic: &str, now: Instant) -> SetAside {
    let operation = active.operation.id;
    tracing::error!(%operation, panic, "a planner panicked; its operation is held, and everything else goes on");
    let until = active
        .stands_still(now)
        .and_then(|wait_plan| wait_plan.until);
    SetAside {
        operation,
        resource: Some(active.operation.resource),
        why: Why::Planner,
        told: format!("Held: a defect of this version stops it ({panic}); it is tried again"),
        until: until.unwrap_or(now),
    }
}
