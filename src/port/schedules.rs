//! What the core keeps about schedules and their runs; it may not know SQL or which database it is.
//!
//! The rules are those of [`super::store`]: one method is one transaction and one business fact.

use async_trait::async_trait;

use super::store::{Admitted, Asked, RequestKey, StoreError};
use crate::domain::{
    error::OperationError,
    id::{CloudName, ScheduleId, Tenant},
    operation::Operation,
    page::{Cursor, Page, Query},
    point::{Point, PointFacts},
    schedule::{Run, RunOutcome, Schedule},
    time::Timestamp,
};

/// A point, `CREATION_SCHEDULED`, with the operation that makes it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewPoint {
    /// The point.
    pub point: Point,
    /// The operation.
    pub operation: Operation,
}

/// What became of the point of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Made {
    /// It is good.
    Good,
    /// Its making failed.
    Failed(Option<OperationError>),
    /// It is gone.
    Gone,
}

/// A point as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptPoint {
    /// The point.
    pub point: PointFacts,
    /// Whether a restoration of it runs.
    pub used: bool,
}

/// How old what a schedule made is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Freshness {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Its name.
    pub name: String,
    /// Where its instance lives.
    pub tenant: Tenant,
    /// When it runs: a cron expression, and the zone on whose wall clock it is read.
    pub calendar: (String, String),
    /// When it was made.
    pub created: Timestamp,
    /// When its newest good point was begun.
    pub good: Option<Timestamp>,
    /// When the newest of its good points was begun that was seen, and against which nothing speaks.
    pub verified: Option<Timestamp>,
}

/// The store of schedules.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// What a repeat of a request about schedules answers, if one of that key was admitted before;
    /// as [`super::store::Store::point_answered`].
    async fn schedule_answered(&self, key: &RequestKey) -> Result<Option<Schedule>, StoreError>;

    /// Writes the request key, the schedule and its first event.
    async fn schedule_admit(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError>;

    /// Writes everything of `schedule`, whose `revision` must be the current one, with an event.
    async fn schedule_change(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError>;

    /// Writes that a schedule waits for its turn: when its next run begins, and what it says. Nothing changes
    /// that anybody asked for, so that no entry of the audit tells of it.
    async fn schedule_wait(&self, schedule: Schedule) -> Result<(), StoreError>;

    /// Removes `schedule`, whose `revision` must be the current one, with its runs; its points stay,
    /// and so do its events, of which the last tells that it is gone.
    async fn schedule_remove(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError>;

    /// One schedule.
    async fn schedule_get(&self, id: ScheduleId) -> Result<Schedule, StoreError>;

    /// A page of schedules.
    async fn schedules_list(&self, query: Query) -> Result<Page<Schedule>, StoreError>;

    /// The active schedules whose next run begins at `now` or before, the longest due first, at most
    /// `limit`; and when the next one after `now` begins, if one does.
    async fn schedules_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Schedule>, Option<Timestamp>), StoreError>;

    /// The answer to an earlier request of this key to run a schedule; `RequestReused` when it had
    /// other content.
    async fn run_answered(&self, key: &RequestKey) -> Result<Option<Run>, StoreError>;

    /// Writes that a run began, or that it was skipped: the request key, the schedule as it goes on,
    /// the run, and the point that it makes with its operation and first event. `Outdated` when the
    /// schedule changed since it was read, so that of several replicas one runs it.
    async fn run_begin(
        &self,
        asked: Asked,
        schedule: Schedule,
        run: Run,
        point: Option<NewPoint>,
    ) -> Result<Run, StoreError>;

    /// Writes how a run ended, and the schedule as it goes on. `Outdated` when the schedule changed
    /// since it was read.
    async fn run_end(&self, schedule: Schedule, run: Run) -> Result<(), StoreError>;

    /// A page of the runs of a schedule, newest first; only those of an outcome, where one is named.
    async fn runs_list(
        &self,
        schedule: ScheduleId,
        outcome: Option<RunOutcome>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Run>, StoreError>;

    /// Started runs whose point came to rest, at most `limit`, with what became of it.
    async fn runs_rested(&self, limit: u32) -> Result<Vec<(Run, Made)>, StoreError>;

    /// How many runs of schedules are under way in a cloud.
    async fn runs_under_way(&self, cloud: &CloudName) -> Result<u64, StoreError>;

    /// How old what schedules made is that are active, or were deactivated because they failed too often: of
    /// those whose newest good point is oldest, at most `limit`, the oldest first. One without a good point counts from when it was made.
    async fn schedules_freshness(&self, limit: u32) -> Result<Vec<Freshness>, StoreError>;

    /// All points that a schedule made and that are still there, oldest first.
    async fn points_of(&self, schedule: ScheduleId) -> Result<Vec<KeptPoint>, StoreError>;

    /// Points of both kinds that no schedule made, that rest, are not on hold, and are to be kept until
    /// `now` or before: the longest over first, whatever its kind, at most `limit` in all.
    async fn points_expired(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<KeptPoint>, StoreError>;
}
