//! Which points of a schedule or an instance stay and which go; it may not know how one is deleted.
//!
//! Nothing here can leave less than there was to fall back on: a point goes only if a newer good
//! one stays, and only good points are counted. In this order:
//!
//! | # | Question | Points that stay |
//! |---|---|---|
//! | 1 | is it in use? | busy, used by a restoration, on hold, `kept_until` not yet reached |
//! | 2 | what would be left? | the newest `floor` good points, and whatever is newer than the newest good one |
//! | 3 | did it fail? | failed points for a day; without any rule for as long as nobody deletes them |
//! | 4 | does a rule want it? | those that *any* keep rule wants: last, days, hourly … yearly |
//! | 5 | are too many wanted? | of those that the rules want, the newest `maximal_number` |
//! | 6 | does another need it? | every ancestor of a point that stays |
//!
//! What follows from it:
//!
//! * Without a keep rule every point is wanted for ever, except one that told its own end: past its
//!   `kept_until` it goes. With keep rules such a point is judged like any other.
//! * `hourly` … `yearly` want the newest good point of each of the last so many hours … years that
//!   have one, in the zone of the schedule, weeks after ISO 8601 (as Restic's `forget` and Proxmox
//!   Backup's `prune` do; as in Restic, a point may serve several rules).
//! * `maximal_number` limits what is kept for the rules' sake. What stays for questions 1, 2 and 6
//!   comes on top: a hold never pushes out a fresh point.
//! * A busy point is not counted: one that is being made may fail, one that is being deleted is as
//!   good as gone. A doubtful one takes no place either, and goes only where a good one would: a
//!   cloud that is away for an hour makes all its points doubtful, and must not cost any of them.
//! * A failed point holds no data, so it may go once it was superseded and had a day to be seen. It
//!   piled up for ever in the original, which counted it too and so deleted every good one.
//! * To run it again at the same instant on what stays lets nothing more go.

use std::time::Duration;

use chrono_tz::Tz;

use super::{calendar::local, time::Timestamp};

mod chain;
mod reason;

pub use reason::{Period, Reason};

/// For how long a failed point stays to be looked at.
pub const FAILED_KEPT: Duration = DAY;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What a schedule wants to keep. A number that is 0 is no rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Keep the newest so many.
    pub keep_last: u32,
    /// Keep those that are younger than so many days of 24 hours.
    pub keep_days: u32,
    /// Keep the newest of each of the last so many hours that have one.
    pub hourly: u32,
    /// Keep the newest of each of the last so many days that have one.
    pub daily: u32,
    /// Keep the newest of each of the last so many ISO weeks that have one.
    pub weekly: u32,
    /// Keep the newest of each of the last so many months that have one.
    pub monthly: u32,
    /// Keep the newest of each of the last so many years that have one.
    pub yearly: u32,
    /// Of all that the rules want, keep no more than the newest so many.
    pub maximal_number: u32,
    /// So many good points stay whatever the rules say; 0 is taken for 1.
    pub floor: u32,
    /// The zone in which an hour, a day, a week, a month and a year begin.
    pub zone: Tz,
}

/// What can be said of a point's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Complete and recoverable.
    Good,
    /// Complete, but not known to be recoverable at present.
    Doubtful,
    /// Its making failed; nothing can be recovered from it.
    Failed,
}

/// A point as far as retention looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Point<I> {
    /// Its identity; no two points share one.
    pub id: I,
    /// The moment whose data it holds.
    pub taken: Timestamp,
    /// What can be said of its data.
    pub health: Health,
    /// An operation makes, updates or deletes it, or is about to.
    pub busy: bool,
    /// A restoration reads it, or something that is not among the points given builds on it.
    pub used: bool,
    /// It may not be deleted until somebody lifts the hold.
    pub held: bool,
    /// It may not be deleted before; from then on it may.
    pub kept_until: Option<Timestamp>,
    /// The point on which it builds. One that is not among the points given is not looked at.
    pub parent: Option<I>,
}

/// What becomes of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is left alone.
    Keep,
    /// It is to be deleted.
    Delete,
}

/// What becomes of one point, and why; there is always a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointVerdict<I> {
    /// The point.
    pub id: I,
    /// What becomes of it.
    pub verdict: Verdict,
    /// Every reason for that.
    pub reasons: Vec<Reason<I>>,
}

/// What becomes of all points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement<I> {
    /// One for each point, newest first.
    pub verdicts: Vec<PointVerdict<I>>,
    /// Those that go, in the order in which they can be deleted: chains after their oldest member,
    /// each from its newest to its oldest.
    pub deletions: Vec<I>,
}

/// Judges all points together, at a time, in whatever order they are given. A chain must be given
/// whole: a point on which one outside builds is to be given as `used`.
pub fn judge<I: Clone + Ord>(points: &[Point<I>], policy: &Policy, now: Timestamp) -> Judgement<I> {
    let mut newest_first: Vec<&Point<I>> = points.iter().collect();
    newest_first.sort_by(|one, other| (other.taken, &other.id).cmp(&(one.taken, &one.id)));
    let mut rules = Rules::new(policy, now);
    let mut verdicts: Vec<PointVerdict<I>> = newest_first
        .iter()
        .map(|point| rules.verdict(point))
        .collect();
    let parents = chain::parents(&newest_first);
    chain::keep_ancestors(&mut verdicts, &parents);
    let deletions = chain::deletion_order(&verdicts, &parents);
    chain::keep_circular(&mut verdicts, &deletions);
    let deletions = deletions
        .into_iter()
        .map(|position| verdicts[position].id.clone())
        .collect();
    Judgement {
        verdicts,
        deletions,
    }
}

