//! Schedules over simulated clouds: runs on time, what becomes of them, what is kept; through the API,
//! or through the service where a clock has to be wound by hand.

mod by_callers;
mod retention;

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use drbackup::{
    api::pb,
    domain::{
        capture::Capture,
        id::{CloudName, PointKind, ProjectId, ResourceId, ServerId, Tenant},
        lifecycle::State,
        schedule::{Keep, MissedRuns, Plan, Run, RunCause, RunOutcome, Schedule, ScheduleSettings},
        sighting::{Thing, ThingKind},
        time::Timestamp,
    },
    port::clock::Clock,
    service::{
        Service,
        schedule::{CreateSchedule, OneSchedule},
        settings::ServiceSettings,
    },
    sim::{InstanceSpec, Times},
};
use uuid::Uuid;

use crate::{
    house::{House, without_grace},
    stage::until,
};

const SECOND: Duration = Duration::from_secs(1);

const MINUTE: Duration = Duration::from_secs(60);

const HOUR: Duration = Duration::from_secs(60 * 60);

/// A clock that a test winds.
struct Hands(AtomicI64);

impl Hands {
    fn at(time: Timestamp) -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(time.0)))
    }

    fn wind(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).expect("short");
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn new_id(&self) -> Uuid {
        Uuid::now_v7()
    }
}

/// Half past noon today: the engine of a house has the clock of the machine, by which the time of what
/// was asked for days ago is over.
fn half_past_noon() -> Timestamp {
    let day = (24 * HOUR).as_secs();
    let today = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock that goes")
        .as_secs()
        / day;
    Timestamp(0)
        .after(Duration::from_secs(today * day))
        .after(12 * HOUR + 30 * MINUTE)
}

/// A house with an instance, and a service over it whose clock is wound by hand.
struct Scene {
    house: House,
    hands: Arc<Hands>,
    service: Service,
    server: ServerId,
}

impl Scene {
    async fn set() -> Self {
        let house = House::open(Times::fast()).await;
        let shop = InstanceSpec::new("shop", &[1]);
        let server = house.source.create_instance(&shop).expect("made").server;
        let hands = Hands::at(half_past_noon());
        let service = house.service_by(hands.clone(), without_grace());
        Self {
            house,
            hands,
            service,
            server: ServerId::new(server),
        }
    }

    fn tenant(&self) -> Tenant {
        Tenant {
            cloud: CloudName::new("source"),
            project: ProjectId::new(self.house.home()),
        }
    }

    async fn schedule(&self, change: impl FnOnce(&mut Plan)) -> Schedule {
        let mut plan = hourly();
        change(&mut plan);
        let ask = CreateSchedule {
            tenant: self.tenant(),
            server: self.server.clone(),
            plan,
            active: true,
            validate_only: false,
            request_id: String::new(),
        };
        self.service
            .internally("a test")
            .schedule_create(ask)
            .await
            .expect("admitted")
    }

    async fn tick(&self) -> usize {
        let ticked = self.service.schedules_tick(100).await;
        ticked.expect("ticked").runs
    }

    async fn runs(&self, schedule: &Schedule) -> Vec<Run> {
        let runs = self
            .service
            .internally("a test")
            .runs_list(schedule.id, None, None, 100)
            .await;
        runs.expect("listed").items
    }

    async fn read(&self, schedule: &Schedule) -> Schedule {
        let read = self
            .service
            .internally("a test")
            .schedule_get(schedule.id)
            .await;
        read.expect("it is there")
    }

    /// Waits for the point of the newest run, and lets the service see how it ended.
    async fn finish(&self, schedule: &Schedule) -> pb::DrBackup {
        let run = self.runs(schedule).await.remove(0);
        let point = run.point.expect("a point").to_string();
        let backup = self.house.backup_at_rest(&point).await;
        self.tick().await;
        backup
    }

    /// Lets an hour pass, and runs what is due then to its end.
    async fn next_hour(&self, schedule: &Schedule) -> pb::DrBackup {
        self.hands.wind(HOUR);
        assert_eq!(self.tick().await, 1);
        self.finish(schedule).await
    }

    /// The ids of the DR backups of a schedule that are there, oldest first.
    async fn points(&self, schedule: &Schedule) -> Vec<String> {
        let request = pb::ListDrBackupsRequest {
            filter: format!("schedule_id = \"{}\"", schedule.id),
            order_by: "create_time".to_owned(),
            ..Default::default()
        };
        let mut client = self.house.dr_backups().await;
        let answer = client.list_dr_backups(request).await.expect("listed");
        let backups = answer.into_inner().dr_backups.into_iter();
        backups.map(|backup| backup.id).collect()
    }
}

