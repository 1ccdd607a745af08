//! The contract of the store about schedules and their runs, on SQLite and on a real PostgreSQL; it
//! may not know which of them a claim runs on.

use std::time::Duration;

use drbackup::{
    domain::{
        caller::Scope,
        capture::Capture,
        error::{OperationError, UNREADABLE_TEXT},
        head::Head,
        id::{CloudName, PointId, PointKind, ResourceId, RunId, ScheduleId, ServerId},
        keeping::Keeping,
        lifecycle::State,
        page::{Filter, Order, Query},
        point::Point,
        schedule::{Keep, MissedRuns, Plan, Run, RunCause, RunOutcome, Schedule, Slot},
        time::Timestamp,
    },
    port::{
        schedules::{Made, NewPoint},
        store::{Admitted, RequestKey, Store, StoreError},
    },
};
use uuid::Uuid;

use crate::store_contract::{Site, asked, backup, creation, home};

const NOON: Timestamp = Timestamp(1_790_000_000_000_000);
const HOUR: Duration = Duration::from_secs(3_600);

fn slot(hour: u32) -> Slot {
    let time = NOON.after(HOUR * hour);
    Slot {
        time,
        begins: time,
        tries: 0,
    }
}

fn schedule(next: Option<Slot>) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::now_v7()),
        plan: Plan {
            name: "nightly".to_owned(),
            description: String::new(),
            kind: PointKind::Dr,
            capture: Capture::Snapshot,
            minimum: None,
            full_every: 7,
            calendar: "0 * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            jitter: Duration::from_millis(1_500),
            missed: MissedRuns::Skip,
            failures_maximum: 3,
            keep: Keep {
                last: 2,
                ..Keep::default()
            },
        },
        tenant: home(),
        server: ServerId::new("server-1"),
        active: next.is_some(),
        next,
        failures: 0,
        runtime_state: "Waiting".to_owned(),
        error: None,
        created: NOON,
        updated: NOON,
        revision: 1,
    }
}

fn key(method: &'static str) -> RequestKey {
    RequestKey {
        method,
        id: "monday".to_owned(),
        digest: "same".to_owned(),
    }
}

async fn admit(store: &dyn Store, schedule: &Schedule) -> Schedule {
    let admitted = store.schedule_admit(asked(None), schedule.clone()).await;
    match admitted.expect("admitted") {
        Admitted::New(schedule) | Admitted::Before(schedule) => schedule,
    }
}

fn run_of(schedule: &Schedule) -> Run {
    let (id, now) = (RunId(Uuid::now_v7()), NOON.after(HOUR));
    Run::begun(id, schedule.id, now, RunCause::Calendar, now)
}

fn point_of(schedule: &Schedule) -> NewPoint {
    let backup = Point {
        keeping: Keeping {
            schedule: Some(schedule.id),
            ..Keeping::default()
        },
        ..backup()
    };
    let operation = creation(&backup);
    NewPoint {
        point: backup,
        operation,
    }
}

/// Begins a run that makes a point; the schedule as it goes on is answered too.
async fn begin(store: &dyn Store, schedule: &Schedule) -> (Schedule, Run, Point) {
    let point = point_of(schedule);
    let made = point.point.clone();
    let mut run = run_of(schedule);
    run.point = Some(point.point.id);
    let next = Schedule {
        next: Some(slot(2)),
        ..schedule.clone()
    };
    let run = store.run_begin(asked(None), next, run, Some(point)).await;
    let now = store.schedule_get(schedule.id).await.expect("there");
    (now, run.expect("begun"), made)
}

