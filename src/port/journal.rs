//! What the engine keeps of its work: lanes, and what happened in them; it may not know SQL, nor what
//! callers ask for.
//!
//! One method is one transaction. One that fails with [`JournalError::Unavailable`] may or may not have
//! taken effect: that is repaired by the epoch, and by loading the lane anew.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use super::store::StoreError;
use crate::domain::{
    decision::{Detail, Ending, Report},
    effect::Effect,
    id::{Lane, OperationId, ReplicaId, ResourceId, Tenant},
    ledger::Ledger,
    lifecycle::State,
    operation::Operation,
    time::Timestamp,
};

/// Why something of a lane was not read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// The lane has another owner, or another epoch.
    #[error("the lane of {0} is not ours any more")]
    Fenced(Tenant),
    /// What is to be written about is not there any more, or not in this lane.
    #[error("{0} changed meanwhile")]
    Outdated(ResourceId),
    /// The database does not answer, is full or locked; trying again later can help.
    #[error("the store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored cannot be read: a newer version of this service wrote it, or a foreign hand.
    #[error("the store holds something unreadable: {0}")]
    Unreadable(String),
    /// The database said no to what was to be written; a defect.
    #[error("the store refused what was written: {0}")]
    Defect(String),
}

impl From<StoreError> for JournalError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound(about) | StoreError::Outdated(about) => Self::Outdated(about),
            StoreError::Unavailable(problem) => Self::Unavailable(problem),
            StoreError::Unreadable(problem) => Self::Unreadable(problem),
            StoreError::Defect(problem) => Self::Defect(problem),
            // Nothing that a lane does is an admission.
            StoreError::RequestReused | StoreError::InUse(_) | StoreError::BuiltUpon(_) => {
                Self::Defect(error.to_string())
            }
        }
    }
}

/// What one turn changed in one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The operation.
    pub operation: OperationId,
    /// The resource it works on.
    pub resource: ResourceId,
    /// Rows of the ledger that are new or changed.
    pub effects: Vec<Effect>,
    /// What the resource tells from now on, where that changed; written with an event.
    pub update: Option<ResourceUpdate>,
    /// How long nobody worked at the operation by now, where that changed: see [`Operation::idle`].
    pub idle: Option<Duration>,
    /// Whether the operation has ended; `Open` leaves it open.
    pub ending: Ending,
}

/// What a resource tells from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct ResourceUpdate {
    /// The state. `Deleted` removes the resource and leaves its events.
    pub state: State,
    /// The texts and numbers; `report.detail` of `None` leaves what is there.
    pub report: Report,
    /// Whether `report.detail` differs from what was written last; otherwise it is left alone.
    pub detail_changed: bool,
    /// The time of the change.
    pub time: Timestamp,
}

/// An open operation with its ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenOperation {
    /// The operation.
    pub operation: Operation,
    /// Its ledger.
    pub ledger: Ledger,
    /// What its resource holds by now.
    pub detail: Option<Detail>,
}

/// An open operation that this version cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadOperation {
    /// Which one.
    pub operation: OperationId,
    /// The resource that it works on, where that can be read.
    pub resource: Option<ResourceId>,
    /// What cannot be read.
    pub problem: String,
}

/// What a lane has to do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Loaded {
    /// The open operations with their ledgers.
    pub open: Vec<OpenOperation>,
    /// Those that this version cannot read; they are left as they are.
    pub unread: Vec<UnreadOperation>,
}

/// The journal of the engines: who owns which lane, and what was done in it. Rows are read one by one,
/// and one that cannot be read holds up no other.
#[async_trait]
pub trait Journal: Send + Sync {
    /// A number that changes whenever an operation was admitted or cancelled.
    fn admissions(&self) -> watch::Receiver<u64>;

    /// Says that `replica` takes part for `lease`, by the store's own clock, renews for as long the
    /// lanes with open operations that it owns, and takes over such lanes that have no live owner: at
    /// most `limit` in all, and no more than its share, which is what there is divided by the replicas
    /// that take part, rounded up. The time since anybody attended to a lane that is taken over is added
    /// to how long nobody worked at its operations. What it owns already stays its own, also beyond its
    /// share; a lane without open operations is not renewed. A lane that changes owner gets the next epoch.
    /// The operations in `unread` count as none, because `replica` cannot read them: a lane that has no
    /// others is left to one that can. Harmless to repeat.
    async fn lanes_claim(
        &self,
        replica: &ReplicaId,
        lease: Duration,
        limit: u32,
        unread: &[OperationId],
    ) -> Result<Vec<Lane>, JournalError>;

    /// Gives a lane back, so that another replica need not wait for its lease to end.
    async fn lane_release(&self, lane: &Lane) -> Result<(), JournalError>;

    /// Gives back every lane that `replica` owns, and lets the others know at once; it takes part no
    /// more until it claims again. Harmless to repeat.
    async fn replica_leave(&self, replica: &ReplicaId) -> Result<(), JournalError>;

    /// The open operations of a lane with their ledgers, except those in `known` that were not
    /// cancelled. `Fenced` when the epoch is old.
    async fn lane_load(&self, lane: &Lane, known: &[OperationId]) -> Result<Loaded, JournalError>;

    /// Says on the resource of an open operation, by its runtime state and an event, why nothing is done
    /// for it here. Nothing else of it changes, and nothing at all where it says so already or cannot be
    /// read itself. `Fenced` when the epoch is old. Harmless to repeat.
    async fn operation_set_aside(
        &self,
        lane: &Lane,
        resource: ResourceId,
        why: &str,
    ) -> Result<(), JournalError>;

    /// Writes what one turn of a lane changed, in all its operations: ledger rows, resources, events
    /// and mirrors of restorations change together or not at all. `Fenced` when the epoch is old,
    /// `Outdated` when one of the operations has ended or is in another lane.
    async fn turn_record(&self, lane: &Lane, turns: Vec<Turn>) -> Result<(), JournalError>;
}