fn hourly() -> Plan {
    Plan {
        name: "hourly".to_owned(),
        description: String::new(),
        kind: PointKind::Dr,
        capture: Capture::Snapshot,
        minimum: None,
        full_every: 1,
        calendar: "0 * * * *".to_owned(),
        time_zone: "Europe/Tallinn".to_owned(),
        jitter: Duration::ZERO,
        missed: MissedRuns::RunOnce,
        failures_maximum: 3,
        keep: Keep::default(),
    }
}

fn only(schedule: &Schedule) -> OneSchedule {
    OneSchedule {
        id: schedule.id,
        etag: String::new(),
        request_id: String::new(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_when_its_time_has_come_and_not_before() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|_| {}).await;
    let one = scene.hands.now().after(30 * MINUTE);
    assert_eq!(schedule.next.map(|slot| slot.time), Some(one));
    scene.hands.wind(29 * MINUTE);
    assert_eq!(scene.tick().await, 0);
    scene.hands.wind(MINUTE);
    assert_eq!(scene.tick().await, 1);
    assert_eq!(scene.tick().await, 0, "of each slot there is one run");
    let runs = scene.runs(&schedule).await;
    assert_eq!(runs.len(), 1);
    assert_eq!((runs[0].slot, runs[0].cause), (one, RunCause::Calendar));
    assert_eq!(runs[0].outcome, RunOutcome::Started);

    let backup = scene.finish(&schedule).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    assert_eq!(backup.schedule_id, schedule.id.to_string());
    assert_eq!(
        scene.runs(&schedule).await[0].outcome,
        RunOutcome::Succeeded
    );
    let schedule = scene.read(&schedule).await;
    assert_eq!(schedule.next.map(|slot| slot.time), Some(one.after(HOUR)));
    assert_eq!((schedule.failures, schedule.state()), (0, State::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_one_makes_the_run() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|_| {}).await;
    let other = scene.house.service_by(scene.hands.clone(), without_grace());
    scene.hands.wind(HOUR);
    let (one, two) = tokio::join!(scene.service.schedules_tick(10), other.schedules_tick(10));
    assert_eq!(one.expect("ticked").runs + two.expect("ticked").runs, 1);
    assert_eq!(scene.points(&schedule).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_never_overlaps_the_one_before_and_says_why() {
    let mut scene = Scene::set().await;
    let schedule = scene.schedule(|_| {}).await;
    // Nobody works, so what was begun is not finished.
    scene.house.kill_engine();
    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let runs = scene.runs(&schedule).await;
    assert_eq!(runs.len(), 2);
    assert_eq!(runs[0].outcome, RunOutcome::Skipped);
    assert!(
        runs[0].reason.contains("still being made"),
        "{}",
        runs[0].reason
    );
    assert_eq!(scene.points(&schedule).await.len(), 1);
    let refused = scene
        .service
        .internally("a test")
        .schedule_run(only(&schedule))
        .await;
    assert_eq!(refused.expect_err("refused").reason(), "RUN_UNDER_WAY");
    scene.house.start_engine();
    let first = runs[1].point.expect("a point").to_string();
    let backup = scene.house.backup_at_rest(&first).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    scene.tick().await;
    assert_eq!(
        scene.read(&schedule).await.failures,
        0,
        "a skipped run is no failure"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_were_missed_are_made_up_for_once_or_skipped() {
    let scene = Scene::set().await;
    let once = scene.schedule(|_| {}).await;
    let skips = scene.schedule(|plan| plan.missed = MissedRuns::Skip).await;
    scene.hands.wind(8 * HOUR);
    assert_eq!(scene.tick().await, 2);
    let run = scene.runs(&once).await.remove(0);
    assert_eq!(
        (run.cause, run.outcome),
        (RunCause::Missed, RunOutcome::Started)
    );
    let runs = scene.runs(&skips).await;
    assert_eq!((runs.len(), runs[0].outcome), (1, RunOutcome::Skipped));
    assert!(runs[0].reason.contains("down at 8"), "{}", runs[0].reason);
    assert_eq!(scene.points(&skips).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_fails_is_tried_again_and_too_many_deactivate_with_the_reason() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.failures_maximum = 2).await;
    let server = Thing {
        kind: ThingKind::Server,
        id: scene.server.to_string(),
    };
    let cloud = scene.house.cloud();
    cloud
        .thing_delete(&scene.tenant(), &server, &[])
        .await
        .expect("deleted");
    until(|| async {
        let there = cloud.thing_get(&scene.tenant(), &server).await;
        there.expect("told").is_none().then_some(())
    })
    .await;
    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let failed = scene.read(&schedule).await;
    assert_eq!(
        (failed.failures, failed.state(), failed.active),
        (1, State::Erred, true)
    );
    let again = failed.next.expect("it is tried again");
    assert_eq!(again.begins.since(scene.hands.now()), 5 * MINUTE);
    scene.hands.wind(5 * MINUTE);
    assert_eq!(scene.tick().await, 1);
    let given_up = scene.read(&schedule).await;
    assert_eq!(
        (given_up.failures, given_up.active, given_up.next),
        (2, false, None)
    );
    assert!(
        given_up.runtime_state.contains("Deactivated after 2"),
        "{}",
        given_up.runtime_state
    );
    let error = given_up.error.expect("why");
    assert_eq!(error.reason, "NOT_FOUND");
    let outcomes: Vec<RunOutcome> = scene
        .runs(&schedule)
        .await
        .iter()
        .map(|run| run.outcome)
        .collect();
    assert_eq!(outcomes, [RunOutcome::Failed, RunOutcome::Failed]);
    scene.hands.wind(100 * HOUR);
    assert_eq!(scene.tick().await, 0);
    let about = ResourceId::Schedule(schedule.id);
    let events = scene
        .service
        .internally("a test")
        .events_after(about, 0, 100)
        .await
        .expect("listed");
    let told = events.last().expect("an event");
    assert_eq!(
        told.error.as_ref().map(|error| error.reason.as_str()),
        Some("NOT_FOUND")
    );
    let back = scene
        .service
        .internally("a test")
        .schedule_activate(only(&schedule))
        .await
        .expect("activated");
    assert_eq!((back.failures, back.error), (0, None));
}

/// Settings under which so many runs find a place in a cloud.
fn with_places(runs_per_cloud: u32) -> ServiceSettings {
    ServiceSettings {
        schedules: ScheduleSettings {
            runs_per_cloud,
            ..ScheduleSettings::default()
        },
        ..without_grace()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_runs_are_under_way_in_a_cloud_than_may_be() {
    let mut scene = Scene::set().await;
    let limits = with_places(2);
    scene.service = scene.house.service_by(scene.hands.clone(), limits);
    let mut schedules = Vec::new();
    for _ in 0..5 {
        schedules.push(scene.schedule(|_| {}).await);
    }
    scene.house.kill_engine();
    scene.hands.wind(30 * MINUTE);
    assert_eq!(scene.tick().await, 2);
    for _ in 0..10 {
        scene.hands.wind(MINUTE);
        assert_eq!(
            scene.tick().await,
            0,
            "they wait for a place, and are not missed for that"
        );
    }
    let waiting = scene.read(&schedules[4]).await;
    assert!(
        waiting.runtime_state.contains("Waiting for a place"),
        "{}",
        waiting.runtime_state
    );
    scene.house.start_engine();
    until(|| async {
        scene.hands.wind(10 * SECOND);
        scene.tick().await;
        let mut done = 0;
        for schedule in &schedules {
            let runs = scene.runs(schedule).await;
            done += usize::from(runs.iter().any(|run| {
                assert_eq!(run.cause, RunCause::Calendar, "{run:?}");
                run.outcome == RunOutcome::Succeeded
            }));
        }
        (done == 5).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_far_behind_for_a_place_looks_again_later() {
    let mut scene = Scene::set().await;
    let limits = with_places(2);
    let wait = limits.schedules.run_waits;
    scene.service = scene.house.service_by(scene.hands.clone(), limits);
    let mut schedules = Vec::new();
    for _ in 0..7 {
        schedules.push(scene.schedule(|_| {}).await);
    }
    scene.house.kill_engine();
    scene.hands.wind(30 * MINUTE);
    assert_eq!(scene.tick().await, 2);
    let now = scene.hands.now();
    let mut waits = Vec::new();
    for schedule in &schedules {
        let next = scene.read(schedule).await.next.expect("active");
        // Of those that run the next slot is an hour away.
        if next.time <= now {
            waits.push(next.begins.since(now));
        }
    }
    waits.sort();
    assert_eq!(waits, [1, 1, 2, 2, 3].map(|rounds| rounds * wait));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_that_find_no_place_for_a_run_do_not_stop_each_other() {
    let mut scene = Scene::set().await;
    let limits = || with_places(0);
    scene.service = scene.house.service_by(scene.hands.clone(), limits());
    let other = scene.house.service_by(scene.hands.clone(), limits());
    for _ in 0..20 {
        scene.schedule(|_| {}).await;
    }
    scene.hands.wind(HOUR);
    let (one, two) = tokio::join!(scene.service.schedules_tick(100), other.schedules_tick(100));
    assert_eq!(one.expect("ticked").runs + two.expect("ticked").runs, 0);
}
