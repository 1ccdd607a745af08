//! Counts what an engine brings to its end; it may not know who asks.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
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
    /// The same, because a caller wanted that: nothing is wrong.
    Cancelled,
}

impl Ended {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Erred, Self::Cancelled];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Erred => "erred",
            Self::Cancelled => "cancelled",
        }
    }

    /// How an operation ended, where it did.
    pub(super) fn of(ending: &Ending) -> Option<Self> {
        match ending {
            Ending::Open => None,
            Ending::Done => Some(Self::Done),
            Ending::Erred(error) if error.is_cancelled() => Some(Self::Cancelled),
            Ending::Erred(_) => Some(Self::Erred),
        }
    }
}

/// What tells the durations of operations apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    kind: &'static str,
    outcome: &'static str,
}

/// How long operations took, by kind and outcome.
pub type Durations = Family<Labels, Histogram>;

/// What tells the durations of phases apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct PhaseLabels {
    kind: &'static str,
    phase: String,
}

/// How long phases of operations took, by the kind of the operation.
pub type PhaseDurations = Family<PhaseLabels, Histogram>;

/// From an instant simulation to a volume of many TiB, in seconds.
const BUCKETS: [f64; 10] = [
    1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0,
];

/// How many operations ended, by cloud, kind and outcome.
type EndCounts = BTreeMap<(CloudName, &'static str, Ended), u64>;

/// What an engine counts, for others to read while it runs.
#[derive(Debug, Clone)]
pub struct Meter {
    gate: Arc<CallGate>,
    asides: Asides,
    ended: Arc<Mutex<EndCounts>>,
    lanes: Arc<AtomicU64>,
    durations: Durations,
    phases: PhaseDurations,
}

impl Meter {
    /// One that counts nothing yet.
    pub(super) fn new(gate: Arc<CallGate>, asides: Asides) -> Self {
        Self {
            gate,
            asides,
            ended: Arc::default(),
            lanes: Arc::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            phases: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
        }
    }

    /// Counts an operation of a kind in a cloud that ended, so long after it was admitted.
    pub(super) fn count(
        &self,
        cloud: &CloudName,
        kind: &'static str,
        ended: Ended,
        after: Duration,
    ) {
        let outcome = ended.name();
        let durations = self.durations.get_or_create(&Labels { kind, outcome });
        durations.observe(after.as_secs_f64());
        // A number has no invariant that a panic elsewhere could break half-way.
        let mut counts = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry((cloud.clone(), kind, ended)).or_default() += 1;
    }

    /// Counts a phase that an operation of a kind has left, after so long.
    pub(super) fn count_phase(&self, kind: &'static str, phase: &str, after: Duration) {
        let phase = phase.to_lowercase();
        let durations = self.phases.get_or_create(&PhaseLabels { kind, phase });
        durations.observe(after.as_secs_f64());
    }

    /// Notes how many lanes run here.
    pub(super) fn note_lanes(&self, count: usize) {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.lanes.store(count, Ordering::Relaxed);
    }

    /// How many operations of each kind ended here in each cloud, and how.
    pub fn ended(&self) -> Vec<(CloudName, &'static str, Ended, u64)> {
        let counts = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter();
        counts
            .map(|((cloud, kind, ended), count)| (cloud.clone(), *kind, *ended, *count))
            .collect()
    }

    /// How long those took, from their admission.
    pub fn durations(&self) -> Durations {
        self.durations.clone()
    }

    /// How long the phases of operations took, as far as this process saw them.
    pub fn phases(&self) -> PhaseDurations {
        self.phases.clone()
    }

    /// How many lanes run here.
    pub fn lanes(&self) -> u64 {
        self.lanes.load(Ordering::Relaxed)
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
