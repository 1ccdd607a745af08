//! A life by the clock: a schedule whose runs the replicas begin and whose retention they keep, and what
//! has to hold of its runs and points at every moment; it may not know what goes wrong meanwhile.

use std::{collections::BTreeMap, time::Duration};

use drbackup::{
    domain::{
        capture::Capture,
        id::{PointId, PointKind, ResourceId, ScheduleId, ServerId},
        lifecycle::State,
        retention::Health,
        schedule::{Keep, MissedRuns, Plan, Run, RunCause, RunOutcome},
    },
    service::schedule::{CreateSchedule, OneSchedule},
};
use tokio::time::timeout;

use crate::life::{Life, STRAGGLING, TRIES};

/// So many runs have to succeed before it is enough.
const SUCCESSES: usize = 4;

/// So many points are kept.
const KEPT: u32 = 2;

/// How long nothing may happen before it is looked again.
const PAUSE: Duration = Duration::from_secs(600);

/// More runs than a life has.
const RUNS: u32 = 1_000;

impl Life<'_> {
    /// Makes a schedule, follows it until enough has succeeded, and removes it with all its points.
    pub(crate) async fn scheduled_life(&mut self, kind: PointKind, full_every: u32) {
        let schedule = self.create_schedule(kind, full_every).await;
        let mut had_a_good_one = false;
        while !self.has_enough(schedule, &mut had_a_good_one).await {
            self.something_happens().await;
        }
        self.stop(schedule).await;
        // What a replica had decided before it stood still is still on its way.
        tokio::time::sleep(STRAGGLING).await;
        while self.is_under_way(schedule).await {
            self.something_happens().await;
        }
        self.judge_runs(&self.runs(schedule).await);
        self.remove(schedule).await;
    }

    async fn create_schedule(&mut self, kind: PointKind, full_every: u32) -> ScheduleId {
        let plan = Plan {
            name: "hourly".to_owned(),
            description: String::new(),
            kind,
            capture: Capture::Snapshot,
            minimum: None,
            full_every,
            calendar: "0 * * * *".to_owned(),
            time_zone: "Europe/Tallinn".to_owned(),
            jitter: Duration::from_secs(60),
            missed: MissedRuns::RunOnce,
            failures_maximum: 0,
            keep: Keep {
                last: KEPT,
                ..Keep::default()
            },
        };
        for _ in 0..TRIES {
            let ask = CreateSchedule {
                tenant: self.stage.home.clone(),
                server: ServerId::new(self.stage.instance.server.as_str()),
                plan: plan.clone(),
                active: true,
                validate_only: false,
                request_id: String::new(),
            };
            match self
                .stage
                .service
                .internally("a test")
                .schedule_create(ask)
                .await
            {
                Ok(schedule) => return schedule.id,
                Err(error) => self.refused("the schedule", error).await,
            }
        }
        panic!("no schedule after {TRIES} tries: {:#?}", self.failures)
    }

    /// Whether enough runs succeeded; judges what is there at this moment.
    async fn has_enough(&self, schedule: ScheduleId, had_a_good_one: &mut bool) -> bool {
        self.judge_claims().await;
        let points = self.points(schedule).await;
        let being_made = points
            .iter()
            .filter(|(_, state, _)| matches!(state, State::CreationScheduled | State::Creating));
        assert!(being_made.count() <= 1, "two runs at once: {points:#?}");
        let good_now = points.iter().any(|(_, _, good)| *good);
        assert!(
            good_now || !*had_a_good_one,
            "the last good one is gone: {points:#?}"
        );
        *had_a_good_one |= good_now;
        let runs = self.runs(schedule).await;
        let good = |run: &&Run| run.outcome == RunOutcome::Succeeded;
        runs.iter().filter(good).count() >= SUCCESSES
    }

    /// The points of a schedule, each with where it stands and whether it is good.
    async fn points(&self, schedule: ScheduleId) -> Vec<(PointId, State, bool)> {
        let points = self.stage.store.points_of(schedule).await.expect("read");
        let told = points.into_iter().map(|one| {
            (
                one.point.id,
                one.point.state,
                one.point.health == Health::Good,
            )
        });
        told.collect()
    }

    async fn runs(&self, schedule: ScheduleId) -> Vec<Run> {
        let service = self.stage.service.internally("a test");
        let runs = service.runs_list(schedule, None, None, RUNS).await;
        runs.expect("listed").items
    }

    async fn something_happens(&self) {
        let mut changes = self.stage.store.changes();
        // Nobody tells that an hour has passed.
        drop(timeout(PAUSE, changes.changed()).await);
    }

    async fn stop(&mut self, schedule: ScheduleId) {
        for _ in 0..TRIES {
            match self
                .stage
                .service
                .internally("a test")
                .schedule_deactivate(only(schedule))
                .await
            {
                Ok(stopped) => return assert!(!stopped.active && stopped.next.is_none()),
                // A run began or ended at this very moment.
                Err(error) => self.refused("the end of the schedule", error).await,
            }
        }
        panic!("it does not stop: {:#?}", self.failures)
    }

    async fn is_under_way(&self, schedule: ScheduleId) -> bool {
        let points = self.points(schedule).await;
        let runs = self.runs(schedule).await;
        points.iter().any(|(_, state, _)| state.is_busy())
            || runs.iter().any(|run| run.outcome == RunOutcome::Started)
    }

    /// Each slot was taken up once, tried again only after a failure, and no point belongs to two runs.
    fn judge_runs(&mut self, runs: &[Run]) {
        let mut slots: BTreeMap<_, Vec<&Run>> = BTreeMap::new();
        let mut points: BTreeMap<_, Vec<&Run>> = BTreeMap::new();
        for run in runs {
            slots.entry(run.slot).or_default().push(run);
            if let Some(point) = run.point {
                points.entry(point).or_default().push(run);
            }
        }
        for (slot, runs) in slots {
            let first = runs.iter().filter(|run| run.cause != RunCause::Retry);
            assert_eq!(first.count(), 1, "{slot} was taken up twice: {runs:#?}");
            let good = runs
                .iter()
                .filter(|run| run.outcome == RunOutcome::Succeeded);
            assert!(good.count() <= 1, "{slot} succeeded twice: {runs:#?}");
        }
        for (point, runs) in points {
            assert_eq!(runs.len(), 1, "{point} is of two runs: {runs:#?}");
            self.stories.push(ResourceId::Point(point));
        }
        for run in runs.iter().filter(|run| run.outcome == RunOutcome::Failed) {
            assert!(self.may_fail && !run.reason.is_empty(), "{run:#?}");
        }
    }

    /// Removes a schedule and what it made, the newest first, because others may be built upon.
    async fn remove(&mut self, schedule: ScheduleId) {
        let points = self.points(schedule).await;
        let removed = self
            .stage
            .service
            .internally("a test")
            .schedule_delete(only(schedule))
            .await;
        removed.expect("nobody changes it any more");
        for (point, ..) in points.iter().rev() {
            self.delete_point(*point).await;
        }
    }
}

fn only(id: ScheduleId) -> OneSchedule {
    OneSchedule {
        id,
        etag: String::new(),
        request_id: String::new(),
    }
}
