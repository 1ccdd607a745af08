//! The calendar against real clock changes, and against an oracle that tries every minute.

use proptest::prelude::*;

use super::*;

fn calendar(expression: &str, zone: &str) -> Calendar {
    Calendar::parse(expression, zone).expect("a good calendar")
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a good time")
}

fn problems(expression: &str, zone: &str) -> Vec<String> {
    let bad = Calendar::parse(expression, zone).expect_err("a bad calendar");
    bad.into_iter()
        .map(|bad| format!("{}: {}", bad.field, bad.problem))
        .collect()
}

/// The first `count` runs after `from`, as the wall clock of the zone with its offset.
fn runs(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let calendar = calendar(expression, zone);
    calendar
        .runs_after(at(from))
        .take(count)
        .map(|run| {
            local(run, calendar.zone())
                .format("%d %H:%M%:z")
                .to_string()
        })
        .collect()
}

#[test]
fn bad_expression_and_bad_zone_are_named_at_once() {
    let problems = problems("60 * * * *", "Mars/Olympus");
    assert_eq!(
        problems,
        [
            "schedule: the minute `60` is bad: number out of bounds (0 to 59)",
            "time_zone: `Mars/Olympus` is not a zone of the IANA database, such as `Europe/Tallinn`",
        ]
    );
}

