//! A report with a sequence number; it may not know who follows.

use super::{
    error::OperationError, id::ResourceId, lifecycle::State, progress::Progress, time::Timestamp,
};

/// One step in the story of a resource, written with the change it tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Whose story.
    pub resource: ResourceId,
    /// Counts from 1 without a gap within its resource.
    pub sequence: u64,
    /// When it was written.
    pub time: Timestamp,
    /// The state from then on.
    pub state: State,
    /// The same for people.
    pub runtime_state: String,
    /// In numbers.
    pub progress: Progress,
    /// Why it failed.
    pub error: Option<OperationError>,
}
