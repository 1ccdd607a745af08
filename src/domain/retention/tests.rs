//! Retention told by examples.

use super::*;

const ZONE: Tz = Tz::Europe__Tallinn;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a good time")
}

fn now() -> Timestamp {
    at("2026-11-23T07:00:00Z")
}

/// A good point of so many days ago.
fn good(id: u32, days_ago: u64) -> Point<u32> {
    Point {
        id,
        taken: now().before(Duration::from_secs(days_ago * 86_400)),
        health: Health::Good,
        busy: false,
        used: false,
        held: false,
        kept_until: None,
        parent: None,
    }
}

fn failed(id: u32, days_ago: u64) -> Point<u32> {
    Point {
        health: Health::Failed,
        ..good(id, days_ago)
    }
}

/// Good points of today, yesterday and so on; the id is the age in days.
fn dailies(number: u32) -> Vec<Point<u32>> {
    (0..number).map(|days| good(days, days.into())).collect()
}

fn rules() -> Policy {
    Policy::keep_all(ZONE)
}

fn last(keep_last: u32) -> Policy {
    Policy {
        keep_last,
        ..rules()
    }
}

fn deletions(points: &[Point<u32>], policy: &Policy) -> Vec<u32> {
    judge(points, policy, now()).deletions
}

/// What people read about a point.
fn told(points: &[Point<u32>], policy: &Policy, id: u32) -> String {
    let verdicts = judge(points, policy, now()).verdicts;
    let verdict = verdicts
        .iter()
        .find(|verdict| verdict.id == id)
        .expect("a verdict");
    let reasons: Vec<String> = verdict.reasons.iter().map(ToString::to_string).collect();
    format!("{:?}: {}", verdict.verdict, reasons.join("; "))
}

#[test]
fn without_a_rule_everything_stays() {
    let points = [good(0, 0), good(1, 9_000), failed(2, 9_000)];
    assert_eq!(deletions(&points, &rules()), [0; 0]);
    assert_eq!(told(&points, &rules(), 1), "Keep: no rule lets it go");
}

#[test]
fn failures_never_push_out_a_good_point() {
    let mut points = vec![good(1, 30), good(2, 20)];
    points.extend((10..40).map(|id| failed(id, 19)));
    assert_eq!(deletions(&points, &last(2)), [0; 0]);
    let maximum = Policy {
        maximal_number: 1,
        ..rules()
    };
    assert_eq!(deletions(&points, &maximum), [1]);
}

#[test]
fn maximum_of_one_lets_the_old_go_only_when_the_new_is_good() {
    let maximum = Policy {
        maximal_number: 1,
        ..rules()
    };
    let mut making = good(0, 0);
    making.busy = true;
    assert_eq!(deletions(&[making, good(1, 1)], &maximum), [0; 0]);
    assert_eq!(
        deletions(&[good(0, 0), good(1, 1), good(2, 2)], &maximum),
        [2, 1]
    );
}

#[test]
fn a_raised_maximum_lets_more_stay() {
    let maximum = |maximal_number| Policy {
        maximal_number,
        ..rules()
    };
    assert_eq!(deletions(&dailies(4), &maximum(2)), [3, 2]);
    assert_eq!(deletions(&dailies(4), &maximum(3)), [3]);
    assert_eq!(deletions(&dailies(4), &maximum(4)), [0; 0]);
}

#[test]
fn pending_deletion_causes_no_other() {
    let mut points = dailies(4);
    points[3].busy = true;
    assert_eq!(deletions(&points, &last(3)), [0; 0]);
    points[0].busy = true;
    assert_eq!(deletions(&points, &last(2)), [0; 0]);
}

#[test]
fn last_good_point_stays_however_old() {
    let policy = Policy {
        keep_days: 7,
        ..rules()
    };
    let points = [failed(0, 1), good(1, 100), good(2, 200)];
    assert_eq!(deletions(&points, &policy), [2]);
    assert_eq!(told(&points, &policy, 1), "Keep: the newest good point");
    let floor = Policy { floor: 2, ..policy };
    assert_eq!(deletions(&points, &floor), [0; 0]);
    assert_eq!(
        told(&points, &floor, 2),
        "Keep: one of the newest 2 good points"
    );
}

#[test]
fn nothing_goes_while_nothing_good_is_newer() {
    let mut points = vec![failed(0, 3), good(1, 5), good(2, 6)];
    assert_eq!(told(&points, &last(1), 0), "Keep: no newer point is good");
    points[1].health = Health::Doubtful;
    points[2].health = Health::Doubtful;
    assert_eq!(deletions(&points, &last(1)), [0; 0]);
}

#[test]
fn doubtful_point_goes_only_where_a_good_one_would() {
    let mut points = dailies(5);
    points[1].health = Health::Doubtful;
    points[4].health = Health::Doubtful;
    assert_eq!(deletions(&points, &last(2)), [4, 3]);
}