#[test]
fn bad_expressions_are_refused_with_a_reason() {
    for (expression, reason) in [
        ("", "it has 0 fields"),
        ("0 0 * *", "it has 4 fields"),
        ("0 0 0 * * *", "there are no seconds and no years"),
        ("0 0 * * * 2027", "there are no seconds and no years"),
        ("@reboot", "`@reboot` names no time"),
        ("0 25 * * *", "the hour `25` is bad"),
        ("0 0 * * NEVER", "the day of week `NEVER` is bad"),
        ("*/0 * * * *", "step cannot be zero"),
        ("* * 31 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        (&"* ".repeat(200), "longer than 200 bytes"),
    ] {
        let problems = problems(expression, "UTC");
        assert_eq!(problems.len(), 1, "{expression}");
        let told = problems[0].starts_with("schedule: ") && problems[0].contains(reason);
        assert!(told, "{expression}: {problems:?}");
    }
}

#[test]
fn rare_but_real_days_are_accepted() {
    let leap_day = calendar("0 12 29 2 *", "UTC");
    let run = leap_day.next_after(at("2096-03-01T00:00:00Z"));
    assert_eq!(run, Some(at("2104-02-29T12:00:00Z")));
    let leap_monday = calendar("0 12 29 2 +MON", "UTC");
    let run = leap_monday.next_after(at("2026-01-01T00:00:00Z"));
    assert_eq!(run, Some(at("2044-02-29T12:00:00Z")));
}

#[test]
fn short_names_mean_what_cron_says() {
    for (name, spelt_out) in [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 * * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        (" @Annually ", "0 0 1 1 *"),
    ] {
        let from = "2026-11-23T07:00:00Z";
        assert_eq!(
            runs(name, "Europe/Tallinn", from, 5),
            runs(spelt_out, "Europe/Tallinn", from, 5)
        );
    }
}

#[test]
fn weekly_runs_at_two_on_the_right_day_of_the_zone() {
    let weekly = calendar("0 2 * * MON", "Europe/Tallinn");
    let run = weekly.next_after(at("2026-11-23T23:30:00Z"));
    assert_eq!(run, Some(at("2026-11-30T00:00:00Z")));
}

#[test]
fn restricted_day_of_month_and_day_of_week_mean_either() {
    let november = |expression| runs(expression, "UTC", "2026-10-31T12:00:00Z", 4);
    let days = |days: [u32; 4]| days.map(|day| format!("{day:02} 00:00+00:00"));
    assert_eq!(november("0 0 13 * MON"), days([2, 9, 13, 16]));
    assert_eq!(november("0 0 13 * *"), days([13, 13, 13, 13]));
    assert_eq!(november("0 0 * * MON"), days([2, 9, 16, 23]));
    // Only a bare `*` is unrestricted: `*/10` is a list of days like any other.
    assert_eq!(november("0 0 */10 * MON"), days([1, 2, 9, 11]));
    assert_eq!(november("0 0 9-16 * +MON"), days([9, 16, 14, 11]));
}

#[test]
fn run_in_the_spring_gap_is_once_at_its_end() {
    for (expression, zone, from, expected) in [
        (
            "30 3 * * *",
            "Europe/Tallinn",
            "2026-03-28T00:00:00Z",
            ["28 03:30+02:00", "29 04:00+03:00", "30 03:30+03:00"],
        ),
        (
            "*/20 3 * * *",
            "Europe/Tallinn",
            "2026-03-28T01:30:00Z",
            ["28 03:40+02:00", "29 04:00+03:00", "30 03:00+03:00"],
        ),
        (
            "30 2,14 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["08 03:00-04:00", "08 14:30-04:00", "09 02:30-04:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            ["04 02:30+11:00", "05 02:15+11:00", "06 02:15+11:00"],
        ),
        (
            "30 3 * * *",
            "Asia/Kolkata",
            "2026-03-28T00:00:00Z",
            ["29 03:30+05:30", "30 03:30+05:30", "31 03:30+05:30"],
        ),
        // Samoa had no 30 December 2011.
        (
            "0 9 30,31 * *",
            "Pacific/Apia",
            "2011-12-01T00:00:00Z",
            ["31 00:00+14:00", "31 09:00+14:00", "30 09:00+14:00"],
        ),
    ] {
        assert_eq!(runs(expression, zone, from, 3), expected, "{expression}");
    }
}

#[test]
fn run_in_the_autumn_fold_is_once_at_its_first_showing() {
    for (expression, zone, from, expected) in [
        (
            "30 3 * * *",
            "Europe/Tallinn",
            "2026-10-24T00:00:00Z",
            ["24 03:30+03:00", "25 03:30+03:00", "26 03:30+02:00"],
        ),
        (
            "30 3,15 * * *",
            "Europe/Tallinn",
            "2026-10-25T00:00:00Z",
            ["25 03:30+03:00", "25 15:30+02:00", "26 03:30+02:00"],
        ),
        // Asked between the two showings: the run was already.
        (
            "30 3 * * *",
            "Europe/Tallinn",
            "2026-10-25T01:10:00Z",
            ["26 03:30+02:00", "27 03:30+02:00", "28 03:30+02:00"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-11-01T00:00:00Z",
            ["01 01:30-04:00", "02 01:30-05:00", "03 01:30-05:00"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2026-04-04T00:00:00Z",
            ["05 01:45+11:00", "06 01:45+10:30", "07 01:45+10:30"],
        ),
    ] {
        assert_eq!(runs(expression, zone, from, 3), expected, "{expression}");
    }
}

#[test]
fn every_hour_that_passes_has_its_runs() {
    assert_eq!(
        runs("*/30 * * * *", "Europe/Tallinn", "2026-10-25T00:00:00Z", 5),
        [
            "25 03:30+03:00",
            "25 03:00+02:00",
            "25 03:30+02:00",
            "25 04:00+02:00",
            "25 04:30+02:00"
        ]
    );
    assert_eq!(
        runs("15 * * * *", "Europe/Tallinn", "2026-03-29T00:00:00Z", 2),
        ["29 02:15+02:00", "29 04:15+03:00"]
    );
    assert_eq!(
        runs(
            "45 * * * *",
            "Australia/Lord_Howe",
            "2026-04-04T14:00:00Z",
            3
        ),
        ["05 01:45+11:00", "05 01:45+10:30", "05 02:45+10:30"]
    );
}

#[test]
fn run_asked_at_a_run_is_the_one_after() {
    let daily = calendar("@daily", "UTC");
    let run = at("2026-11-23T00:00:00Z");
    assert_eq!(daily.next_after(Timestamp(run.0 - 1)), Some(run));
    assert_eq!(daily.next_after(run), Some(at("2026-11-24T00:00:00Z")));
}

#[test]
fn missed_runs_collapse_into_the_latest() {
    let daily = calendar("0 3 * * *", "UTC");
    let missed = |after, until| daily.missed_between(at(after), at(until));
    assert_eq!(
        missed("2026-11-20T03:00:00Z", "2026-11-23T03:00:00Z"),
        Some(Missed {
            latest: at("2026-11-23T03:00:00Z"),
            count: 3
        })
    );
    assert_eq!(missed("2026-11-23T03:00:00Z", "2026-11-24T02:59:59Z"), None);
    assert_eq!(missed("2026-11-23T03:00:00Z", "2026-11-20T03:00:00Z"), None);
}

#[test]
fn missed_runs_beyond_counting_still_tell_the_latest() {
    let often = calendar("*/5 * * * *", "Europe/Tallinn");
    let missed = often.missed_between(at("2020-01-01T00:00:00Z"), at("2026-11-23T07:34:51Z"));
    let expected = Missed {
        latest: at("2026-11-23T07:30:00Z"),
        count: MAXIMAL_MISSED,
    };
    assert_eq!(missed, Some(expected));
}

#[test]
fn no_time_is_too_strange_to_ask_about() {
    let daily = calendar("@daily", "Pacific/Kiritimati");
    assert!(daily.next_after(Timestamp(i64::MIN)).is_some());
    assert_eq!(at("5000-01-01T00:00:00Z"), Timestamp(LAST_MICROS));
    assert_eq!(daily.next_after(Timestamp(LAST_MICROS)), None);
    assert_eq!(daily.next_after(Timestamp(i64::MAX)), None);
    let all = daily.missed_between(Timestamp(i64::MIN), Timestamp(i64::MAX));
    assert_eq!(all.map(|missed| missed.count), Some(MAXIMAL_MISSED));
}

/// What one field holds, for the oracle, and how it is written, for the calendar.
#[derive(Debug, Clone)]
struct Field {
    text: String,
    values: Vec<u32>,
}

fn field(low: u32, high: u32) -> impl Strategy<Value = Field> {
    let any = Just(Field {
        text: "*".to_owned(),
        values: (low..=high).collect(),
    });
    let list = prop::collection::btree_set(low..=high, 1..4).prop_map(|values| Field {
        text: values
            .iter()
            .map(u32::to_string)
            .collect::<Vec<_>>()
            .join(","),
        values: values.into_iter().collect(),
    });
    let range = (low..=high, low..=high, 1..5_usize).prop_map(|(one, other, step)| {
        let (start, end) = (one.min(other), one.max(other));
        Field {
            text: format!("{start}-{end}/{step}"),
            values: (start..=end).step_by(step).collect(),
        }
    });
    prop_oneof![3 => any, 2 => list, 2 => range]
}

/// A zone with a time, mostly near one of its clock changes.
fn place() -> impl Strategy<Value = (&'static str, Timestamp)> {
    let changes = prop::sample::select(vec![
        ("Europe/Tallinn", "2026-03-29T01:00:00Z"),
        ("Europe/Tallinn", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z"),
        ("America/New_York", "2026-11-01T06:00:00Z"),
        ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
        ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
        ("America/Havana", "2026-03-08T05:00:00Z"),
        ("America/Havana", "2026-11-01T05:00:00Z"),
        ("Pacific/Apia", "2011-12-30T10:00:00Z"),
        ("Asia/Kolkata", "2028-02-28T18:30:00Z"),
        ("UTC", "2026-12-31T23:59:00Z"),
    ]);
    let seconds = prop_oneof![-5_400_i64..5_400, -129_600_i64..21_600];
    (changes, seconds)
        .prop_map(|((zone, change), seconds)| (zone, Timestamp(at(change).0 + seconds * 1_000_000)))
}

/// The oracle: walks minute by minute and only ever asks what the wall clock shows then.
///
/// It knows the rule from the head of `calendar.rs` in other words: when hours are unrestricted a
/// minute runs if its wall clock matches; else a minute runs if its wall clock shows, or has just
/// leapt over, a matching time that was never shown before.
fn first_run_by_walking(
    [minutes, hours, days, weekdays]: [&Field; 4],
    zone: Tz,
    from: Timestamp,
    length: i64,
) -> Option<Timestamp> {
    use chrono::{Datelike, Timelike};
    let matches = |wall: NaiveDateTime| {
        let day = days.values.contains(&wall.day());
        let weekday = weekdays
            .values
            .contains(&wall.weekday().num_days_from_sunday());
        minutes.values.contains(&wall.minute())
            && hours.values.contains(&wall.hour())
            && match (days.text.as_str(), weekdays.text.as_str()) {
                ("*", _) => weekday,
                (_, "*") => day,
                _ => day || weekday,
            }
    };
    let minute = TimeDelta::minutes(1);
    let first = from.0.div_euclid(60_000_000) + 1;
    let wall = |minute: i64| local(Timestamp(minute * 60_000_000), zone).naive_local();
    let day = 24 * 60;
    let mut shown = (first - day..first).map(wall).max()?;
    (first..first + length)
        .find(|&moment| {
            let now = wall(moment);
            if hours.values.len() == 24 {
                return matches(now);
            }
            let mut runs = false;
            while shown < now {
                shown += minute;
                runs |= matches(shown);
            }
            runs
        })
        .map(|minute| Timestamp(minute * 60_000_000))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn next_run_is_the_one_that_walking_finds(
        minutes in field(0, 59),
        hours in field(0, 23),
        days in field(1, 31),
        weekdays in field(0, 6),
        (zone, from) in place(),
    ) {
        let length = 3 * 24 * 60;
        let expression =
            format!("{} {} {} * {}", minutes.text, hours.text, days.text, weekdays.text);
        let calendar = calendar(&expression, zone);
        let walked =
            first_run_by_walking([&minutes, &hours, &days, &weekdays], calendar.zone(), from, length);
        let next = calendar.next_after(from).filter(|next| {
            walked.is_some() || next.0 < from.0 + length * 60_000_000
        });
        prop_assert_eq!(next, walked, "{} after {}", calendar, from);
    }

    #[test]
    fn runs_only_ever_grow(
        minutes in field(0, 59),
        hours in field(0, 23),
        (zone, from) in place(),
    ) {
        let calendar = calendar(&format!("{} {} * * *", minutes.text, hours.text), zone);
        let runs: Vec<Timestamp> = calendar.runs_after(from).take(60).collect();
        prop_assert!(from < runs[0] && runs.is_sorted_by(|one, next| one < next));
        let missed = calendar.missed_between(from, runs[59]);
        prop_assert_eq!(missed, Some(Missed { latest: runs[59], count: 60 }));
    }
}
