//! A schedule in time; it may not know a store or a cloud.

use uuid::Uuid;

use super::*;
use crate::domain::id::{CloudName, PointKind, ProjectId};

const HOUR: Duration = Duration::from_secs(60 * 60);
const MINUTE: Duration = Duration::from_secs(60);

fn schedule(number: u128, calendar: &str, time_zone: &str) -> Schedule {
    Schedule {
        id: ScheduleId(Uuid::from_u128(
            number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060),
        )),
        plan: Plan {
            name: "nightly".to_owned(),
            description: String::new(),
            kind: PointKind::Dr,
            capture: Capture::Snapshot,
            minimum: None,
            full_every: 1,
            calendar: calendar.to_owned(),
            time_zone: time_zone.to_owned(),
            jitter: Duration::ZERO,
            missed: MissedRuns::RunOnce,
            failures_maximum: 3,
            keep: Keep::default(),
        },
        tenant: Tenant {
            cloud: CloudName::new("source"),
            project: ProjectId::new("demo"),
        },
        server: ServerId::new("server"),
        active: true,
        next: None,
        failures: 0,
        runtime_state: String::new(),
        error: None,
        created: at("2026-01-01T00:00:00Z"),
        updated: Timestamp(0),
        revision: 1,
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// The schedule with its first slot after `time`, and its calendar.
fn set(mut schedule: Schedule, time: Timestamp) -> (Schedule, Calendar) {
    let calendar = schedule.plan.calendar().expect("a calendar");
    schedule.next = schedule.slot_after(&calendar, time);
    (schedule, calendar)
}

#[test]
fn a_run_begins_with_its_slot_and_not_before() {
    let noon = at("2026-11-23T12:00:00Z");
    let (schedule, calendar) = set(schedule(1, "0 12 * * *", "UTC"), Timestamp(noon.0 - 1));
    let settings = ScheduleSettings::default();
    assert_eq!(schedule.next.map(|slot| slot.begins), Some(noon));
    assert_eq!(
        schedule.due(&calendar, Timestamp(noon.0 - 1), &settings),
        Due::Nothing
    );
    let Due::Run { slot, cause, next } = schedule.due(&calendar, noon, &settings) else {
        panic!("it runs")
    };
    assert_eq!((slot, cause), (noon, RunCause::Calendar));
    assert_eq!(next.map(|slot| slot.time), Some(noon.after(24 * HOUR)));
}

#[test]
fn what_is_not_active_never_runs() {
    let (mut schedule, calendar) = set(schedule(1, "* * * * *", "UTC"), Timestamp(0));
    schedule.active = false;
    let later = at("2030-01-01T00:00:00Z");
    assert_eq!(
        schedule.due(&calendar, later, &ScheduleSettings::default()),
        Due::Nothing
    );
}

#[test]
fn slots_that_were_missed_make_one_run_or_one_skip() {
    let start = at("2026-11-23T00:30:00Z");
    let (mut schedule, calendar) = set(schedule(1, "0 * * * *", "UTC"), start);
    let back = at("2026-11-23T09:20:00Z");
    let settings = ScheduleSettings::default();
    let latest = at("2026-11-23T09:00:00Z");
    let Due::Run { slot, cause, next } = schedule.due(&calendar, back, &settings) else {
        panic!("it runs")
    };
    assert_eq!((slot, cause), (latest, RunCause::Missed));
    assert_eq!(next.map(|slot| slot.time), Some(at("2026-11-23T10:00:00Z")));
    schedule.plan.missed = MissedRuns::Skip;
    let Due::Skip { slot, missed, next } = schedule.due(&calendar, back, &settings) else {
        panic!("it is skipped")
    };
    assert_eq!((slot, missed), (latest, 9), "01:00 to 09:00");
    assert_eq!(next.map(|slot| slot.time), Some(at("2026-11-23T10:00:00Z")));
}

#[test]
fn a_failed_run_is_tried_again_ever_later_but_never_after_the_next_slot() {
    let slot = at("2026-11-23T01:00:00Z");
    let (mut schedule, calendar) = set(schedule(1, "0 1 * * *", "UTC"), Timestamp(slot.0 - 1));
    let settings = ScheduleSettings::default();
    let mut waits = Vec::new();
    for failures in 1..7 {
        schedule.failures = failures;
        let again = schedule.slot_after_failure(&calendar, slot, slot, &settings);
        let again = again.expect("a slot");
        assert_eq!((again.time, again.tries), (slot, failures));
        waits.push(again.begins.since(slot).as_secs() / 60);
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    let late = at("2026-11-24T00:30:00Z");
    let next = schedule.slot_after_failure(&calendar, slot, late, &settings);
    assert_eq!(next.map(|next| next.time), Some(at("2026-11-24T01:00:00Z")));
    schedule.next = schedule.slot_after_failure(&calendar, slot, slot, &settings);
    let due = schedule.due(&calendar, slot.after(2 * HOUR), &settings);
    assert!(
        matches!(
            due,
            Due::Run {
                cause: RunCause::Retry,
                ..
            }
        ),
        "{due:?}"
    );
}

#[test]
fn a_slot_that_failed_is_not_taken_up_anew_by_a_clock_that_is_behind() {
    let slot = at("2026-11-23T01:00:00Z");
    let (mut schedule, calendar) = set(schedule(1, "0 1 * * *", "UTC"), Timestamp(slot.0 - 1));
    schedule.failures = 1;
    let behind = at("2026-11-23T00:59:30Z");
    let again = schedule.slot_after_failure(&calendar, slot, behind, &ScheduleSettings::default());
    let again = again.expect("a slot");
    assert_eq!(
        (again.time, again.tries),
        (slot, 1),
        "a try of the same one"
    );
}

#[test]
fn jitter_spreads_schedules_evenly_and_is_the_same_every_time() {
    let midnight = at("2026-11-23T00:00:00Z");
    let mut by_minute = [0; 10];
    for number in 1..=1_000 {
        let mut one = schedule(number, "0 0 * * *", "UTC");
        one.plan.jitter = 10 * MINUTE;
        let (one, calendar) = set(one, Timestamp(midnight.0 - 1));
        let begins = one.next.expect("a slot").begins;
        assert_eq!(
            one.slot_after(&calendar, Timestamp(midnight.0 - 1)),
            one.next
        );
        by_minute[usize::try_from(begins.since(midnight).as_secs() / 60).expect("small")] += 1;
    }
    assert!(
        by_minute.iter().all(|count| (60..=140).contains(count)),
        "{by_minute:?}"
    );
}

/// Ten thousand schedules in zones all over the world, each looked at only when its time has come, for
/// a year that has every change of clocks in it. The service is down now and then, everywhere at once.
#[test]
fn in_a_year_of_ten_thousand_schedules_no_run_is_lost_and_none_doubled() {
    const SCHEDULES: u128 = 10_000;
    let zones = [
        "UTC",
        "Europe/Tallinn",
        "America/New_York",
        "Australia/Lord_Howe",
        "Asia/Kolkata",
        "America/Havana",
        "Pacific/Apia",
        "Africa/Casablanca",
    ];
    let calendars = [
        "30 3 * * *",
        "0 2 * * 1",
        "@monthly",
        "15 0 1,15 * *",
        "45 2 * * SAT,SUN",
    ];
    let start = at("2026-01-01T00:00:00Z");
    let end = at("2027-01-01T00:00:00Z");
    // Down for half a day on the 20th of every month.
    let outage = |time: Timestamp| {
        let text = time.to_string();
        (&text[8..10] == "20" && &text[11..13] < "12")
            .then(|| at(&format!("{}T12:00:00Z", &text[..10])))
    };
    let settings = ScheduleSettings::default();
    let (mut expected, mut ran, mut skipped) = (0_u64, 0_u64, 0_u64);
    // What a calendar names in a zone, counted once for all who have it.
    let mut named = std::collections::HashMap::new();
    for number in 0..SCHEDULES {
        let pick =
            |count: usize, by: u128| usize::try_from(number / by % count as u128).unwrap_or(0);
        let mut one = schedule(
            number + 1,
            calendars[pick(calendars.len(), 1)],
            zones[pick(zones.len(), 5)],
        );
        one.plan.jitter = 10 * MINUTE;
        one.plan.missed = if number % 2 == 0 {
            MissedRuns::RunOnce
        } else {
            MissedRuns::Skip
        };
        let (mut one, calendar) = set(one, start);
        let slots = named.entry(calendar.to_string()).or_insert_with(|| {
            calendar
                .runs_after(start)
                .take_while(|run| *run < end)
                .collect::<Vec<_>>()
        });
        expected += slots.len() as u64;
        let mut last = start;
        let mut made = 0;
        let mut missing = 0;
        while let Some(slot) = one.next.filter(|slot| slot.time < end) {
            let now = outage(slot.begins).unwrap_or(slot.begins);
            let (slot, next, skips) = match one.due(&calendar, now, &settings) {
                Due::Run { slot, next, .. } => (slot, next, 0),
                Due::Skip { slot, missed, next } => (slot, next, missed),
                Due::Nothing => panic!("its time had come"),
            };
            assert!(slot > last, "{calendar}: {slot} after {last}");
            let between = slots
                .iter()
                .filter(|named| **named > last && **named <= slot)
                .count();
            // Whatever lies between two runs was missed in one outage and is made up for by the second.
            assert!(
                between == 1 || now > slot,
                "{calendar}: {between} slots up to {slot}"
            );
            missing += u64::from(skips);
            made += between as u64 - u64::from(skips);
            last = slot;
            one.next = next;
        }
        ran += made;
        skipped += missing;
    }
    assert_eq!(ran + skipped, expected, "every slot is accounted for once");
    assert!(
        ran > 900_000 && skipped > 1_000,
        "{ran} ran, {skipped} skipped"
    );
}