async fn a_schedule_reads_back_as_it_was_written_and_repeats_answer_it(site: Site) {
    let store = site.open().await;
    let wanted = schedule(Some(slot(1)));
    let first = store
        .schedule_admit(asked(Some(key("CreateSchedule"))), wanted.clone())
        .await;
    assert_eq!(first, Ok(Admitted::New(wanted.clone())));
    assert_eq!(store.schedule_get(wanted.id).await, Ok(wanted.clone()));
    let again = store
        .schedule_admit(asked(Some(key("CreateSchedule"))), schedule(None))
        .await;
    assert_eq!(again, Ok(Admitted::Before(wanted.clone())));
    let about = ResourceId::Schedule(wanted.id);
    let events = store.events_list(about, 0, 10).await.expect("listed");
    assert_eq!(events.len(), 1);

    let removed = store
        .schedule_remove(asked(Some(key("DeleteSchedule"))), wanted.clone())
        .await;
    assert_eq!(removed, Ok(Admitted::New(wanted.clone())));
    assert_eq!(
        store.schedule_get(wanted.id).await,
        Err(StoreError::NotFound(about))
    );
    let answered = store.schedule_answered(&key("CreateSchedule")).await;
    assert_eq!(answered, Ok(Some(wanted)), "also when it is gone");
    let events = store.events_list(about, 0, 10).await.expect("listed");
    assert_eq!(events.last().map(|event| event.state), Some(State::Deleted));
}

async fn only_the_first_of_two_changes_from_one_revision_is_written(site: Site) {
    let store = site.open().await;
    let read = admit(&*store, &schedule(Some(slot(1)))).await;
    let begun = store
        .run_begin(asked(None), read.clone(), run_of(&read), None)
        .await;
    assert!(begun.is_ok(), "{begun:?}");
    let outdated = Err(StoreError::Outdated(ResourceId::Schedule(read.id)));
    let point = Some(point_of(&read));
    let second = store
        .run_begin(asked(None), read.clone(), run_of(&read), point)
        .await;
    assert_eq!(second, outdated);
    assert_eq!(
        store.points_of(read.id).await,
        Ok(Vec::new()),
        "nothing of it is there"
    );
    let runs = store
        .runs_list(read.id, None, None, 10)
        .await
        .expect("listed");
    assert_eq!(runs.items.len(), 1);
    assert_eq!(
        store
            .schedule_change(asked(None), read.clone())
            .await
            .map(drop),
        outdated.clone().map(drop)
    );
    assert_eq!(
        store.run_end(read.clone(), run_of(&read)).await,
        outdated.map(drop)
    );
}

async fn what_is_due_comes_with_the_time_of_the_next(site: Site) {
    let store = site.open().await;
    let mut hours = Vec::new();
    for hour in [3, 1, 2] {
        hours.push(admit(&*store, &schedule(Some(slot(hour)))).await.id);
    }
    admit(&*store, &schedule(None)).await;
    let due = async |hour: u32| {
        let (due, next) = store
            .schedules_due(NOON.after(HOUR * hour), 10)
            .await
            .expect("read");
        (due.iter().map(|one| one.id).collect::<Vec<_>>(), next)
    };
    assert_eq!(due(0).await, (Vec::new(), Some(slot(1).begins)));
    assert_eq!(
        due(2).await,
        (vec![hours[1], hours[2]], Some(slot(3).begins))
    );
    assert_eq!(due(3).await, (vec![hours[1], hours[2], hours[0]], None));
}

async fn a_run_rests_with_its_point(site: Site) {
    let store = site.open().await;
    let read = admit(&*store, &schedule(Some(slot(1)))).await;
    let (read, mut run, made) = begin(&*store, &read).await;
    assert_eq!(read.next, Some(slot(2)));
    let cloud = CloudName::new("home");
    assert_eq!(store.runs_under_way(&cloud).await, Ok(1));
    assert_eq!(store.runs_under_way(&CloudName::new("away")).await, Ok(0));
    assert_eq!(
        store.runs_rested(10).await,
        Ok(Vec::new()),
        "it is being made"
    );
    let points = store.points_of(read.id).await.expect("listed");
    assert_eq!(points.len(), 1);
    assert_eq!((points[0].point.id, points[0].used), (made.id, false));

    let rested = Point {
        head: Head {
            state: State::Ok,
            ..store.point_get(made.id).await.expect("there").head
        },
        ..store.point_get(made.id).await.expect("there")
    };
    let changed = store.point_change(asked(None), rested, None).await;
    changed.expect("written");
    assert_eq!(
        store.runs_rested(10).await,
        Ok(vec![(run.clone(), Made::Good)])
    );
    run.end(RunOutcome::Succeeded, String::new(), NOON.after(HOUR * 2));
    assert_eq!(store.run_end(read.clone(), run.clone()).await, Ok(()));
    assert_eq!(store.runs_rested(10).await, Ok(Vec::new()));
    assert_eq!(store.runs_under_way(&cloud).await, Ok(0));
    let runs = store
        .runs_list(read.id, None, None, 10)
        .await
        .expect("listed");
    assert_eq!(runs.items, [run]);
}

