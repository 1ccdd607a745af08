//! The head of a resource: where it stands; it may not know what the resource is.

use super::{error::OperationError, lifecycle::State, progress::Progress, time::Timestamp};

/// Where a resource stands that operations change.
#[derive(Debug, Clone, PartialEq)]
pub struct Head {
    /// For programs.
    pub state: State,
    /// For people.
    pub runtime_state: String,
    /// Both in numbers.
    pub progress: Progress,
    /// Why the last operation failed.
    pub error: Option<OperationError>,
    /// When it was admitted.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Grows with every change; the etag.
    pub revision: i64,
}

impl Head {
    /// That of a resource whose making is asked for now.
    pub fn scheduled(now: Timestamp) -> Self {
        Self {
            state: State::CreationScheduled,
            runtime_state: "Scheduled".to_owned(),
            progress: Progress::default(),
            error: None,
            created: now,
            updated: now,
            revision: 1,
        }
    }

    /// The head that says `why` nothing is done for the resource, and is otherwise the same; nothing where it
    /// says so already.
    pub fn set_aside(&self, why: &str, now: Timestamp) -> Option<Self> {
        (self.runtime_state != why).then(|| Self {
            runtime_state: why.to_owned(),
            updated: now,
            revision: self.revision + 1,
            ..self.clone()
        })
    }
}
