//! Operations that are left alone for a while, because they cannot be read, planned or written; it may
//! not know why in any more than words.
//!
//! One such operation holds up no other. It is tried again after a pause, and says on its resource
//! meanwhile that nothing is done for it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use crate::domain::id::OperationId;

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
        let all = self.all();
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