async fn lists_of_schedules_and_runs_go_on_where_a_page_ended(site: Site) {
    let store = site.open().await;
    let mut made = Vec::new();
    for hour in 0..5 {
        let one = Schedule {
            created: NOON.after(HOUR * hour),
            active: hour % 2 == 0,
            ..schedule(Some(slot(1)))
        };
        made.push(admit(&*store, &one).await.id);
    }
    let mut query = Query {
        scope: Scope::All,
        filter: Filter::default(),
        order: Order::default(),
        after: None,
        skip: 0,
        limit: 2,
    };
    let mut seen = Vec::new();
    loop {
        let page = store.schedules_list(query.clone()).await.expect("listed");
        seen.extend(page.items.iter().map(|one| one.id));
        match page.next {
            Some(next) => query.after = Some(next),
            None => break,
        }
    }
    seen.reverse();
    assert_eq!(seen, made);
    query.after = None;
    query.filter.active = Some(false);
    let idle = store.schedules_list(query).await.expect("listed").items;
    assert_eq!(idle.len(), 2);

    let mut read = store.schedule_get(made[0]).await.expect("there");
    for _ in 0..3 {
        store
            .run_begin(asked(None), read.clone(), run_of(&read), None)
            .await
            .expect("begun");
        read = store.schedule_get(made[0]).await.expect("there");
    }
    let first = store
        .runs_list(made[0], None, None, 2)
        .await
        .expect("listed");
    let rest = store
        .runs_list(made[0], None, first.next, 2)
        .await
        .expect("listed");
    assert_eq!(
        (first.items.len(), rest.items.len(), rest.next),
        (2, 1, None)
    );
}

async fn points_expire_only_at_rest_unheld_and_without_a_schedule(site: Site) {
    let store = site.open().await;
    let over = |held: bool, schedule: Option<ScheduleId>, state: State| Point {
        keeping: Keeping {
            schedule,
            until: Some(NOON),
            held,
        },
        head: Head {
            state,
            ..backup().head
        },
        ..backup()
    };
    let of_schedule = Some(ScheduleId(Uuid::now_v7()));
    let mut expected = None;
    for one in [
        over(true, None, State::Ok),
        over(false, of_schedule, State::Ok),
        over(false, None, State::Creating),
        over(false, None, State::Ok),
    ] {
        expected = Some(one.id);
        let operation = creation(&one);
        store
            .point_admit(asked(None), one, operation)
            .await
            .expect("admitted");
    }
    let early = store.points_expired(Timestamp(NOON.0 - 1), 10).await;
    assert_eq!(early, Ok(Vec::new()));
    let expired = store.points_expired(NOON, 10).await.expect("listed");
    assert_eq!(expired.len(), 1);
    assert_eq!(Some(expired[0].point.id), expected);
}

