//! The way of one replica, or of a caller, to the store: every answer is waited for where it is asked,
//! so that a hand-wound clock stands still meanwhile; it may not know which database it is.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use drbackup::{
    domain::{
        audit::{Ends, Entry, Note},
        caller::Scope,
        event::Event,
        id::{
            CloudName, InstanceId, Lane, OperationId, PointId, ReplicaId, ResourceId,
            RestorationId, ScheduleId, Tenant,
        },
        operation::{Leftover, Operation, UnderWay},
        orphan::{Aim, DeletionResult, Known, Sweep},
        page::{Cursor, Page, PageKey, Query},
        point::Point,
        restoration::Restoration,
        schedule::{Run, RunOutcome, Schedule},
        time::Timestamp,
        volume_backup::BackupAt,
    },
    port::{
        audit::Audit,
        journal::{Journal, JournalError, Loaded, Turn},
        schedules::{Freshness, KeptPoint, Made, NewPoint, Schedules},
        store::{Admitted, Asked, Looked, PointsStanding, RequestKey, Store, StoreError},
    },
};
use futures::executor::block_on;
use tokio::{runtime::Handle, sync::watch, task::unconstrained};

use crate::tap::Tap;

/// The newest epoch of every lane that was ever handed out, over all replicas.
#[derive(Debug, Default)]
pub(crate) struct Epochs(Mutex<HashMap<Tenant, i64>>);

impl Epochs {
    fn claimed(&self, lanes: &[Lane]) {
        let mut epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for lane in lanes {
            let newest = epochs.entry(lane.tenant.clone()).or_default();
            *newest = lane.epoch.max(*newest);
        }
    }

    /// All lanes that were ever handed out, each with its newest epoch.
    pub(crate) fn lanes(&self) -> Vec<Lane> {
        let epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let lane = |(tenant, epoch): (&Tenant, &i64)| Lane {
            tenant: tenant.clone(),
            epoch: *epoch,
        };
        epochs.iter().map(lane).collect()
    }

    fn newest(&self, tenant: &Tenant) -> i64 {
        let epochs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        epochs.get(tenant).copied().unwrap_or_default()
    }
}

/// A store behind a boundary.
pub(crate) struct TappedStore {
    pub(crate) tap: Arc<Tap>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) epochs: Arc<Epochs>,
    /// Where the store lives, if it needs a runtime whose time is real.
    pub(crate) runtime: Option<Handle>,
}

impl TappedStore {
    /// Waits right here for the store.
    fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        let _entered = self.runtime.as_ref().map(Handle::enter);
        // A task may do only so much at a time; then it would have to give way, which it cannot here.
        block_on(unconstrained(answer))
    }
}

fn failed() -> StoreError {
    StoreError::Unavailable("the simulation says so".to_owned())
}

/// Lets a read through, if the asker lives, before and after.
macro_rules! read {
    ($self:ident, $call:expr) => {{
        $self.tap.alive().await;
        let answer = $self.wait($call);
        $self.tap.alive().await;
        answer
    }};
}

/// Lets a write cross on both sides.
macro_rules! write {
    ($self:ident, $call:expr) => {{
        if $self.tap.cross().await {
            return Err(failed().into());
        }
        let answer = $self.wait($call);
        if $self.tap.cross().await {
            return Err(failed().into());
        }
        answer
    }};
}

#[async_trait]
impl Schedules for TappedStore {
    async fn schedule_answered(&self, key: &RequestKey) -> Result<Option<Schedule>, StoreError> {
        read!(self, self.store.schedule_answered(key))
    }

    async fn schedule_admit(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        write!(self, self.store.schedule_admit(asked, schedule))
    }

    async fn schedule_change(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        write!(self, self.store.schedule_change(asked, schedule))
    }

    async fn schedule_wait(&self, schedule: Schedule) -> Result<(), StoreError> {
        write!(self, self.store.schedule_wait(schedule))
    }

    async fn schedule_remove(
        &self,
        asked: Asked,
        schedule: Schedule,
    ) -> Result<Admitted<Schedule>, StoreError> {
        write!(self, self.store.schedule_remove(asked, schedule))
    }

    async fn schedule_get(&self, id: ScheduleId) -> Result<Schedule, StoreError> {
        read!(self, self.store.schedule_get(id))
    }

    async fn schedules_list(&self, query: Query) -> Result<Page<Schedule>, StoreError> {
        read!(self, self.store.schedules_list(query))
    }

    async fn schedules_due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<(Vec<Schedule>, Option<Timestamp>), StoreError> {
        read!(self, self.store.schedules_due(now, limit))
    }

    async fn run_answered(&self, key: &RequestKey) -> Result<Option<Run>, StoreError> {
        read!(self, self.store.run_answered(key))
    }

