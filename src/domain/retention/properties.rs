//! Retention against an oracle that only states what must hold; it may not know how it is judged.

use std::collections::BTreeSet;

use chrono::{Datelike, Timelike};
use proptest::prelude::*;

use super::*;

const ZONE: Tz = Tz::Europe__Tallinn;

fn now() -> Timestamp {
    Timestamp::parse("2026-11-23T07:00:00Z").expect("a good time")
}

fn point(id: u32) -> impl Strategy<Value = Point<u32>> {
    let health = prop_oneof![
        5 => Just(Health::Good),
        1 => Just(Health::Doubtful),
        2 => Just(Health::Failed),
    ];
    let rare = || prop::bool::weighted(0.1);
    let hours_ago = prop_oneof![0..72_i64, 600..800_i64, 0..10_000_i64].prop_map(|hours| hours - 3);
    let kept_until = prop::option::weighted(0.2, -5..5_i64);
    let parent = prop::option::weighted(0.3, 0..id.max(1));
    (
        health,
        rare(),
        rare(),
        rare(),
        hours_ago,
        kept_until,
        parent,
    )
        .prop_map(
            move |(health, busy, used, held, hours_ago, kept_until, parent)| Point {
                id,
                taken: Timestamp(now().0 - hours_ago * 3_600_000_000),
                health,
                busy,
                used,
                held,
                kept_until: kept_until.map(|days| Timestamp(now().0 + days * 86_400_000_000)),
                parent: parent.filter(|parent| *parent != id),
            },
        )
}

/// Up to sixteen points, in any order; a parent may claim to be newer than its child.
fn points() -> impl Strategy<Value = Vec<Point<u32>>> {
    (0..16_u32)
        .prop_flat_map(|number| (0..number).map(point).collect::<Vec<_>>())
        .prop_shuffle()
}

fn policy() -> impl Strategy<Value = Policy> {
    let number = || prop_oneof![2 => Just(0), 1 => 1..5_u32];
    let gfs = (number(), number(), number(), number(), number());
    (number(), number(), gfs, number(), 0..4_u32).prop_map(
        |(
            keep_last,
            keep_days,
            (hourly, daily, weekly, monthly, yearly),
            maximal_number,
            floor,
        )| {
            Policy {
                keep_last,
                keep_days,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
                maximal_number,
                floor,
                zone: ZONE,
            }
        },
    )
}