async fn a_schedule_that_cannot_be_read_says_so_and_stops_no_other(site: Site) {
    let store = site.open().await;
    let spoilt = admit(&*store, &schedule(Some(slot(1)))).await;
    let good = admit(&*store, &schedule(Some(slot(2)))).await;
    for (column, value) in [
        ("plan", r#"{"name":"nightly","missed":"catch_up_all"}"#),
        ("next", r#"{"time":"soon"}"#),
        ("error", r#"{"reason":3}"#),
    ] {
        let id = spoilt.id;
        site.sql("CREATE TABLE kept AS SELECT * FROM schedules");
        site.sql(&format!(
            "UPDATE schedules SET {column} = '{value}' WHERE id = '{id}'"
        ));
        // Also where no more than one is asked for, and the one that cannot be read is due for longer.
        let due = store.schedules_due(NOON.after(HOUR * 3), 1).await;
        let due: Vec<ScheduleId> = due.expect("read").0.iter().map(|one| one.id).collect();
        assert_eq!(due, [good.id], "{column}");
        let told = store.schedule_get(id).await.expect("there");
        assert!(
            told.runtime_state.starts_with(UNREADABLE_TEXT),
            "{column}: {told:#?}"
        );
        assert!(
            told.error
                .as_ref()
                .is_some_and(OperationError::is_unreadable)
        );
        let query = Query {
            scope: Scope::All,
            filter: Filter::default(),
            order: Order::default(),
            after: None,
            skip: 0,
            limit: 9,
        };
        let listed = store.schedules_list(query).await.expect("listed").items;
        assert!(listed.contains(&told) && listed.contains(&good), "{column}");
        for refused in [
            store
                .schedule_change(asked(None), told.clone())
                .await
                .map(drop),
            store
                .run_begin(asked(None), told.clone(), run_of(&told), None)
                .await
                .map(drop),
        ] {
            assert!(
                matches!(refused, Err(StoreError::Unreadable(_))),
                "{column}: {refused:?}"
            );
        }
        site.sql(&format!(
            "UPDATE schedules SET {column} = (SELECT {column} FROM kept WHERE kept.id = '{id}') WHERE id = '{id}'"
        ));
        site.sql("DROP TABLE kept");
        assert_eq!(store.schedule_get(id).await, Ok(spoilt.clone()));
    }
}

async fn a_run_that_cannot_be_read_says_so_and_holds_up_no_other(site: Site) {
    let store = site.open().await;
    let (one, two) = (schedule(Some(slot(1))), schedule(Some(slot(1))));
    let (one, two) = (admit(&*store, &one).await, admit(&*store, &two).await);
    let (one, spoilt, made) = begin(&*store, &one).await;
    let (two, good, other) = begin(&*store, &two).await;
    for id in [made.id, other.id] {
        let rested = Point {
            head: Head {
                state: State::Ok,
                ..store.point_get(id).await.expect("there").head
            },
            ..store.point_get(id).await.expect("there")
        };
        let changed = store.point_change(asked(None), rested, None).await;
        changed.expect("changed");
    }
    let ended = async || -> Vec<RunId> {
        let rested = store.runs_rested(1).await.expect("read");
        rested.iter().map(|(run, _)| run.id).collect()
    };
    site.sql(&format!(
        "UPDATE runs SET cause = 'whim' WHERE id = '{}'",
        spoilt.id
    ));
    assert_eq!(ended().await, [good.id]);
    let page = store
        .runs_list(one.id, None, None, 9)
        .await
        .expect("listed");
    assert!(
        page.items[0].reason.starts_with(UNREADABLE_TEXT),
        "{page:?}"
    );
    // What cannot be read is not said to have failed, nor to have been its time.
    assert_eq!(page.items[0].outcome, RunOutcome::Started, "{page:?}");
    assert_ne!(page.items[0].cause, RunCause::Calendar, "{page:?}");
    site.sql(&format!(
        "UPDATE runs SET cause = 'calendar', outcome = 'HALF' WHERE id = '{}'",
        spoilt.id
    ));
    let page = store
        .runs_list(one.id, None, None, 9)
        .await
        .expect("listed");
    assert_ne!(page.items[0].outcome, RunOutcome::Failed, "{page:?}");
    assert!(page.items[0].reason.starts_with(UNREADABLE_TEXT));
    site.sql(&format!(
        "UPDATE runs SET outcome = 'STARTED' WHERE id = '{}'",
        spoilt.id
    ));
    // The end of a run is written on its schedule, and of its point too it has to be known how it stands.
    site.sql(&format!(
        "UPDATE schedules SET plan = 'x' WHERE id = '{}'",
        one.id
    ));
    assert_eq!(ended().await, [good.id]);
    site.sql(&format!(
        "UPDATE points SET state = 'PAUSED' WHERE id = '{}'",
        other.id
    ));
    assert_eq!(ended().await, []);
    // Retention neither counts nor takes what it cannot judge.
    assert_eq!(store.points_of(two.id).await, Ok(Vec::new()));
}

async fn points_that_cannot_be_read_take_no_place_from_those_that_expire(site: Site) {
    let store = site.open().await;
    let mut expiring = Vec::new();
    for hour in [1, 2] {
        let point = Point {
            keeping: Keeping {
                until: Some(NOON.after(HOUR * hour)),
                ..Keeping::default()
            },
            head: Head {
                state: State::Ok,
                ..backup().head
            },
            ..backup()
        };
        let taken = store.point_take_in(asked(None), point.clone()).await;
        taken.expect("taken in");
        expiring.push(point.id);
    }
    site.sql(&format!(
        "UPDATE points SET detail = '3' WHERE id = '{}'",
        expiring[0]
    ));
    let expired = store.points_expired(NOON.after(HOUR * 3), 1).await;
    let expired: Vec<PointId> = expired
        .expect("read")
        .iter()
        .map(|one| one.point.id)
        .collect();
    assert_eq!(expired, [expiring[1]]);
}

async fn the_oldest_of_what_schedules_made_is_told_first(site: Site) {
    let store = site.open().await;
    let of = |hour: u32| Schedule {
        created: NOON.after(HOUR * hour),
        ..schedule(Some(slot(hour)))
    };
    let (bare, good, seen) = (of(3), of(1), of(2));
    for one in [&bare, &good, &seen] {
        admit(&*store, one).await;
    }
    // One that a person stopped, though it had failed, and one that has failed too often.
    admit(&*store, &schedule(None)).await;
    let failed = |failures| Schedule {
        failures,
        created: NOON,
        error: Some(OperationError::new("QUOTA_SHORT", "no", "")),
        ..schedule(None)
    };
    admit(&*store, &failed(2)).await;
    let hopeless = admit(&*store, &failed(3)).await;
    for (schedule, hour, state, seen) in [
        (&good, 5, State::Ok, false),
        (&good, 9, State::Erred, false),
        (&seen, 6, State::Ok, true),
        (&seen, 8, State::Ok, false),
    ] {
        let mut point = point_of(schedule).point;
        point.head.state = state;
        point.head.created = NOON.after(HOUR * hour);
        point.verification.time = seen.then_some(NOON);
        store
            .point_take_in(asked(None), point)
            .await
            .expect("taken in");
    }
    let all = store.schedules_freshness(10).await.expect("read");
    let told: Vec<_> = all
        .iter()
        .map(|one| (one.schedule, one.good, one.verified))
        .collect();
    let at = |hour: u32| Some(NOON.after(HOUR * hour));
    assert_eq!(
        told,
        [
            (hopeless.id, None, None),
            (bare.id, None, None),
            (good.id, at(5), None),
            (seen.id, at(8), at(6))
        ]
    );
    let calendar = ("0 * * * *".to_owned(), "UTC".to_owned());
    assert_eq!(
        (&all[0].tenant, &all[0].calendar, all[0].created),
        (&home(), &calendar, NOON)
    );
    let first = store.schedules_freshness(1).await.expect("read");
    assert_eq!(first, all[..1]);
}

/// Every claim once for each database.
macro_rules! contract {
    ($($claim:ident),* $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test]
                async fn $claim() {
                    super::$claim(super::Site::sqlite()).await;
                }
            )*
        }

        mod postgres {
            $(
                #[tokio::test]
                async fn $claim() {
                    super::$claim(super::Site::postgres()).await;
                }
            )*
        }
    };
}

contract! {
    a_schedule_reads_back_as_it_was_written_and_repeats_answer_it,
    only_the_first_of_two_changes_from_one_revision_is_written,
    what_is_due_comes_with_the_time_of_the_next,
    a_run_rests_with_its_point,
    lists_of_schedules_and_runs_go_on_where_a_page_ended,
    points_expire_only_at_rest_unheld_and_without_a_schedule,
    a_schedule_that_cannot_be_read_says_so_and_stops_no_other,
    a_run_that_cannot_be_read_says_so_and_holds_up_no_other,
    points_that_cannot_be_read_take_no_place_from_those_that_expire,
    the_oldest_of_what_schedules_made_is_told_first,
}
