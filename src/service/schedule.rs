//! Admits what is asked about schedules; it may not know when their time comes.

use super::{
    Service,
    acting::Acting,
    content,
    fields::Fields,
    refused,
    request::{answer, check_etag},
};
use crate::{
    domain::{
        action::Action,
        calendar::Calendar,
        error::{Error, OperationError},
        id::{PointId, ResourceId, RunId, ScheduleId, ServerId, Tenant},
        page::{Cursor, Page, Query},
        retention::Judgement,
        schedule::{Plan, Run, RunCause, RunOutcome, Schedule, standing},
        time::Timestamp,
    },
    port::store::{Asked, RequestKey},
};

/// What `CreateSchedule` asks for.
#[derive(Debug, Clone)]
pub struct CreateSchedule {
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// What it is to do.
    pub plan: Plan,
    /// Whether it runs by itself from the start.
    pub active: bool,
    /// Only check it.
    pub validate_only: bool,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What `UpdateSchedule` asks for.
#[derive(Debug, Clone)]
pub struct UpdateSchedule {
    /// Which.
    pub id: ScheduleId,
    /// The changes.
    pub change: PlanChange,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// Changes of a plan: a plan with the new values, and which of them count.
#[derive(Debug, Clone)]
pub struct PlanChange {
    /// The new values.
    pub wanted: Plan,
    /// The fields that change, as the API spells them.
    pub fields: Vec<&'static str>,
}

/// Which schedule, for requests that say no more.
#[derive(Debug, Clone)]
pub struct OneSchedule {
    /// Which.
    pub id: ScheduleId,
    /// The etag it was read with; empty means any.
    pub etag: String,
    /// Makes a repeat harmless; empty means none.
    pub request_id: String,
}

/// What a schedule is going to do.
#[derive(Debug, Clone)]
pub struct Preview {
    /// When it runs next.
    pub runs: Vec<Timestamp>,
    /// What its retention thinks of its points right now.
    pub judgement: Judgement<PointId>,
}

impl Acting {
    /// Admits a new schedule.
    pub async fn schedule_create(&self, ask: CreateSchedule) -> Result<Schedule, Error> {
        let calendar = self.service.check_plan(&ask.plan)?;
        self.may_in(Action::ChangeSchedule, &ask.tenant)?;
        let asked = self.asked(content::create_schedule(&ask));
        if let Some(answer) = self
            .schedule_answered(asked.key.as_ref(), Action::ChangeSchedule)
            .await?
        {
            return Ok(answer);
        }
        let (capture, minimum) = (ask.plan.capture(), ask.plan.minimum);
        let instance_name = self
            .service
            .look_at_instance(&ask.tenant, &ask.server, capture, minimum)
            .await?;
        let now = self.service.clock.now();
        let mut plan = ask.plan;
        if plan.name.is_empty() {
            plan.name = instance_name;
        }
        let mut schedule = Schedule {
            id: ScheduleId(self.service.clock.new_id()),
            plan,
            tenant: ask.tenant,
            server: ask.server,
            active: ask.active,
            next: None,
            failures: 0,
            runtime_state: standing(ask.active).to_owned(),
            error: None,
            created: now,
            updated: now,
            revision: 1,
        };
        schedule.plan_ahead(&calendar, now);
        if ask.validate_only {
            return Ok(schedule);
        }
        let admitted = self.service.store.schedule_admit(asked, schedule).await;
        Ok(answer(admitted.map_err(refused)?))
    }

    /// One schedule.
    pub async fn schedule_get(&self, id: ScheduleId) -> Result<Schedule, Error> {
        self.schedule(id, Action::ReadSchedule).await
    }

    /// One schedule to go by.
    async fn schedule_readable(&self, id: ScheduleId, action: Action) -> Result<Schedule, Error> {
        let schedule = self.schedule(id, action).await?;
        OperationError::check_readable(schedule.error.as_ref())?;
        Ok(schedule)
    }

    /// A page of schedules.
    pub async fn schedules_list(&self, query: Query) -> Result<Page<Schedule>, Error> {
        let page = self
            .service
            .store
            .schedules_list(self.scoped(query.clone()))
            .await;
        self.honest(&query, page.map_err(refused)?).await
    }

