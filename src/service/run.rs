//! What a schedule does when its time has come: one run, its end, and what its retention lets go; it
//! may not know who keeps the time.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use tracing::{info, warn};

use super::{
    Service,
    backup::{CreateBackup, DeleteBackup},
    dr_backup::{CreateDrBackup, DeleteDrBackup},
    refused,
};
use crate::{
    domain::{
        calendar::Calendar,
        error::{Error, OperationError},
        id::{CloudName, ResourceId, ServerId, Tenant},
        keeping::Keeping,
        lifecycle::State,
        page::{Filter, Order, Query},
        point::PointFacts,
        retention::{Judgement, Point, Policy, judge},
        schedule::{Due, PointKind, Run, RunCause, RunOutcome, Schedule, Slot},
        time::Timestamp,
    },
    port::{
        schedules::{KeptPoint, Made, NewPoint},
        store::{RequestKey, StoreError},
    },
};

/// What was done in one look at the clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ticked {
    /// Runs that were begun, skipped or ended.
    pub runs: usize,
    /// How long nothing is due, as far as is known; an earlier look does no harm.
    pub wait: Option<Duration>,
}

impl Service {
    /// Does what is due for schedules: begins or skips runs, and ends those whose point came to rest.
    /// Any number of replicas may do so side by side: of each run one of them is the first.
    pub async fn schedules_tick(&self, at_once: u32) -> Result<Ticked, StoreError> {
        let mut ticked = Ticked::default();
        for (run, made) in self.store.runs_rested(at_once).await? {
            ticked.runs += usize::from(first(self.run_ended(run, made).await)?);
        }
        let now = self.clock.now();
        let (due, next) = self.store.schedules_due(now, at_once).await?;
        ticked.wait = next.map(|next| next.since(now));
        let full = u32::try_from(due.len()).is_ok_and(|count| count >= at_once);
        let mut under_way: BTreeMap<CloudName, u64> = BTreeMap::new();
        for schedule in due {
            let cloud = schedule.tenant.cloud.clone();
            let busy = match under_way.get(&cloud) {
                Some(busy) => *busy,
                None => self.store.runs_under_way(&cloud).await?,
            };
            let begun = if busy < u64::from(self.limits.runs_per_cloud) {
                first(self.schedule_fire(schedule).await)?
            } else {
                self.schedule_defer(schedule, busy).await?;
                false
            };
            ticked.runs += usize::from(begun);
            under_way.insert(cloud, busy + u64::from(begun));
        }
        if full {
            ticked.wait = Some(Duration::ZERO);
        }
        Ok(ticked)
    }

    /// Begins the run that is due, or says why there is none.
    async fn schedule_fire(&self, schedule: Schedule) -> Result<(), StoreError> {
        let now = self.clock.now();
        let calendar = match schedule.plan.calendar() {
            Ok(calendar) => calendar,
            // It was good when it was written: the zones of this build know it no more.
            Err(error) => return self.schedule_give_up(schedule, &error).await,
        };
        let pace = self.limits.schedules;
        match schedule.due(&calendar, now, &pace) {
            Due::Nothing => Ok(()),
            Due::Skip { slot, missed, next } => {
                let run = self.run(&schedule, slot, RunCause::Missed);
                let reason = format!("the service was down at {missed} of its times");
                self.run_skip(schedule, run, reason, next).await
            }
            Due::Run { slot, cause, next } => {
                let run = self.run(&schedule, slot, cause);
                match self.new_point(&schedule, &run).await {
                    Ok(point) => self
                        .run_begin(None, schedule, run, point, next)
                        .await
                        .map(drop),
                    Err(error) if is_busy(&error) => {
                        self.run_skip(schedule, run, error.message, next).await
                    }
                    Err(error) => self.run_fail(schedule, &calendar, run, &error).await,
                }
            }
        }
    }

