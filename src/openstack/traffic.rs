//! What is counted of the calls to a cloud; this file may not know how a call is made.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, histogram::Histogram},
};

use crate::domain::{fault::Service, id::CloudName};

/// How often a cloud was called, by kind of call and by outcome, and how long it took.
#[derive(Debug)]
pub(super) struct Traffic {
    cloud: CloudName,
    calls: [[AtomicU64; CallOutcome::ALL.len()]; CallKind::ALL.len()],
    /// Whether the last call had no answer.
    silent: AtomicBool,
    durations: Durations,
}

/// What tells the durations of calls apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Labels {
    cloud: String,
    service: String,
}

/// How long calls took, by cloud and service, whatever came of them.
pub type Durations = Family<Labels, Histogram>;

/// From a list of little to the deadline of a slow write, in seconds.
const BUCKETS: [f64; 10] = [0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0];

/// Nothing measured yet.
pub(super) fn durations() -> Durations {
    Family::new_with_constructor(|| Histogram::new(BUCKETS))
}

/// A kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallKind {
    /// It changes nothing.
    Read,
    /// It may change something.
    Write,
    /// It asks for a token.
    Login,
}

/// What came of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallOutcome {
    /// What was asked.
    Success,
    /// A refusal: a status from 300 to 499.
    Refused,
    /// A trouble of the cloud: a status from 500.
    Failed,
    /// No answer, or none that can be used.
    Unanswered,
}

/// How often a cloud was called in one way with one outcome since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrafficCount {
    /// The kind of call.
    pub kind: CallKind,
    /// What came of it.
    pub outcome: CallOutcome,
    /// How often.
    pub calls: u64,
}

impl CallKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Login];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Login => "login",
        }
    }
}

impl CallOutcome {
    /// All outcomes.
    pub const ALL: [Self; 4] = [Self::Success, Self::Refused, Self::Failed, Self::Unanswered];

    /// Its name, for metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Unanswered => "unanswered",
        }
    }

    pub(super) fn of(status: u16) -> Self {
        match status {
            ..300 => Self::Success,
            300..500 => Self::Refused,
            500.. => Self::Failed,
        }
    }
}

impl Traffic {
    /// Counts nothing yet; `durations` may be shared with other clouds.
    pub(super) fn new(cloud: CloudName, durations: Durations) -> Self {
        Self {
            cloud,
            calls: Default::default(),
            silent: AtomicBool::new(false),
            durations,
        }
    }

    pub(super) fn add(
        &self,
        service: Service,
        kind: CallKind,
        outcome: CallOutcome,
        took: Duration,
    ) {
        let labels = Labels {
            cloud: self.cloud.to_string(),
            service: service.project().to_ascii_lowercase(),
        };
        let duration = self.durations.get_or_create(&labels);
        duration.observe(took.as_secs_f64());
        let silent = outcome == CallOutcome::Unanswered;
        self.silent.store(silent, Ordering::Relaxed);
        // Both are in the order in which they are declared.
        if let Some(count) = self
            .calls
            .get(kind as usize)
            .and_then(|row| row.get(outcome as usize))
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the last call was answered, in whatever way; true before the first one.
    pub(super) fn is_answered(&self) -> bool {
        !self.silent.load(Ordering::Relaxed)
    }

    /// Everything that was counted.
    pub(super) fn count(&self) -> Vec<TrafficCount> {
        let rows = CallKind::ALL.into_iter().zip(&self.calls);
        rows.flat_map(|(kind, row)| {
            let cells = CallOutcome::ALL.into_iter().zip(row);
            cells.map(move |(outcome, count)| TrafficCount {
                kind,
                outcome,
                calls: count.load(Ordering::Relaxed),
            })
        })
        .collect()
    }
}