    async fn run_begin(
        &self,
        asked: Asked,
        schedule: Schedule,
        run: Run,
        point: Option<NewPoint>,
    ) -> Result<Run, StoreError> {
        write!(self, self.store.run_begin(asked, schedule, run, point))
    }

    async fn run_end(&self, schedule: Schedule, run: Run) -> Result<(), StoreError> {
        write!(self, self.store.run_end(schedule, run))
    }

    async fn runs_list(
        &self,
        schedule: ScheduleId,
        outcome: Option<RunOutcome>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Run>, StoreError> {
        read!(self, self.store.runs_list(schedule, outcome, after, limit))
    }

    async fn runs_rested(&self, limit: u32) -> Result<Vec<(Run, Made)>, StoreError> {
        read!(self, self.store.runs_rested(limit))
    }

    async fn runs_under_way(&self, cloud: &CloudName) -> Result<u64, StoreError> {
        read!(self, self.store.runs_under_way(cloud))
    }

    async fn schedules_freshness(&self, limit: u32) -> Result<Vec<Freshness>, StoreError> {
        read!(self, self.store.schedules_freshness(limit))
    }

    async fn points_of(&self, schedule: ScheduleId) -> Result<Vec<KeptPoint>, StoreError> {
        read!(self, self.store.points_of(schedule))
    }

    async fn points_expired(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<KeptPoint>, StoreError> {
        read!(self, self.store.points_expired(now, limit))
    }
}

#[async_trait]
impl Audit for TappedStore {
    async fn audit_note(&self, note: Note) -> Result<(), StoreError> {
        write!(self, self.store.audit_note(note))
    }

    async fn audit_page(&self, after: u64, limit: u32) -> Result<(Ends, Vec<Entry>), StoreError> {
        read!(self, self.store.audit_page(after, limit))
    }

    async fn audit_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        write!(self, self.store.audit_prune(before, limit))
    }
}

#[async_trait]
impl Journal for TappedStore {
    fn admissions(&self) -> watch::Receiver<u64> {
        self.store.admissions()
    }

    async fn lane_load(&self, lane: &Lane, known: &[OperationId]) -> Result<Loaded, JournalError> {
        read!(self, self.store.lane_load(lane, known))
    }

    async fn operation_set_aside(
        &self,
        lane: &Lane,
        resource: ResourceId,
        why: &str,
    ) -> Result<(), JournalError> {
        write!(self, self.store.operation_set_aside(lane, resource, why))
    }

    async fn lane_release(&self, lane: &Lane) -> Result<(), JournalError> {
        write!(self, self.store.lane_release(lane))
    }

    async fn replica_leave(&self, replica: &ReplicaId) -> Result<(), JournalError> {
        write!(self, self.store.replica_leave(replica))
    }

    async fn lanes_claim(
        &self,
        replica: &ReplicaId,
        lease: Duration,
        limit: u32,
        unread: &[OperationId],
    ) -> Result<Vec<Lane>, JournalError> {
        let answer = read!(self, self.store.lanes_claim(replica, lease, limit, unread));
        if let Ok(lanes) = &answer {
            self.epochs.claimed(lanes);
        }
        answer
    }

    async fn turn_record(&self, lane: &Lane, turns: Vec<Turn>) -> Result<(), JournalError> {
        write!(self, async {
            let newest = self.epochs.newest(&lane.tenant);
            let answer = self.store.turn_record(lane, turns).await;
            assert!(
                answer.is_err() || lane.epoch >= newest,
                "{lane:?} wrote although epoch {newest} was handed out"
            );
            answer
        })
    }
}

#[async_trait]
impl Store for TappedStore {
    async fn point_answered(&self, key: &RequestKey) -> Result<Option<Point>, StoreError> {
        read!(self, self.store.point_answered(key))
    }

    async fn restoration_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Restoration>, StoreError> {
        read!(self, self.store.restoration_answered(key))
    }

    async fn restoration_of_instance(
        &self,
        id: InstanceId,
    ) -> Result<Option<Restoration>, StoreError> {
        read!(self, self.store.restoration_of_instance(id))
    }

    async fn page_key(&self) -> Result<PageKey, StoreError> {
        read!(self, self.store.page_key())
    }

    async fn history_prune(&self, before: Timestamp, limit: u32) -> Result<u64, StoreError> {
        write!(self, self.store.history_prune(before, limit))
    }

    async fn orphans_known(
        &self,
        tenant: &Tenant,
        operations: &[OperationId],
        things: &[String],
    ) -> Result<Known, StoreError> {
        read!(self, self.store.orphans_known(tenant, operations, things))
    }