/// The rules of a policy while they are shown one point after another, newest first.
struct Rules<'a> {
    policy: &'a Policy,
    now: Timestamp,
    /// Good points so far.
    counted: u32,
    /// Good points so far that a rule wanted.
    wanted: u32,
    periods: Vec<PeriodRule>,
}

struct PeriodRule {
    period: Period,
    left: u32,
    served: Option<String>,
}

impl<'a> Rules<'a> {
    fn new(policy: &'a Policy, now: Timestamp) -> Self {
        let periods = policy.periods().map(|(period, left)| PeriodRule {
            period,
            left,
            served: None,
        });
        Self {
            policy,
            now,
            counted: 0,
            wanted: 0,
            periods: periods.into(),
        }
    }

    fn verdict<I: Clone>(&mut self, point: &Point<I>) -> PointVerdict<I> {
        let mut protection = self.protection(point);
        let opinion = match point.health {
            Health::Failed => self.opinion_on_failed(point),
            Health::Good | Health::Doubtful => self.opinion(point),
        };
        self.counted += u32::from(point.counts());
        let (verdict, reasons) = match opinion {
            Ok(wants) => {
                protection.extend(wants);
                (Verdict::Keep, protection)
            }
            Err(_) if !protection.is_empty() => (Verdict::Keep, protection),
            Err(against) => (Verdict::Delete, vec![against]),
        };
        PointVerdict {
            id: point.id.clone(),
            verdict,
            reasons,
        }
    }

    /// Why it stays whatever the rules want.
    fn protection<I>(&self, point: &Point<I>) -> Vec<Reason<I>> {
        let floor = self.policy.floor.max(1);
        let kept_until = point.kept_until.filter(|end| *end > self.now);
        let reasons = [
            point.busy.then_some(Reason::Busy),
            point.used.then_some(Reason::Used),
            point.held.then_some(Reason::Held),
            kept_until.map(Reason::KeptUntil),
            (point.counts() && self.counted < floor).then_some(Reason::Floor(floor)),
            (!point.counts() && self.counted == 0).then_some(Reason::NoneNewer),
        ];
        reasons.into_iter().flatten().collect()
    }

    /// Why the rules want it, or why they let it go.
    fn opinion<I>(&mut self, point: &Point<I>) -> Result<Vec<Reason<I>>, Reason<I>> {
        let policy = self.policy;
        let expired = point.kept_until.filter(|end| *end <= self.now);
        let young = self.now.since(point.taken) < DAY.saturating_mul(policy.keep_days);
        let mut wants = Vec::new();
        if !policy.has_keep_rule() && expired.is_none() {
            wants.push(Reason::NoRule);
        }
        if self.counted < policy.keep_last {
            wants.push(Reason::Last(policy.keep_last));
        }
        if young {
            wants.push(Reason::Days(policy.keep_days));
        }
        for rule in self.periods.iter_mut().filter(|rule| rule.left > 0) {
            let name = name(rule.period, point.taken, policy.zone);
            if rule.served.as_ref() == Some(&name) {
                continue;
            }
            wants.push(Reason::NewestOf(rule.period, name.clone()));
            if point.counts() {
                rule.left -= 1;
                rule.served = Some(name);
            }
        }
        if wants.is_empty() {
            return Err(expired.map_or(Reason::Unwanted, Reason::Expired));
        }
        if policy.maximal_number != 0 && self.wanted >= policy.maximal_number {
            return Err(Reason::BeyondMaximum(policy.maximal_number));
        }
        self.wanted += u32::from(point.counts());
        Ok(wants)
    }

    fn opinion_on_failed<I>(&self, point: &Point<I>) -> Result<Vec<Reason<I>>, Reason<I>> {
        if let Some(end) = point.kept_until.filter(|end| *end <= self.now) {
            return Err(Reason::Expired(end));
        }
        if !self.policy.has_keep_rule() && self.policy.maximal_number == 0 {
            return Ok(vec![Reason::NoRule]);
        }
        if self.now.since(point.taken) < FAILED_KEPT {
            return Ok(vec![Reason::FailedLately]);
        }
        Err(Reason::Failed)
    }
}

impl Policy {
    /// The policy without a rule, under which everything stays.
    pub fn keep_all(zone: Tz) -> Self {
        Self {
            keep_last: 0,
            keep_days: 0,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            maximal_number: 0,
            floor: 1,
            zone,
        }
    }

    fn periods(&self) -> [(Period, u32); 5] {
        [
            (Period::Hour, self.hourly),
            (Period::Day, self.daily),
            (Period::Week, self.weekly),
            (Period::Month, self.monthly),
            (Period::Year, self.yearly),
        ]
    }

    fn has_keep_rule(&self) -> bool {
        let by_period = self.periods().iter().any(|(_, number)| *number > 0);
        self.keep_last > 0 || self.keep_days > 0 || by_period
    }
}

impl<I> Point<I> {
    /// Whether it is there to fall back on: good, and not about to change.
    fn counts(&self) -> bool {
        self.health == Health::Good && !self.busy
    }
}

/// The name of the period in which a time lies; another period has another name.
fn name(period: Period, time: Timestamp, zone: Tz) -> String {
    let form = match period {
        Period::Hour => "%Y-%m-%d %H:00%:z",
        Period::Day => "%Y-%m-%d",
        Period::Week => "%G-W%V",
        Period::Month => "%Y-%m",
        Period::Year => "%Y",
    };
    local(time, zone).format(form).to_string()
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