#[test]
fn failed_point_goes_after_a_day_if_there_is_a_rule() {
    let points = [good(0, 0), failed(1, 1), failed(2, 2)];
    assert_eq!(deletions(&points, &last(5)), [2, 1]);
    assert_eq!(deletions(&points, &rules()), [0; 0]);
    let mut fresh = failed(3, 0);
    fresh.taken = fresh.taken.before(Duration::from_secs(60));
    let points = [good(0, 0), fresh];
    assert_eq!(
        told(&points, &last(5), 3),
        "Keep: failed less than a day ago"
    );
}

#[test]
fn own_date_keeps_until_it_comes_and_then_lets_go() {
    let mut points = dailies(3);
    points[2].kept_until = Some(Timestamp(now().0 + 1));
    assert_eq!(
        told(&points, &last(1), 2),
        "Keep: kept until 2026-11-23T07:00:00.000001Z"
    );
    points[2].kept_until = Some(now());
    assert_eq!(
        told(&points, &rules(), 2),
        "Delete: was kept until 2026-11-23T07:00:00Z, and no rule wants it"
    );
    assert_eq!(told(&points, &last(3), 2), "Keep: one of the last 3");
    // The last good one stays even then: only a person may delete it.
    assert_eq!(deletions(&points[2..], &rules()), [0; 0]);
}

#[test]
fn use_and_hold_stay_beyond_the_maximum_and_take_nothing_away() {
    let mut points = dailies(5);
    points[3].used = true;
    points[4].held = true;
    let maximum = Policy {
        maximal_number: 2,
        ..rules()
    };
    assert_eq!(deletions(&points, &maximum), [2]);
    assert_eq!(told(&points, &maximum, 3), "Keep: a restoration uses it");
    assert_eq!(told(&points, &maximum, 4), "Keep: on hold");
    assert_eq!(
        told(&points, &maximum, 2),
        "Delete: not among the newest 2 that the rules want"
    );
}

#[test]
fn periods_keep_the_newest_of_each_in_the_zone() {
    let policy = Policy {
        daily: 2,
        weekly: 2,
        monthly: 3,
        yearly: 1,
        ..rules()
    };
    let points = dailies(70);
    let judgement = judge(&points, &policy, now());
    let stays: Vec<u32> = (judgement.verdicts.iter())
        .filter(|verdict| verdict.verdict == Verdict::Keep)
        .map(|verdict| verdict.id)
        .collect();
    // 23 November 2026 is a Monday.
    assert_eq!(stays, [0, 1, 23, 54]);
    assert_eq!(
        told(&points, &policy, 0),
        "Keep: the newest good point; daily of 2026-11-23; weekly of 2026-W48; \
         monthly of 2026-11; yearly of 2026"
    );
    assert_eq!(
        told(&points, &policy, 1),
        "Keep: daily of 2026-11-22; weekly of 2026-W47"
    );
    assert_eq!(
        told(&points, &policy, 2),
        "Delete: not among what the policy keeps"
    );
    // 22:30 UTC is the next day in Tallinn, and the first of January may be in the last week.
    assert_eq!(
        name(Period::Day, at("2026-11-22T22:30:00Z"), ZONE),
        "2026-11-23"
    );
    assert_eq!(
        name(Period::Week, at("2027-01-01T12:00:00Z"), ZONE),
        "2026-W53"
    );
    let fold = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"];
    assert_eq!(
        fold.map(|time| name(Period::Hour, at(time), ZONE)),
        ["2026-10-25 03:00+03:00", "2026-10-25 03:00+02:00"]
    );
}

#[test]
fn chain_goes_newest_first_and_stays_for_one_member() {
    let mut points = dailies(9);
    // 8 <- 7 <- 6 and 5 <- 4 <- 3 are chains, the rest stands alone.
    for child in [7, 6, 4, 3] {
        points[child].parent = Some(points[child].id + 1);
    }
    assert_eq!(deletions(&points, &last(1)), [6, 7, 8, 3, 4, 5, 2, 1]);
    points[7].held = true;
    assert_eq!(deletions(&points, &last(3)), [6, 3, 4, 5]);
    assert_eq!(told(&points, &last(1), 8), "Keep: parent of 7, which stays");
}

#[test]
fn points_that_build_on_one_another_in_a_circle_stay() {
    let mut points = dailies(5);
    points[2].parent = Some(3);
    points[3].parent = Some(2);
    assert_eq!(deletions(&points, &last(1)), [4, 1]);
    assert_eq!(
        told(&points, &last(1), 2),
        "Keep: what it builds on leads back to it"
    );
}

#[test]
fn many_points_are_judged_in_one_go() {
    let policy = Policy {
        hourly: 24,
        ..last(7)
    };
    // One long chain, of which nothing is wanted but its beginning.
    let mut points: Vec<Point<u32>> = (0..100_000)
        .map(|id| Point {
            parent: (id < 99_999).then_some(id + 1),
            ..good(id, (id / 10).into())
        })
        .collect();
    points[0].parent = None;
    points[40].parent = None;
    assert_eq!(judge(&points, &policy, now()).verdicts.len(), points.len());
}
