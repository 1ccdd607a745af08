//! Schedules over simulated clouds: runs on time, what becomes of them, what is kept; through the API,
//! or through the service where a clock has to be wound by hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use drbackup::{
    api::pb::{self, schedule_service_client::ScheduleServiceClient},
    domain::{
        capture::Capture,
        id::{CloudName, PointId, PointKind, ProjectId, ResourceId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        lifecycle::State,
        page::{Filter, Order, Query},
        schedule::{Keep, MissedRuns, Plan, Run, RunCause, RunOutcome, Schedule, ScheduleSettings},
        sighting::{Thing, ThingKind},
        time::Timestamp,
    },
    port::clock::Clock,
    service::{
        Service,
        point::{CreatePoint, UpdatePoint},
        schedule::{CreateSchedule, OneSchedule},
        settings::ServiceSettings,
    },
    sim::{InstanceSpec, Times},
};
use tonic::Code;
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::{
    house::{House, things, without_grace},
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
        self.service.schedule_create(ask).await.expect("admitted")
    }

    async fn tick(&self) -> usize {
        let ticked = self.service.schedules_tick(100).await;
        ticked.expect("ticked").runs
    }

    async fn runs(&self, schedule: &Schedule) -> Vec<Run> {
        let runs = self.service.runs_list(schedule.id, None, None, 100).await;
        runs.expect("listed").items
    }

    async fn read(&self, schedule: &Schedule) -> Schedule {
        let read = self.service.schedule_get(schedule.id).await;
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
    let refused = scene.service.schedule_run(only(&schedule)).await;
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
async fn the_oldest_goes_only_when_the_new_one_is_good() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.maximum = 1).await;
    // `maximum` limits what the rules want; without one they want everything.
    let first = scene.next_hour(&schedule).await;
    assert_eq!(first.state(), pb::State::Ok, "{:?}", first.error);
    assert_eq!(scene.points(&schedule).await, [first.id.as_str()]);

    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let held = scene.points(&schedule).await;
    assert!(held.contains(&first.id), "the new one is not good yet");
    let preview = scene.service.schedule_preview(schedule.id, 3).await;
    assert_eq!(preview.expect("told").judgement.deletions, []);
    let second = scene.finish(&schedule).await;
    assert_eq!(second.state(), pb::State::Ok, "{:?}", second.error);
    until(|| async { (scene.points(&schedule).await == [second.id.clone()]).then_some(()) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_of_regular_backups_makes_snapshots_and_keeps_as_many_as_are_asked_for() {
    let scene = Scene::set().await;
    let schedule = scene
        .schedule(|plan| {
            plan.kind = PointKind::Regular;
            plan.keep.last = 1;
        })
        .await;
    let mut made = Vec::new();
    for _ in 0..2 {
        scene.hands.wind(HOUR);
        assert_eq!(scene.tick().await, 1);
        until(|| async {
            scene.tick().await;
            let run = scene.runs(&schedule).await.remove(0);
            (run.outcome == RunOutcome::Succeeded).then_some(())
        })
        .await;
        made.extend(scene.runs(&schedule).await.remove(0).point);
    }
    let newest = made[1];
    assert_eq!(newest.kind, PointKind::Regular);
    let filter = Filter {
        kind: Some(PointKind::Regular),
        schedule: Some(schedule.id),
        ..Filter::default()
    };
    until(|| async {
        let query = Query {
            filter: filter.clone(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 10,
        };
        let page = scene.service.points_list(query).await.expect("listed");
        let ids: Vec<_> = page.items.iter().map(|backup| backup.id).collect();
        (ids == [newest]).then_some(())
    })
    .await;
    assert_eq!(things(&scene.house.source, "demo", "snapshots").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_so_many_is_full_and_retention_goes_from_the_newest_end_of_a_chain() {
    let scene = Scene::set().await;
    let schedule = scene
        .schedule(|plan| {
            plan.full_every = 3;
            plan.keep.last = 1;
        })
        .await;
    let mut increments = Vec::new();
    for _ in 0..4 {
        let backup = scene.next_hour(&schedule).await;
        assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
        increments.push(backup.volume_backups[0].incremental);
    }
    assert_eq!(increments, [false, true, true, false]);
    // The first three went as one chain, from its newest end, as soon as the second full one was there.
    until(|| async {
        scene.service.schedules_prune(10).await.expect("judged");
        (scene.points(&schedule).await.len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_hold_or_to_be_kept_outlives_its_retention() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.last = 1).await;
    let first = scene.next_hour(&schedule).await;
    let hold = |held: bool| UpdatePoint {
        id: PointId::dr(first.id.parse().expect("an id")),
        name: None,
        description: None,
        keeping: Rekeeping {
            until: None,
            held: Some(held),
        },
        etag: String::new(),
        request_id: String::new(),
    };
    scene.service.point_update(hold(true)).await.expect("held");
    let second = scene.next_hour(&schedule).await;
    assert_eq!(
        scene.points(&schedule).await,
        [first.id.clone(), second.id.clone()]
    );
    let refused = scene
        .house
        .dr_backups()
        .await
        .delete_dr_backup(pb::DeleteDrBackupRequest {
            id: first.id.clone(),
            ..Default::default()
        })
        .await
        .expect_err("a person does not delete it either");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let info = refused.get_details_error_info().expect("told why");
    assert_eq!(info.reason, "ON_HOLD");

    scene
        .service
        .point_update(hold(false))
        .await
        .expect("lifted");
    assert_eq!(scene.service.schedules_prune(10).await, Ok(1));
    until(|| async { (scene.points(&schedule).await == [second.id.clone()]).then_some(()) }).await;
    assert_eq!(
        scene.service.schedules_prune(10).await,
        Ok(0),
        "never the last good one"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_to_be_kept_until_a_time_goes_then_but_not_the_last_of_its_instance() {
    let scene = Scene::set().await;
    let ask = |until: Option<Timestamp>| CreatePoint {
        kind: PointKind::Dr,
        tenant: scene.tenant(),
        server: scene.server.clone(),
        name: String::new(),
        description: String::new(),
        capture: Capture::Snapshot,
        incremental: false,
        minimum: None,
        keeping: Keeping {
            until,
            ..Keeping::default()
        },
        deadline: None,
        validate_only: false,
        request_id: String::new(),
    };
    let soon = scene.hands.now().after(HOUR);
    let short = scene.service.point_create(ask(Some(soon))).await;
    let short = short.expect("admitted").id.to_string();
    scene.house.backup_at_rest(&short).await;
    scene.hands.wind(MINUTE);
    assert_eq!(scene.service.points_expire(10).await, Ok(0), "not yet");
    scene.hands.wind(HOUR);
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "it is all there is"
    );
    let long = scene.service.point_create(ask(None)).await;
    let long = long.expect("admitted").id.to_string();
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "the other is not good yet"
    );
    scene.house.backup_at_rest(&long).await;
    assert_eq!(scene.service.points_expire(10).await, Ok(1));
    let gone = scene.house.backup_gone(&short);
    gone.await;
    scene.hands.wind(1_000 * HOUR);
    assert_eq!(
        scene.service.points_expire(10).await,
        Ok(0),
        "nobody set a time for it"
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

fn wanted(house: &House, server: &str) -> pb::Schedule {
    pb::Schedule {
        cloud: "source".to_owned(),
        tenant: house.home(),
        instance_id: server.to_owned(),
        schedule: "30 3 * * *".to_owned(),
        time_zone: "Europe/Tallinn".to_owned(),
        is_active: true,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_zone_it_is_utc_and_another_one_plans_the_next_run_anew() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            time_zone: String::new(),
            ..wanted(&house, &server)
        }),
        ..Default::default()
    };
    let made = client.create_schedule(create).await.expect("made");
    let made = made.into_inner();
    assert_eq!(made.time_zone, "UTC");
    let next = made.next_trigger_at.expect("active");
    assert_eq!(next.seconds % 86_400, 3 * 3600 + 30 * 60, "03:30 in UTC");
    let update = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            time_zone: "Asia/Tokyo".to_owned(),
            ..made
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["time_zone".to_owned()],
        }),
        ..Default::default()
    };
    let changed = client.update_schedule(update).await.expect("changed");
    let planned = changed.into_inner().next_trigger_at.expect("active");
    assert_eq!(
        planned.seconds % 86_400,
        18 * 3600 + 30 * 60,
        "03:30 in Tokyo"
    );
    assert!(planned.seconds > chrono::Utc::now().timestamp());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_made_changed_run_and_deleted_through_the_api() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(pb::Schedule {
            retention: Some(pb::Retention {
                retention_time: 7,
                maximal_number_of_resources: 3,
                ..Default::default()
            }),
            ..wanted(&house, &server)
        }),
        request_id: "monday".to_owned(),
        validate_only: false,
    };
    let made = client
        .create_schedule(create.clone())
        .await
        .expect("made")
        .into_inner();
    assert_eq!(
        (made.name.as_str(), made.schedule.as_str()),
        ("shop", "30 3 * * *")
    );
    assert_eq!(made.retention.expect("echoed").retention_time, 7);
    assert!(made.is_active && made.next_trigger_at.is_some());
    let again = client
        .create_schedule(create)
        .await
        .expect("the first answer");
    assert_eq!(again.into_inner(), made);

    let one = |request_id: &str| pb::ActivateScheduleRequest {
        id: made.id.clone(),
        etag: String::new(),
        request_id: request_id.to_owned(),
    };
    let refused = client
        .activate_schedule(one(""))
        .await
        .expect_err("it is active");
    assert_eq!(refused.code(), Code::FailedPrecondition);
    let off = pb::DeactivateScheduleRequest {
        id: made.id.clone(),
        ..Default::default()
    };
    let off = client
        .deactivate_schedule(off)
        .await
        .expect("off")
        .into_inner();
    assert!(!off.is_active && off.next_trigger_at.is_none());
    let on = client
        .activate_schedule(one("on"))
        .await
        .expect("on")
        .into_inner();
    assert!(on.is_active && on.next_trigger_at.is_some());

    let update = pb::UpdateScheduleRequest {
        schedule: Some(pb::Schedule {
            id: made.id.clone(),
            time_zone: "America/New_York".to_owned(),
            ..Default::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["time_zone".to_owned()],
        }),
        request_id: String::new(),
    };
    let changed = client
        .update_schedule(update)
        .await
        .expect("changed")
        .into_inner();
    assert_eq!(changed.schedule, "30 3 * * *", "what is not named stays");
    assert_ne!(
        changed.next_trigger_at, on.next_trigger_at,
        "another zone, another time"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_runs_on_a_callers_word_and_what_it_made_outlives_it() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let create = pb::CreateScheduleRequest {
        schedule: Some(wanted(&house, &server)),
        ..Default::default()
    };
    let made = client.create_schedule(create).await.expect("made");
    let made = made.into_inner();
    let run = pb::RunScheduleRequest {
        id: made.id.clone(),
        request_id: "now".to_owned(),
        ..Default::default()
    };
    let begun = client
        .run_schedule(run.clone())
        .await
        .expect("begun")
        .into_inner();
    let backup = house.backup_at_rest(&begun.dr_backup_id).await;
    assert_eq!(backup.state(), pb::State::Ok, "{:?}", backup.error);
    let same = client
        .run_schedule(run)
        .await
        .expect("the same run")
        .into_inner();
    assert_eq!(same.dr_backup_id, begun.dr_backup_id);
    let preview = pb::PreviewScheduleRequest {
        id: made.id.clone(),
        run_count: 3,
    };
    let preview = client
        .preview_schedule(preview)
        .await
        .expect("told")
        .into_inner();
    assert_eq!((preview.run_times.len(), preview.verdicts.len()), (3, 1));
    assert!(preview.verdicts[0].keep && !preview.verdicts[0].reasons.is_empty());

    let delete = pb::DeleteScheduleRequest {
        id: made.id.clone(),
        ..Default::default()
    };
    client.delete_schedule(delete).await.expect("gone");
    let get = pb::GetScheduleRequest {
        id: made.id.clone(),
    };
    let gone = client.get_schedule(get).await.expect_err("it is gone");
    assert_eq!(gone.code(), Code::NotFound);
    house.backup_at_rest(&begun.dr_backup_id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_schedule_tells_every_bad_field() {
    let house = House::open(Times::fast()).await;
    let shop = InstanceSpec::new("shop", &[1]);
    let server = house.source.create_instance(&shop).expect("made").server;
    let mut client = ScheduleServiceClient::new(house.channel().await);
    let mut bad = async |change: &dyn Fn(&mut pb::Schedule)| {
        let mut schedule = wanted(&house, &server);
        change(&mut schedule);
        let request = pb::CreateScheduleRequest {
            schedule: Some(schedule),
            ..Default::default()
        };
        let refused = client.create_schedule(request).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        let details = refused.get_details_bad_request().expect("the fields");
        let fields = details.field_violations.into_iter();
        fields.map(|one| one.field).collect::<Vec<_>>()
    };
    let fields = bad(&|schedule| {
        schedule.schedule = "61 * * * *".to_owned();
        schedule.time_zone = "Mars/Olympus".to_owned();
    })
    .await;
    assert_eq!(fields, ["schedule.schedule", "schedule.time_zone"]);
    let fields = bad(&|schedule| schedule.schedule = "0 0 31 2 *".to_owned()).await;
    assert_eq!(fields, ["schedule.schedule"]);
    let fields = bad(&|schedule| {
        schedule.instance_id.clear();
        schedule.failures_maximum = -1;
    })
    .await;
    assert_eq!(
        fields,
        ["schedule.instance_id", "schedule.failures_maximum"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hollow_point_costs_no_real_one_and_a_cloud_that_is_away_costs_none() {
    let scene = Scene::set().await;
    let schedule = scene.schedule(|plan| plan.keep.last = 2).await;
    let first = scene.next_hour(&schedule).await;
    let second = scene.next_hour(&schedule).await;
    // A colleague, another tool, a lost bucket.
    let link = &second.volume_backups[0].backup_id;
    scene.house.source.vanish(link);
    let third = scene.next_hour(&schedule).await;
    assert_eq!(third.state(), pb::State::Ok, "{:?}", third.error);
    assert_eq!(scene.service.schedules_prune(10).await, Ok(0));
    let all = [first.id.clone(), second.id.clone(), third.id.clone()];
    assert_eq!(scene.points(&schedule).await, all);
    let request = pb::GetDrBackupRequest {
        id: second.id.clone(),
        ..Default::default()
    };
    let hollow = scene.house.dr_backups().await.get_dr_backup(request).await;
    let hollow = hollow.expect("it is there").into_inner();
    assert!(!hollow.recoverable);
    assert!(hollow.unrecoverable_reason.contains(link), "{hollow:?}");

    // With a fourth one two good ones stay in any case, as far as that can be seen.
    scene.hands.wind(HOUR);
    assert_eq!(scene.tick().await, 1);
    let fourth = scene.points(&schedule).await.pop().expect("it is made");
    let fourth = scene.house.backup_at_rest(&fourth).await;
    assert_eq!(fourth.state(), pb::State::Ok, "{:?}", fourth.error);
    scene.house.source.stop().await;
    assert_eq!(
        scene.service.schedules_prune(10).await,
        Ok(0),
        "nobody looks"
    );
    scene.house.source.start_again().await.expect("up");
    // Now it is seen that two newer ones are good.
    until(|| async {
        scene.service.schedules_prune(10).await.expect("judged");
        let left = scene.points(&schedule).await;
        (left == [third.id.clone(), fourth.id.clone()]).then_some(())
    })
    .await;
}