/// The oracle: each question of the head of `retention.rs` asked of one point at a time, and the
/// ancestors added until nothing changes. It shares no code with what it checks.
fn oracle(points: &[Point<u32>], policy: &Policy) -> BTreeSet<u32> {
    let counts = |point: &Point<u32>| point.health == Health::Good && !point.busy;
    let newer_good = |point: &Point<u32>| -> Vec<&Point<u32>> {
        let newer = |other: &&Point<u32>| (other.taken, other.id) > (point.taken, point.id);
        points
            .iter()
            .filter(newer)
            .filter(|other| counts(other))
            .collect()
    };
    let period = |kind: usize, point: &Point<u32>| {
        let wall = local(point.taken, ZONE);
        let week = wall.iso_week();
        let day = i64::from(wall.num_days_from_ce());
        match kind {
            0 => (wall.timestamp() - i64::from(wall.minute() * 60 + wall.second())) / 60,
            1 => day,
            2 => i64::from(week.year() * 100) + i64::from(week.week()),
            3 => i64::from(wall.year() * 12) + i64::from(wall.month()),
            _ => i64::from(wall.year()),
        }
    };
    let numbers = [
        policy.hourly,
        policy.daily,
        policy.weekly,
        policy.monthly,
        policy.yearly,
    ];
    let no_keep_rule = numbers.iter().sum::<u32>() + policy.keep_last + policy.keep_days == 0;
    let expired = |point: &Point<u32>| point.kept_until.is_some_and(|end| end <= now());
    let wanted = |point: &Point<u32>| {
        let newer = newer_good(point);
        let by_period = (0..5).any(|kind| {
            let served: BTreeSet<i64> = newer.iter().map(|other| period(kind, other)).collect();
            served.len() < numbers[kind] as usize && !served.contains(&period(kind, point))
        });
        let age_days = (now().0 - point.taken.0).div_euclid(86_400_000_000);
        by_period
            || newer.len() < policy.keep_last as usize
            || (policy.keep_days > 0 && age_days < i64::from(policy.keep_days))
            || (no_keep_rule && !expired(point))
    };
    let stays_by_itself = |point: &Point<u32>| {
        let newer = newer_good(point);
        let protected = point.busy || point.used || point.held;
        let dated = point.kept_until.is_some_and(|end| end > now());
        let floor = if counts(point) {
            policy.floor.max(1) as usize
        } else {
            1
        };
        let by_rule = if point.health == Health::Failed {
            let ruleless = no_keep_rule && policy.maximal_number == 0;
            !expired(point) && (ruleless || now().0 - point.taken.0 < 86_400_000_000)
        } else {
            let wanted_newer = newer.iter().filter(|other| wanted(other)).count();
            let room = policy.maximal_number == 0 || wanted_newer < policy.maximal_number as usize;
            wanted(point) && room
        };
        protected || dated || newer.len() < floor || by_rule
    };
    let mut stays: BTreeSet<u32> = points
        .iter()
        .filter(|point| stays_by_itself(point))
        .map(|point| point.id)
        .collect();
    loop {
        let needed: BTreeSet<u32> = points
            .iter()
            .filter(|point| stays.contains(&point.id))
            .filter_map(|point| point.parent)
            .filter(|parent| !stays.contains(parent))
            .collect();
        if needed.is_empty() {
            return stays;
        }
        stays.extend(needed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn judgement_is_what_the_oracle_demands(points in points(), policy in policy()) {
        let judgement = judge(&points, &policy, now());
        let stays = oracle(&points, &policy);
        for verdict in &judgement.verdicts {
            prop_assert_eq!(verdict.verdict == Verdict::Keep, stays.contains(&verdict.id), "{:?}", verdict);
            prop_assert!(!verdict.reasons.is_empty());
        }
        prop_assert_eq!(judgement.verdicts.len(), points.len());
        prop_assert_eq!(judgement.deletions.len() + stays.len(), points.len());
    }

    #[test]
    fn whatever_goes_can_be_missed(points in points(), policy in policy()) {
        let deletions = judge(&points, &policy, now()).deletions;
        let gone: BTreeSet<u32> = deletions.iter().copied().collect();
        for (turn, id) in deletions.iter().enumerate() {
            let point = points.iter().find(|point| point.id == *id).expect("a known point");
            prop_assert!(!point.busy && !point.used && !point.held);
            prop_assert!(point.kept_until.is_none_or(|end| end <= now()));
            let stand_in = points.iter().any(|other| {
                other.health == Health::Good && !other.busy && !gone.contains(&other.id)
                    && (other.taken, other.id) > (point.taken, point.id)
            });
            prop_assert!(stand_in);
            let children = points.iter().filter(|other| other.parent == Some(*id));
            for child in children {
                prop_assert!(deletions[..turn].contains(&child.id));
            }
        }
    }

    #[test]
    fn order_of_input_does_not_matter(
        (points, shuffled) in points().prop_flat_map(|points| (Just(points.clone()), Just(points).prop_shuffle())),
        policy in policy(),
    ) {
        prop_assert_eq!(judge(&points, &policy, now()), judge(&shuffled, &policy, now()));
    }

    #[test]
    fn second_run_lets_nothing_more_go(points in points(), policy in policy()) {
        let gone = judge(&points, &policy, now()).deletions;
        let rest: Vec<_> = points.into_iter().filter(|point| !gone.contains(&point.id)).collect();
        prop_assert_eq!(judge(&rest, &policy, now()).deletions, Vec::<u32>::new());
    }

    #[test]
    fn only_good_points_are_counted(points in points(), policy in policy()) {
        let mut points = points;
        for point in &mut points {
            point.parent = None;
        }
        let counted: Vec<_> = points
            .iter()
            .filter(|point| point.health == Health::Good && !point.busy)
            .cloned()
            .collect();
        let alone = judge(&counted, &policy, now()).verdicts;
        let mut among = judge(&points, &policy, now()).verdicts;
        among.retain(|verdict| counted.iter().any(|point| point.id == verdict.id));
        prop_assert_eq!(alone, among);
    }
}