    /// The point that a run is to make; refused when the run before has not come to its end, because
    /// two at once would only slow each other.
    pub(super) async fn new_point(
        &self,
        schedule: &Schedule,
        run: &Run,
    ) -> Result<NewPoint, Error> {
        let points = self.store.points_of(schedule.id).await.map_err(refused)?;
        let being_made = points.iter().find(|one| match one.point.state {
            State::CreationScheduled | State::Creating => true,
            State::Ok
            | State::Erred
            | State::UpdateScheduled
            | State::Updating
            | State::DeletionScheduled
            | State::Deleting
            | State::Deleted => false,
        });
        if let Some(KeptPoint { point, .. }) = being_made {
            return Err(Error::precondition(
                RUN_UNDER_WAY,
                format!("{} of the run before is still being made", point.id),
            )
            .advise("wait for it, or cancel it"));
        }
        let instance_name = self
            .peek_instance(&schedule.tenant, &schedule.server)
            .await?;
        let called = if schedule.plan.name.is_empty() {
            &instance_name
        } else {
            &schedule.plan.name
        };
        let name: String = format!("{called} {}", run.slot)
            .chars()
            .take(self.limits.name_characters)
            .collect();
        let (tenant, server) = (schedule.tenant.clone(), schedule.server.clone());
        let description = schedule.plan.description.clone();
        let keeping = Keeping {
            schedule: Some(schedule.id),
            ..Keeping::default()
        };
        match schedule.plan.kind {
            PointKind::DrBackup => {
                let ask = CreateDrBackup {
                    tenant,
                    server,
                    name,
                    description,
                    capture: schedule.plan.capture,
                    incremental: builds_on(&points, schedule.plan.full_every),
                    keeping,
                    deadline: None,
                    validate_only: false,
                    request_id: String::new(),
                };
                let (made, operation) = self.dr_backup_prepare(ask, instance_name).await?;
                Ok(NewPoint::DrBackup(Box::new(made), operation))
            }
            PointKind::Backup => {
                let ask = CreateBackup {
                    tenant,
                    server,
                    name,
                    description,
                    keeping,
                    deadline: None,
                    validate_only: false,
                    request_id: String::new(),
                };
                let (made, operation) = self.backup_prepare(ask, instance_name);
                Ok(NewPoint::Backup(Box::new(made), operation))
            }
        }
    }

    /// Writes that a run began.
    pub(super) async fn run_begin(
        &self,
        key: Option<RequestKey>,
        mut schedule: Schedule,
        mut run: Run,
        point: NewPoint,
        next: Option<Slot>,
    ) -> Result<Run, StoreError> {
        run.point = Some(point.id());
        schedule.next = next;
        schedule.runtime_state = format!("Running since {}", run.began);
        schedule.updated = run.began;
        info!(schedule = %schedule.id, point = %point.id(), slot = %run.slot, cause = ?run.cause, "a run begins");
        self.store.run_begin(key, schedule, run, Some(point)).await
    }

    /// Writes that a run was not needed, or not possible without harm.
    async fn run_skip(
        &self,
        mut schedule: Schedule,
        mut run: Run,
        reason: String,
        next: Option<Slot>,
    ) -> Result<(), StoreError> {
        info!(schedule = %schedule.id, slot = %run.slot, reason, "a run is skipped");
        schedule.next = next;
        schedule.runtime_state = format!("Skipped: {reason}");
        schedule.updated = run.began;
        run.end(RunOutcome::Skipped, reason, run.began);
        let skipped = self.store.run_begin(None, schedule, run, None).await;
        skipped.map(drop)
    }

    /// Writes that a run could not begin.
    async fn run_fail(
        &self,
        mut schedule: Schedule,
        calendar: &Calendar,
        mut run: Run,
        error: &Error,
    ) -> Result<(), StoreError> {
        let error = OperationError::from(error);
        self.note_failure(&mut schedule, calendar, run.slot, error.clone());
        run.end(RunOutcome::Failed, error.message, self.clock.now());
        let failed = self.store.run_begin(None, schedule, run, None).await;
        failed.map(drop)
    }

    /// Writes how a run ended, and lets go what its retention does not keep any more.
    async fn run_ended(&self, mut run: Run, made: Made) -> Result<(), StoreError> {
        let mut schedule = self.store.schedule_get(run.schedule).await?;
        let now = self.clock.now();
        let error = match made {
            Made::Good => None,
            Made::Failed(error) => Some(error.unwrap_or_else(|| gone("its making failed"))),
            Made::Gone => Some(gone("its point is gone: somebody deleted it")),
        };
        match error {
            None => {
                run.end(RunOutcome::Succeeded, String::new(), now);
                schedule.failures = 0;
                schedule.error = None;
                schedule.updated = now;
                schedule.runtime_state = format!("Its run of {} succeeded", run.slot);
            }
            Some(error) => {
                run.end(RunOutcome::Failed, error.message.clone(), now);
                match schedule.plan.calendar() {
                    Ok(calendar) => self.note_failure(&mut schedule, &calendar, run.slot, error),
                    Err(bad) => schedule.deactivate(OperationError::from(&bad), now),
                }
            }
        }
        let good = run.outcome == RunOutcome::Succeeded;
        self.store.run_end(schedule.clone(), run).await?;
        if good && let Err(error) = self.schedule_prune(&schedule).await {
            warn!(schedule = %schedule.id, %error, "what may go was not let go; it is tried again later");
        }
        Ok(())
    }

