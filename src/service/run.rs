//! What a schedule does when its time has come: one run, and its end; it may not know who keeps the
//! time.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tracing::{info, warn};

use super::{Service, point::CreatePoint, refused};
use crate::{
    domain::{
        calendar::Calendar,
        error::{Error, OperationError},
        id::CloudName,
        keeping::Keeping,
        lifecycle::State,
        schedule::{Due, Run, RunCause, RunOutcome, Schedule, Slot},
        text::Text,
        time::Timestamp,
    },
    port::{
        schedules::{KeptPoint, Made, NewPoint},
        store::{Asked, StoreError},
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
            let ended = self.run_ended(run, made).await;
            ticked.runs += usize::from(first(ended)?.is_some());
        }
        let now = self.clock.now();
        let (due, next) = self.store.schedules_due(now, at_once).await?;
        ticked.wait = next.map(|next| next.since(now));
        let full = u32::try_from(due.len()).is_ok_and(|count| count >= at_once);
        let mut under_way: BTreeMap<CloudName, u64> = BTreeMap::new();
        let mut waiting: BTreeMap<CloudName, u32> = BTreeMap::new();
        let mut got_on = false;
        for schedule in due {
            let cloud = schedule.tenant.cloud.clone();
            let busy = match under_way.get(&cloud) {
                Some(busy) => *busy,
                None => self.store.runs_under_way(&cloud).await?,
            };
            let outcome = if busy < u64::from(self.settings.schedules.runs_per_cloud) {
                let fired = first(self.schedule_fire(schedule).await)?;
                got_on |= fired.is_some();
                fired.flatten()
            } else {
                let before = waiting.entry(cloud.clone()).or_default();
                got_on |= first(self.schedule_defer(schedule, busy, *before).await)?.is_some();
                *before += 1;
                None
            };
            ticked.runs += usize::from(outcome.is_some());
            // What was skipped or failed at once takes no place.
            let begun = outcome == Some(RunOutcome::Started);
            under_way.insert(cloud, busy + u64::from(begun));
        }
        // Where none of them can be got on with, more looks would show the same.
        if full && got_on {
            ticked.wait = Some(Duration::ZERO);
        }
        Ok(ticked)
    }

    /// Begins the run that is due, or says why there is none; answers what came of it so far.
    async fn schedule_fire(&self, schedule: Schedule) -> Result<Option<RunOutcome>, StoreError> {
        let now = self.clock.now();
        let calendar = match schedule.plan.calendar() {
            Ok(calendar) => calendar,
            // It was good when it was written: the zones of this build know it no more.
            Err(error) => {
                self.schedule_give_up(schedule, &error).await?;
                return Ok(None);
            }
        };
        let settings = &self.settings.schedules;
        match schedule.due(&calendar, now, settings) {
            Due::Nothing => Ok(None),
            Due::Skip { slot, missed, next } => {
                let run = self.run(&schedule, slot, RunCause::Missed);
                let reason = format!("the service was down at {missed} of its times");
                self.run_skip(schedule, run, reason, next).await.map(Some)
            }
            Due::Run { slot, cause, next } => {
                let run = self.run(&schedule, slot, cause);
                match self.new_point(&schedule, &run).await {
                    Ok(point) => {
                        let begun = self.run_begin(ticked(), schedule, run, point, next).await?;
                        Ok(Some(begun.outcome))
                    }
                    Err(error) if is_busy(&error) => {
                        let reason = error.message;
                        self.run_skip(schedule, run, reason, next).await.map(Some)
                    }
                    Err(error) => {
                        let failed = self.run_fail(schedule, &calendar, run, &error).await;
                        failed.map(Some)
                    }
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
                format!("{} of the run before is still being made", point.id.named()),
            )
            .advise("wait for it, or cancel it"));
        }
        let (tenant, server, plan) = (&schedule.tenant, &schedule.server, &schedule.plan);
        let instance_name = self
            .look_at_instance(tenant, server, plan.capture(), plan.minimum)
            .await?;
        let called = if schedule.plan.name.is_empty() {
            &instance_name
        } else {
            &schedule.plan.name
        };
        let name: String = format!("{called} {}", run.slot)
            .chars()
            .take(self.limits().name_characters)
            .collect();
        let (tenant, server) = (schedule.tenant.clone(), schedule.server.clone());
        // It may have been written before the limits of the services were heeded.
        let description = Text::Description.fitted(&schedule.plan.description);
        let keeping = Keeping {
            schedule: Some(schedule.id),
            ..Keeping::default()
        };
        let ask = CreatePoint {
            kind: schedule.plan.kind,
            tenant,
            server,
            name,
            description,
            capture: schedule.plan.capture,
            incremental: builds_on(&points, schedule.plan.full_every),
            minimum: schedule.plan.minimum,
            keeping,
            deadline: None,
            validate_only: false,
            request_id: String::new(),
        };
        let (point, operation) = self.point_prepare(ask, instance_name).await?;
        Ok(NewPoint { point, operation })
    }

    /// Writes that a run began.
    pub(super) async fn run_begin(
        &self,
        asked: Asked,
        mut schedule: Schedule,
        mut run: Run,
        point: NewPoint,
        next: Option<Slot>,
    ) -> Result<Run, StoreError> {
        run.point = Some(point.point.id);
        schedule.next = next;
        schedule.runtime_state = format!("Running since {}", run.began);
        schedule.updated = run.began;
        info!(schedule = %schedule.id, point = point.point.id.named(), slot = %run.slot, cause = ?run.cause, "a run begins");
        let cause = run.cause;
        let begun = self
            .store
            .run_begin(asked, schedule, run, Some(point))
            .await?;
        self.runs.count_cause(cause);
        self.runs.count(RunOutcome::Started);
        Ok(begun)
    }

    /// Writes that a run was not needed, or not possible without harm.
    async fn run_skip(
        &self,
        mut schedule: Schedule,
        mut run: Run,
        reason: String,
        next: Option<Slot>,
    ) -> Result<RunOutcome, StoreError> {
        info!(schedule = %schedule.id, slot = %run.slot, reason, "a run is skipped");
        schedule.next = next;
        schedule.runtime_state = format!("Skipped: {reason}");
        schedule.updated = run.began;
        run.end(RunOutcome::Skipped, reason, run.began);
        let cause = run.cause;
        self.store.run_begin(ticked(), schedule, run, None).await?;
        self.runs.count_cause(cause);
        self.runs.count(RunOutcome::Skipped);
        Ok(RunOutcome::Skipped)
    }

    /// Writes that a run could not begin.
    async fn run_fail(
        &self,
        mut schedule: Schedule,
        calendar: &Calendar,
        mut run: Run,
        error: &Error,
    ) -> Result<RunOutcome, StoreError> {
        let error = OperationError::from(error);
        self.note_failure(&mut schedule, calendar, run.slot, error.clone());
        run.end(RunOutcome::Failed, error.message, self.clock.now());
        let cause = run.cause;
        self.store.run_begin(ticked(), schedule, run, None).await?;
        self.runs.count_cause(cause);
        self.runs.count(RunOutcome::Failed);
        Ok(RunOutcome::Failed)
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
        let outcome = run.outcome;
        let good = outcome == RunOutcome::Succeeded;
        self.store.run_end(schedule.clone(), run).await?;
        self.runs.count(outcome);
        let mut sights = self.sights();
        if good && let Err(error) = self.schedule_prune(&schedule, &mut sights).await {
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
        let settings = &self.settings.schedules;
        if schedule.active {
            schedule.next = schedule.slot_after_failure(calendar, slot, now, settings);
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
        let asked = Asked::internally(TICKER, "DeactivateSchedule");
        self.store.schedule_change(asked, schedule).await.map(drop)
    }

    /// Lets a schedule wait for a place: as many runs as may be are under way in its cloud, and so many
    /// schedules wait already that came `before` it. As long as those fill every place once, it is in vain to
    /// look again: else a thousand schedules of one minute would all be written every few seconds.
    async fn schedule_defer(
        &self,
        mut schedule: Schedule,
        busy: u64,
        before: u32,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let cloud = &schedule.tenant.cloud;
        schedule.runtime_state =
            format!("Waiting for a place: {busy} runs are under way in {cloud}");
        schedule.updated = now;
        if let Some(next) = &mut schedule.next {
            let rounds = 1 + before / self.settings.schedules.runs_per_cloud.max(1);
            next.begins = now.after(self.settings.schedules.run_waits * rounds);
        }
        self.store.schedule_wait(schedule).await
    }
}

/// How many runs came to each outcome in this process, and how many of them were of times that had been
/// missed.
#[derive(Debug, Default)]
pub(super) struct RunCounts {
    ended: [AtomicU64; RunOutcome::ALL.len()],
    missed: AtomicU64,
}

impl RunCounts {
    fn count(&self, outcome: RunOutcome) {
        for (one, count) in RunOutcome::ALL.into_iter().zip(&self.ended) {
            count.fetch_add(u64::from(one == outcome), Ordering::Relaxed);
        }
    }

    fn count_cause(&self, cause: RunCause) {
        let missed = cause == RunCause::Missed;
        self.missed.fetch_add(missed.into(), Ordering::Relaxed);
    }
}

impl Service {
    /// How many runs of schedules this process began, skipped, or brought to their end.
    pub fn runs_counted(&self) -> [(RunOutcome, u64); RunOutcome::ALL.len()] {
        let counts = self.runs.ended.each_ref();
        let mut counts = counts
            .map(|count| count.load(Ordering::Relaxed))
            .into_iter();
        RunOutcome::ALL.map(|outcome| (outcome, counts.next().unwrap_or_default()))
    }

    /// How often this process found that times of a schedule had passed at which nothing ran, be they made up
    /// for or skipped.
    pub fn runs_missed(&self) -> u64 {
        self.runs.missed.load(Ordering::Relaxed)
    }
}

/// The reason of the refusal of a second run at once.
const RUN_UNDER_WAY: &str = "RUN_UNDER_WAY";

/// Who runs schedules whose time has come.
const TICKER: &str = "ticker";

/// A run that nobody asked for.
fn ticked() -> Asked {
    Asked::internally(TICKER, "RunSchedule")
}

fn is_busy(error: &Error) -> bool {
    error.reason() == RUN_UNDER_WAY
}

/// Whether it was this replica that did it: another one may have been first. What the store cannot read
/// or take of one schedule holds up no other.
fn first<T>(done: Result<T, StoreError>) -> Result<Option<T>, StoreError> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(StoreError::Outdated(_) | StoreError::NotFound(_)) => Ok(None),
        Err(error @ (StoreError::Unreadable(_) | StoreError::Defect(_))) => {
            warn!(%error, "one schedule is passed over; it is tried again later");
            Ok(None)
        }
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
