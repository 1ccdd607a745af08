//! Counts what an engine brings to its end; it may not know who asks.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    aside::{Asides, Why},
    call_gate::CallGate,
};
use crate::domain::{decision::Ending, id::CloudName};

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ended {
    /// It reached its goal.
    Done,
    /// It gave up, with everything cleaned up.
    Erred,
}

impl Ended {
    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Erred => "erred",
        }
    }

    /// How an operation ended, where it did.
    pub(super) fn of(ending: &Ending) -> Option<Self> {
        match ending {
            Ending::Open => None,
            Ending::Done => Some(Self::Done),
            Ending::Erred(_) => Some(Self::Erred),
        }
    }
}

/// What an engine counts, for others to read while it runs.
#[derive(Debug, Clone)]
pub struct Meter {
    gate: Arc<CallGate>,
    asides: Asides,
    ended: Arc<Mutex<BTreeMap<(&'static str, Ended), u64>>>,
}

impl Meter {
    /// One that counts nothing yet.
    pub(super) fn new(gate: Arc<CallGate>, asides: Asides) -> Self {
        Self {
            gate,
            asides,
            ended: Arc::default(),
        }
    }

    /// Counts an operation of a kind that ended.
    pub(super) fn count(&self, kind: &'static str, ended: Ended) {
        // A number has no invariant that a panic elsewhere could break half-way.
        let mut counts = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((kind, ended)).or_default() += 1;
    }

    /// How many operations of each kind ended here, and how.
    pub fn ended(&self) -> Vec<(&'static str, Ended, u64)> {
        let counts = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter();
        counts
            .map(|((kind, ended), count)| (*kind, *ended, *count))
            .collect()
    }

    /// How many operations are set aside here, for each reason.
    pub fn set_aside(&self) -> Vec<(Why, u64)> {
        self.asides.count()
    }

    /// The clouds that are not asked for now, because they do not answer.
    pub fn closed(&self) -> Vec<CloudName> {
        self.gate.closed()
    }
}