    /// A page of the runs of a schedule, newest first.
    pub async fn runs_list(
        &self,
        id: ScheduleId,
        outcome: Option<RunOutcome>,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Page<Run>, Error> {
        // A list of what is not there would look like one of what has never run.
        self.schedule(id, Action::ReadSchedule).await?;
        self.service
            .store
            .runs_list(id, outcome, after, limit)
            .await
            .map_err(refused)
    }

    /// Changes what a schedule does; its next run is reckoned anew.
    pub async fn schedule_update(&self, ask: UpdateSchedule) -> Result<Schedule, Error> {
        let asked = self.asked(content::update_schedule(&ask));
        if let Some(answer) = self
            .schedule_answered(asked.key.as_ref(), Action::ChangeSchedule)
            .await?
        {
            return Ok(answer);
        }
        let mut schedule = self
            .schedule_readable(ask.id, Action::ChangeSchedule)
            .await?;
        check_etag(&ask.etag, schedule.revision, "the schedule")?;
        let kept = schedule.plan.keep;
        ask.change.apply(&mut schedule.plan);
        // Points go by it that nobody asks for one by one.
        if schedule.plan.keep != kept {
            self.may_in(Action::ReleasePoint, &schedule.tenant)?;
        }
        let calendar = self.service.check_plan(&schedule.plan)?;
        let now = self.service.clock.now();
        schedule.plan_ahead(&calendar, now);
        self.schedule_write(asked, schedule).await
    }

    /// Lets a schedule run by itself from now on; what it failed at is forgiven.
    pub async fn schedule_activate(&self, ask: OneSchedule) -> Result<Schedule, Error> {
        let asked = self.asked(content::one_schedule("ActivateSchedule", &ask));
        if let Some(answer) = self
            .schedule_answered(asked.key.as_ref(), Action::ChangeSchedule)
            .await?
        {
            return Ok(answer);
        }
        let mut schedule = self
            .schedule_readable(ask.id, Action::ChangeSchedule)
            .await?;
        check_etag(&ask.etag, schedule.revision, "the schedule")?;
        if schedule.active {
            return Err(already(&schedule, "active"));
        }
        let calendar = schedule.plan.calendar()?;
        schedule.active = true;
        schedule.failures = 0;
        schedule.error = None;
        standing(true).clone_into(&mut schedule.runtime_state);
        schedule.plan_ahead(&calendar, self.service.clock.now());
        self.schedule_write(asked, schedule).await
    }

    /// Keeps a schedule from running by itself; what runs goes on.
    pub async fn schedule_deactivate(&self, ask: OneSchedule) -> Result<Schedule, Error> {
        let asked = self.asked(content::one_schedule("DeactivateSchedule", &ask));
        if let Some(answer) = self
            .schedule_answered(asked.key.as_ref(), Action::ChangeSchedule)
            .await?
        {
            return Ok(answer);
        }
        let mut schedule = self
            .schedule_readable(ask.id, Action::ChangeSchedule)
            .await?;
        check_etag(&ask.etag, schedule.revision, "the schedule")?;
        if !schedule.active {
            return Err(already(&schedule, "inactive"));
        }
        schedule.active = false;
        schedule.next = None;
        standing(false).clone_into(&mut schedule.runtime_state);
        self.schedule_write(asked, schedule).await
    }

    /// Removes a schedule with the record of its runs; what it made stays.
    pub async fn schedule_delete(&self, ask: OneSchedule) -> Result<Schedule, Error> {
        let asked = self.asked(content::one_schedule("DeleteSchedule", &ask));
        if let Some(answer) = self
            .schedule_answered(asked.key.as_ref(), Action::DeleteSchedule)
            .await?
        {
            return Ok(answer);
        }
        let mut schedule = self.schedule(ask.id, Action::DeleteSchedule).await?;
        check_etag(&ask.etag, schedule.revision, "the schedule")?;
        schedule.updated = self.service.clock.now();
        let removed = self.service.store.schedule_remove(asked, schedule).await;
        Ok(answer(removed.map_err(refused)?))
    }

    /// Runs a schedule now, be it active or not.
    pub async fn schedule_run(&self, ask: OneSchedule) -> Result<Run, Error> {
        let asked = self.asked(content::one_schedule("RunSchedule", &ask));
        if let Some(key) = &asked.key
            && let Some(run) = self
                .service
                .store
                .run_answered(key)
                .await
                .map_err(refused)?
        {
            return Ok(run);
        }
        let schedule = self
            .schedule_readable(ask.id, Action::ChangeSchedule)
            .await?;
        check_etag(&ask.etag, schedule.revision, "the schedule")?;
        let now = self.service.clock.now();
        let next = schedule.next;
        let run = self.service.run(&schedule, now, RunCause::Caller);
        let point = self.service.new_point(&schedule, &run).await?;
        let begun = self
            .service
            .run_begin(asked, schedule, run, point, next)
            .await;
        begun.map_err(refused)
    }

    /// What a schedule is going to do: its next runs, and what its retention would let go now.
    pub async fn schedule_preview(&self, id: ScheduleId, runs: u32) -> Result<Preview, Error> {
        let schedule = self.schedule_readable(id, Action::ReadSchedule).await?;
        let calendar = schedule.plan.calendar()?;
        let now = self.service.clock.now();
        let judgement = self.service.judge(&schedule, &calendar, now, None).await?;
        let runs = usize::try_from(runs).unwrap_or(usize::MAX);
        Ok(Preview {
            runs: calendar.runs_after(now).take(runs).collect(),
            judgement,
        })
    }

    async fn schedule_write(
        &self,
        asked: Asked,
        mut schedule: Schedule,
    ) -> Result<Schedule, Error> {
        schedule.updated = self.service.clock.now();
        let changed = self.service.store.schedule_change(asked, schedule).await;
        Ok(answer(changed.map_err(refused)?))
    }

    async fn schedule_answered(
        &self,
        key: Option<&RequestKey>,
        action: Action,
    ) -> Result<Option<Schedule>, Error> {
        let Some(key) = key else { return Ok(None) };
        let answer = self.service.store.schedule_answered(key).await;
        let answer = answer.map_err(refused)?;
        if let Some(schedule) = &answer {
            self.may_repeat(action, &schedule.tenant, ResourceId::Schedule(schedule.id))?;
        }
        Ok(answer)
    }
}

impl Service {
    /// Every bad field of a plan at once; the calendar of a good one.
    fn check_plan(&self, plan: &Plan) -> Result<Calendar, Error> {
        let mut check = Fields::new(self.limits());
        let (name, description) = (Some(plan.name.as_str()), Some(plan.description.as_str()));
        self.check_words(&mut check, name, description);
        match Calendar::parse(&plan.calendar, &plan.time_zone) {
            Ok(calendar) => check.done().map(|()| calendar),
            Err(bad) => {
                for one in bad {
                    check.bad(&one.field, one.problem);
                }
                check.done()?;
                Err(Error::field("schedule", "is no calendar"))
            }
        }
    }