    /// Notes a failed run: it is tried again, or the schedule has failed too often.
    fn note_failure(
        &self,
        schedule: &mut Schedule,
        calendar: &Calendar,
        slot: Timestamp,
        error: OperationError,
    ) {
        let now = self.clock.now();
        schedule.failures += 1;
        let (id, failures) = (schedule.id, schedule.failures);
        warn!(schedule = %id, %slot, failures, reason = error.message, "a run failed");
        if schedule.is_hopeless() {
            warn!(schedule = %id, failures, "the schedule is deactivated");
            return schedule.deactivate(error, now);
        }
        let pace = self.limits.schedules;
        if schedule.active {
            schedule.next = schedule.slot_after_failure(calendar, slot, now, &pace);
        }
        schedule.runtime_state = format!("Its run of {slot} failed: {}", error.message);
        schedule.error = Some(error);
        schedule.updated = now;
    }

    /// Deactivates what can never run again as it is.
    async fn schedule_give_up(
        &self,
        mut schedule: Schedule,
        error: &Error,
    ) -> Result<(), StoreError> {
        schedule.deactivate(OperationError::from(error), self.clock.now());
        self.store.schedule_change(None, schedule).await.map(drop)
    }

    /// Lets a schedule wait for a place: as many runs as may be are under way in its cloud.
    async fn schedule_defer(&self, mut schedule: Schedule, busy: u64) -> Result<(), StoreError> {
        let now = self.clock.now();
        let cloud = &schedule.tenant.cloud;
        schedule.runtime_state =
            format!("Waiting for a place: {busy} runs are under way in {cloud}");
        schedule.updated = now;
        if let Some(next) = &mut schedule.next {
            next.begins = now.after(self.limits.run_waits);
        }
        self.store.schedule_change(None, schedule).await.map(drop)
    }

    /// What retention thinks of the points of a schedule.
    pub(super) async fn judge(
        &self,
        schedule: &Schedule,
        calendar: &Calendar,
        now: Timestamp,
    ) -> Result<Judgement<ResourceId>, Error> {
        let points = self.store.points_of(schedule.id).await.map_err(refused)?;
        let policy = schedule.plan.keep.policy(calendar);
        Ok(judge(&seen_by_retention(&points), &policy, now))
    }

    /// Lets go what the retention of every active schedule does not keep any more; answers how many
    /// deletions it asked for. One that is not active makes nothing new, so it lets nothing go.
    pub async fn schedules_prune(&self, at_once: u32) -> Result<usize, Error> {
        let mut query = Query {
            filter: Filter {
                active: Some(true),
                ..Filter::default()
            },
            order: Order::default(),
            after: None,
            limit: at_once,
        };
        let mut asked = 0;
        loop {
            let page = self.schedules_list(query.clone()).await?;
            for schedule in &page.items {
                asked += self.schedule_prune(schedule).await?;
            }
            match page.next {
                Some(next) => query.after = Some(next),
                None => return Ok(asked),
            }
        }
    }

    /// Lets go what the retention of a schedule does not keep any more; answers how many deletions it
    /// asked for. What another point is built on goes in a later call, when that one is gone.
    async fn schedule_prune(&self, schedule: &Schedule) -> Result<usize, Error> {
        let calendar = schedule.plan.calendar()?;
        let judgement = self.judge(schedule, &calendar, self.clock.now()).await?;
        let mut asked = 0;
        for point in judgement.deletions {
            asked += usize::from(self.let_go(point, "retention").await?);
        }
        Ok(asked)
    }

    /// Lets go the points whose time is over and that no schedule looks after; answers how many. The
    /// last good point of an instance stays: only a person may take that.
    pub async fn points_expire(&self, at_once: u32) -> Result<usize, Error> {
        let now = self.clock.now();
        let expired = self
            .store
            .points_expired(now, at_once)
            .await
            .map_err(refused)?;
        let used: BTreeSet<ResourceId> = expired
            .iter()
            .filter(|one| one.used)
            .map(|one| one.point.id)
            .collect();
        let over: BTreeSet<ResourceId> = expired.iter().map(|one| one.point.id).collect();
        let instances: BTreeSet<(Tenant, ServerId)> = expired
            .into_iter()
            .map(|one| (one.point.tenant, one.point.server))
            .collect();
        let mut asked = 0;
        for (tenant, server) in instances {
            // A regular backup goes with its cloud, so neither kind stands in for the other.
            for points in self.points_of_instance(tenant, server).await? {
                let points: Vec<KeptPoint> = points
                    .into_iter()
                    .map(|point| KeptPoint {
                        used: used.contains(&point.id),
                        point,
                    })
                    .collect();
                let policy = Policy::keep_all(chrono_tz::UTC);
                let goes = judge(&seen_by_retention(&points), &policy, now).deletions;
                for point in goes.into_iter().filter(|id| over.contains(id)) {
                    asked += usize::from(self.let_go(point, "the end of its time").await?);
                }
            }
        }
        Ok(asked)
    }