    async fn orphans_answered(
        &self,
        key: &RequestKey,
    ) -> Result<Option<Vec<DeletionResult>>, StoreError> {
        read!(self, self.store.orphans_answered(key))
    }

    async fn orphans_answer(
        &self,
        asked: Asked,
        tenant: &Tenant,
        accepted: Timestamp,
        answer: &[DeletionResult],
    ) -> Result<(), StoreError> {
        write!(
            self,
            self.store.orphans_answer(asked, tenant, accepted, answer)
        )
    }

    async fn sweeps_claim(
        &self,
        aim: Aim,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<Tenant>, StoreError> {
        write!(self, self.store.sweeps_claim(aim, before, limit))
    }

    async fn sweep_record(&self, aim: Aim, sweep: &Sweep) -> Result<(), StoreError> {
        write!(self, self.store.sweep_record(aim, sweep))
    }

    async fn sweeps_list(&self, aim: Aim) -> Result<Vec<Sweep>, StoreError> {
        read!(self, self.store.sweeps_list(aim))
    }

    async fn point_admit(
        &self,
        asked: Asked,
        point: Point,
        operation: Operation,
    ) -> Result<Admitted<Point>, StoreError> {
        write!(self, self.store.point_admit(asked, point, operation))
    }

    async fn point_take_in(
        &self,
        asked: Asked,
        point: Point,
    ) -> Result<Admitted<Point>, StoreError> {
        write!(self, self.store.point_take_in(asked, point))
    }

    async fn point_change(
        &self,
        asked: Asked,
        point: Point,
        operation: Option<Operation>,
    ) -> Result<Admitted<Point>, StoreError> {
        write!(self, self.store.point_change(asked, point, operation))
    }

    async fn point_get(&self, id: PointId) -> Result<Point, StoreError> {
        read!(self, self.store.point_get(id))
    }

    async fn points_list(&self, query: Query) -> Result<Page<Point>, StoreError> {
        read!(self, self.store.points_list(query))
    }

    async fn restorations_of(
        &self,
        source: PointId,
        scope: &Scope,
        limit: u32,
    ) -> Result<Vec<Restoration>, StoreError> {
        read!(self, self.store.restorations_of(source, scope, limit))
    }

    async fn mirrors_of(&self, tenant: &Tenant) -> Result<Vec<(BackupAt, bool)>, StoreError> {
        read!(self, self.store.mirrors_of(tenant))
    }

    async fn points_verified(
        &self,
        looks: Vec<Looked>,
        seen: Vec<BackupAt>,
        gone: Vec<BackupAt>,
    ) -> Result<(), StoreError> {
        write!(self, self.store.points_verified(looks, seen, gone))
    }

    async fn points_standing(&self) -> Result<Vec<PointsStanding>, StoreError> {
        read!(self, self.store.points_standing())
    }

    async fn leftovers(&self, resource: ResourceId) -> Result<Vec<Leftover>, StoreError> {
        read!(self, self.store.leftovers(resource))
    }

    async fn mirrors_list(&self, id: PointId) -> Result<Vec<BackupAt>, StoreError> {
        read!(self, self.store.mirrors_list(id))
    }

    async fn restoration_admit(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        write!(
            self,
            self.store.restoration_admit(asked, restoration, operation)
        )
    }

    async fn restoration_change(
        &self,
        asked: Asked,
        restoration: Restoration,
        operation: Operation,
    ) -> Result<Admitted<Restoration>, StoreError> {
        write!(
            self,
            self.store.restoration_change(asked, restoration, operation)
        )
    }

    async fn restoration_get(&self, id: RestorationId) -> Result<Restoration, StoreError> {
        read!(self, self.store.restoration_get(id))
    }

    async fn restorations_list(&self, query: Query) -> Result<Page<Restoration>, StoreError> {
        read!(self, self.store.restorations_list(query))
    }

    async fn operation_cancel(
        &self,
        asked: Asked,
        resource: ResourceId,
        time: Timestamp,
        keep_volumes: bool,
    ) -> Result<bool, StoreError> {
        write!(
            self,
            self.store
                .operation_cancel(asked, resource, time, keep_volumes)
        )
    }

    async fn operations_under_way(&self) -> Result<Vec<UnderWay>, StoreError> {
        read!(self, self.store.operations_under_way())
    }

    async fn events_list(
        &self,
        resource: ResourceId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Event>, StoreError> {
        read!(self, self.store.events_list(resource, after, limit))
    }

    async fn changes_list(
        &self,
        after: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), StoreError> {
        read!(self, self.store.changes_list(after, limit))
    }

    fn unread(&self) -> Vec<(&'static str, u64)> {
        self.store.unread()
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    fn version(&self) -> Option<u64> {
        self.store.version()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        read!(self, self.store.ping())
    }
}