    /// A run that has just begun.
    pub(super) fn run(&self, schedule: &Schedule, slot: Timestamp, cause: RunCause) -> Run {
        Run::begun(
            RunId(self.clock.new_id()),
            schedule.id,
            slot,
            cause,
            self.clock.now(),
        )
    }
}

impl PlanChange {
    fn apply(self, plan: &mut Plan) {
        let wanted = self.wanted;
        for field in self.fields {
            match field {
                "name" => plan.name.clone_from(&wanted.name),
                "description" => plan.description.clone_from(&wanted.description),
                "capture" => plan.capture = wanted.capture,
                "minimum_consistency" => plan.minimum = wanted.minimum,
                "full_every" => plan.full_every = wanted.full_every,
                "schedule" => plan.calendar.clone_from(&wanted.calendar),
                "time_zone" => plan.time_zone.clone_from(&wanted.time_zone),
                "jitter" => plan.jitter = wanted.jitter,
                "missed_runs" => plan.missed = wanted.missed,
                "failures_maximum" => plan.failures_maximum = wanted.failures_maximum,
                "retention" => plan.keep = wanted.keep,
                _ => {}
            }
        }
    }
}

fn already(schedule: &Schedule, what: &str) -> Error {
    Error::precondition(
        "SCHEDULE_STATE",
        format!("schedule {} is {what} already", schedule.id),
    )
    .advise("nothing has to be done")
}