    /// All points of an instance, each kind by itself.
    async fn points_of_instance(
        &self,
        tenant: Tenant,
        server: ServerId,
    ) -> Result<[Vec<PointFacts>; 2], Error> {
        let query = Query {
            filter: Filter {
                cloud: Some(tenant.cloud),
                project: Some(tenant.project),
                server: Some(server),
                ..Filter::default()
            },
            order: Order::default(),
            after: None,
            limit: self.limits.page_max,
        };
        let (mut dr_backups, mut backups) = (Vec::new(), Vec::new());
        let mut rest = Some(query.clone());
        while let Some(query) = rest.take() {
            let page = self.dr_backups_list(query.clone()).await?;
            dr_backups.extend(page.items.iter().map(PointFacts::from));
            rest = page.next.map(|next| Query {
                after: Some(next),
                ..query
            });
        }
        let mut rest = Some(query);
        while let Some(query) = rest.take() {
            let page = self.backups_list(query.clone()).await?;
            backups.extend(page.items.iter().map(PointFacts::from));
            rest = page.next.map(|next| Query {
                after: Some(next),
                ..query
            });
        }
        Ok([dr_backups, backups])
    }

    /// Asks for the deletion of a point like anybody else; answers whether it was admitted. One that
    /// changed since it was judged, or that another still needs, is left for the next look.
    async fn let_go(&self, point: ResourceId, why: &str) -> Result<bool, Error> {
        let (etag, request_id) = (String::new(), String::new());
        let admitted = match point {
            ResourceId::DrBackup(id) => {
                let ask = DeleteDrBackup {
                    id,
                    etag,
                    request_id,
                };
                self.dr_backup_delete(ask).await.map(drop)
            }
            ResourceId::Backup(id) => {
                let ask = DeleteBackup {
                    id,
                    etag,
                    request_id,
                };
                self.backup_delete(ask).await.map(drop)
            }
            ResourceId::Restoration(_) | ResourceId::Schedule(_) => return Ok(false),
        };
        match admitted {
            Ok(()) => {
                info!(%point, why, "a point is let go");
                Ok(true)
            }
            Err(error) if error.is_about_the_resource() => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The reason of the refusal of a second run at once.
const RUN_UNDER_WAY: &str = "RUN_UNDER_WAY";

fn is_busy(error: &Error) -> bool {
    error.reason() == RUN_UNDER_WAY
}

/// Whether it was this replica that did it: another one may have been first.
fn first(done: Result<(), StoreError>) -> Result<bool, StoreError> {
    match done {
        Ok(()) => Ok(true),
        Err(StoreError::Outdated(_) | StoreError::NotFound(_)) => Ok(false),
        Err(error) => Err(error),
    }
}

fn gone(message: &str) -> OperationError {
    OperationError::new(
        "POINT_GONE",
        message,
        "look into the point, or run the schedule again",
    )
}

/// Whether the next DR backup of a schedule builds on the one before: not when so many since the last
/// full one do, nor when none is there to build on.
fn builds_on(points: &[KeptPoint], full_every: u32) -> bool {
    let mut good = points
        .iter()
        .rev()
        .filter(|one| one.point.state == State::Ok);
    let since_full = good.position(|one| one.point.builds_on.is_empty());
    since_full.is_some_and(|since| {
        u32::try_from(since).is_ok_and(|since| since.saturating_add(1) < full_every)
    })
}

/// Points as retention judges them.
fn seen_by_retention(points: &[KeptPoint]) -> Vec<Point<ResourceId>> {
    let owner: BTreeMap<&str, ResourceId> = points
        .iter()
        .flat_map(|one| {
            one.point
                .made
                .iter()
                .map(|made| (made.as_str(), one.point.id))
        })
        .collect();
    let seen = |KeptPoint { point, used }: &KeptPoint| {
        let mut parents = point.builds_on.iter();
        Point {
            id: point.id,
            taken: point.created,
            health: point.health,
            busy: point.state.is_busy(),
            used: *used,
            held: point.keeping.held,
            kept_until: point.keeping.until,
            parent: parents.find_map(|parent| owner.get(parent.as_str()).copied()),
        }
    };
    points.iter().map(seen).collect()
}

impl From<&Error> for OperationError {
    fn from(error: &Error) -> Self {
        Self::new(error.reason(), error.message.clone(), &error.guidance)
    }
}
