//! The schedule: what makes points of an instance on time; it may not know clocks, retention's
//! judgement, or how a point is made.
//!
//! A *slot* is a moment that the calendar names. A *run* is what became of one slot, or of a caller's
//! word. [`Schedule::due`] is the whole of the timing: pure, so that a year of it can be tried out.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    calendar::Calendar,
    capture::Capture,
    consistency::ConsistencyLevel,
    error::{Error, OperationError},
    id::{PointId, PointKind, RunId, ScheduleId, ServerId, Tenant},
    lifecycle::State,
    retention::Policy,
    time::Timestamp,
};
use crate::span::Span;

/// A schedule as callers see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// Its id.
    pub id: ScheduleId,
    /// What it is to do.
    pub plan: Plan,
    /// Where the instance lives.
    pub tenant: Tenant,
    /// The instance.
    pub server: ServerId,
    /// Whether it runs by itself.
    pub active: bool,
    /// The slot that comes next, and when it is taken up; nothing while it is not active.
    pub next: Option<Slot>,
    /// Runs that failed one after the other.
    pub failures: u32,
    /// For people.
    pub runtime_state: String,
    /// Why the last run failed, where it did.
    pub error: Option<OperationError>,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Grows with every change; the etag.
    pub revision: i64,
}

/// What people read of a schedule that does nothing right now.
pub fn standing(active: bool) -> &'static str {
    if active {
        "Waiting for its next run"
    } else {
        "Not active"
    }
}

/// What a schedule is to do; all that a caller may choose. Stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Which kind of point it makes.
    pub kind: PointKind,
    /// How the bytes of a DR backup are taken.
    pub capture: Capture,
    /// How well the volumes of each point have to agree at least.
    #[serde(default)]
    pub minimum: Option<ConsistencyLevel>,
    /// One DR backup of so many is a full one, the others build on it; 0 and 1 make all full.
    pub full_every: u32,
    /// When: a cron expression.
    pub calendar: String,
    /// On the wall clock of this zone of the IANA database.
    pub time_zone: String,
    /// Within so much after a slot it begins, at a moment that is its own: many schedules at midnight
    /// must not fall on a cloud at once.
    pub jitter: Duration,
    /// What becomes of slots at which nothing ran because the service was down.
    pub missed: MissedRuns,
    /// After so many failed runs one after the other it is deactivated; 0 means never.
    pub failures_maximum: u32,
    /// What it keeps.
    pub keep: Keep,
}

/// What becomes of slots at which nothing ran because the service was down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedRuns {
    /// However many there were, one run makes up for them at once.
    #[default]
    RunOnce,
    /// They are recorded as skipped, and the next slot is waited for.
    Skip,
}

/// What a schedule keeps; a number that is 0 is no rule. The words are those of
/// [`Policy`], which judges by them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// The newest so many.
    pub last: u32,
    /// Those that are younger than so many days.
    pub days: u32,
    /// The newest of each of the last so many hours.
    pub hourly: u32,
    /// The newest of each of the last so many days.
    pub daily: u32,
    /// The newest of each of the last so many weeks.
    pub weekly: u32,
    /// The newest of each of the last so many months.
    pub monthly: u32,
    /// The newest of each of the last so many years.
    pub yearly: u32,
    /// No more than so many of all these.
    pub maximum: u32,
    /// So many good ones stay whatever else is said; 0 is taken for 1.
    pub floor: u32,
}

/// A moment that the calendar names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Slot {
    /// The moment.
    pub time: Timestamp,
    /// When its run begins: the same, later by the jitter, or later because it is tried again.
    pub begins: Timestamp,
    /// How often it was tried before.
    pub tries: u32,
}

/// What became of one slot, or of a caller's word.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// Whose it is.
    pub schedule: ScheduleId,
    /// The slot; of a run that a caller asked for, the moment of that.
    pub slot: Timestamp,
    /// What made it run.
    pub cause: RunCause,
    /// How it stands.
    pub outcome: RunOutcome,
    /// Why it was skipped or failed; empty otherwise.
    pub reason: String,
    /// The point that it makes or made.
    pub point: Option<PointId>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
}

/// What made a run begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunCause {
    /// Its time had come.
    Calendar,
    /// It makes up for slots that were missed.
    Missed,
    /// The run before had failed.
    Retry,
    /// A caller asked for it.
    Caller,
    /// This version cannot read what; never written.
    #[serde(skip)]
    Unreadable,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Its point is being made.
    Started,
    /// Its point is good.
    Succeeded,
    /// Nothing was to be done.
    Skipped,
    /// No good point came of it.
    Failed,
    /// This version cannot read how; never written.
    #[serde(skip)]
    Unreadable,
}

/// What a schedule is to do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// Nothing before the next slot.
    Nothing,
    /// Run for this slot; the slot after it is `next`.
    Run {
        /// The slot that the run is of: of several that were missed the latest.
        slot: Timestamp,
        /// What makes it run.
        cause: RunCause,
        /// The slot that comes then.
        next: Option<Slot>,
    },
    /// Let this slot go, because the service was down at it.
    Skip {
        /// The latest slot that was missed.
        slot: Timestamp,
        /// How many there were.
        missed: u32,
        /// The slot that comes then.
        next: Option<Slot>,
    },
}

/// How schedules are driven.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleSettings {
    /// Runs of schedules that may be under way in one cloud at once; the others wait for a place.
    pub runs_per_cloud: u32,
    /// How long a run that found no place waits before it looks again; the further behind it stands,
    /// the more times as long.
    #[serde(with = "Span")]
    pub run_waits: Duration,
    /// A run that begins later than this after its time was missed.
    #[serde(with = "Span")]
    pub missed_after: Duration,
    /// The wait before a failed run is tried again; each further one is twice as long.
    #[serde(with = "Span")]
    pub retry_first: Duration,
    /// The longest such wait.
    #[serde(with = "Span")]
    pub retry_max: Duration,
    /// Runs that a preview tells at most.
    pub previewed_runs: u32,
    /// The shortest time between two looks at what is due, however much happens.
    #[serde(with = "Span")]
    pub tick_shortest: Duration,
    /// The longest time between two looks at what is due.
    // Another replica may have changed what is due.
    #[serde(with = "Span")]
    pub tick_longest: Duration,
    /// Schedules that are taken up in one look.
    pub taken_at_once: u32,
}

impl Default for ScheduleSettings {
    fn default() -> Self {
        Self {
            runs_per_cloud: 20,
            run_waits: Duration::from_secs(10),
            missed_after: Duration::from_secs(5 * 60),
            retry_first: Duration::from_secs(5 * 60),
            retry_max: Duration::from_secs(60 * 60),
            previewed_runs: 100,
            tick_shortest: Duration::from_millis(200),
            tick_longest: Duration::from_secs(30),
            taken_at_once: 200,
        }
    }
}

impl Plan {
    /// The calendar, or what is wrong with it.
    pub fn calendar(&self) -> Result<Calendar, Error> {
        Calendar::parse(&self.calendar, &self.time_zone).map_err(Error::fields)
    }

    /// How the bytes are taken; nothing where it makes snapshots that stay.
    pub fn capture(&self) -> Option<Capture> {
        match self.kind {
            PointKind::Dr => Some(self.capture),
            PointKind::Regular => None,
        }
    }
}

impl Keep {
    /// The policy that retention judges by.
    pub fn policy(&self, calendar: &Calendar) -> Policy {
        Policy {
            keep_last: self.last,
            keep_days: self.days,
            hourly: self.hourly,
            daily: self.daily,
            weekly: self.weekly,
            monthly: self.monthly,
            yearly: self.yearly,
            maximal_number: self.maximum,
            floor: self.floor,
            zone: calendar.zone(),
        }
    }
}

impl Schedule {
    /// The slot after a time, with the moment at which this schedule takes it up.
    pub fn slot_after(&self, calendar: &Calendar, time: Timestamp) -> Option<Slot> {
        let slot = calendar.next_after(time)?;
        Some(Slot {
            time: slot,
            begins: slot.after(self.delay(slot)),
            tries: 0,
        })
    }

    /// How much after a slot it begins: always the same for this schedule and slot, and spread evenly
    /// over schedules, since a part of their ids is random.
    fn delay(&self, slot: Timestamp) -> Duration {
        let jitter = u64::try_from(self.plan.jitter.as_micros()).unwrap_or(u64::MAX);
        let random = u64::from_le_bytes(self.id.0.as_bytes()[8..].try_into().unwrap_or_default());
        let mixed = (random ^ slot.0.unsigned_abs()).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        // The upper bits are the well mixed ones.
        let share = (u128::from(mixed) * u128::from(jitter)) >> 64;
        Duration::from_micros(u64::try_from(share).unwrap_or_default())
    }

    /// What is to be done at `now`.
    pub fn due(&self, calendar: &Calendar, now: Timestamp, settings: &ScheduleSettings) -> Due {
        let Some(slot) = self.next.filter(|_| self.active) else {
            return Due::Nothing;
        };
        if now < slot.begins {
            return Due::Nothing;
        }
        // Whatever else came due meanwhile is made up for by this run as well.
        let later = calendar.missed_between(slot.time, now);
        let latest = later.map_or(slot.time, |missed| missed.latest);
        let next = self.slot_after(calendar, now);
        if slot.tries > 0 {
            return Due::Run {
                slot: latest,
                cause: RunCause::Retry,
                next,
            };
        }
        let late = now.since(slot.begins) > settings.missed_after;
        let missed = later.map_or(0, |missed| missed.count) + 1;
        match (late, self.plan.missed) {
            (false, _) => Due::Run {
                slot: latest,
                cause: RunCause::Calendar,
                next,
            },
            (true, MissedRuns::RunOnce) => Due::Run {
                slot: latest,
                cause: RunCause::Missed,
                next,
            },
            (true, MissedRuns::Skip) => Due::Skip {
                slot: latest,
                missed,
                next,
            },
        }
    }

    /// The slot that a failed run leaves: it is tried again after a wait, unless the calendar's next
    /// one is sooner.
    pub fn slot_after_failure(
        &self,
        calendar: &Calendar,
        slot: Timestamp,
        now: Timestamp,
        settings: &ScheduleSettings,
    ) -> Option<Slot> {
        // The clock of whoever took the slot up may be ahead of ours: it is taken up all the same.
        let next = self.slot_after(calendar, now.max(slot));
        let doublings = self.failures.saturating_sub(1).min(16);
        let wait = settings.retry_first.saturating_mul(1 << doublings);
        let again = Slot {
            time: slot,
            begins: now.after(wait.min(settings.retry_max)),
            tries: self.failures,
        };
        match next {
            Some(next) if next.begins <= again.begins => Some(next),
            Some(_) | None => Some(again),
        }
    }

    /// Reckons the next slot anew, where it is active.
    pub fn plan_ahead(&mut self, calendar: &Calendar, now: Timestamp) {
        self.next = if self.active {
            self.slot_after(calendar, now)
        } else {
            None
        };
    }

    /// Keeps it from running by itself until a caller activates it again.
    pub fn deactivate(&mut self, error: OperationError, now: Timestamp) {
        self.active = false;
        self.next = None;
        self.runtime_state = format!(
            "Deactivated after {} failed runs: {}",
            self.failures, error.message
        );
        self.error = Some(error);
        self.updated = now;
    }

    /// How it stands, for programs.
    pub fn state(&self) -> State {
        if self.error.is_some() {
            State::Erred
        } else {
            State::Ok
        }
    }

    /// Whether it has failed too often.
    pub fn is_hopeless(&self) -> bool {
        self.plan.failures_maximum > 0 && self.failures >= self.plan.failures_maximum
    }
}

impl Run {
    /// One that has just begun.
    pub fn begun(
        id: RunId,
        schedule: ScheduleId,
        slot: Timestamp,
        cause: RunCause,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            schedule,
            slot,
            cause,
            outcome: RunOutcome::Started,
            reason: String::new(),
            point: None,
            began: now,
            ended: None,
        }
    }

    /// Brings it to its end.
    pub fn end(&mut self, outcome: RunOutcome, reason: String, now: Timestamp) {
        self.outcome = outcome;
        self.reason = reason;
        self.ended = Some(now);
    }
}

impl RunOutcome {
    /// All outcomes that are written.
    pub const ALL: [Self; 4] = [Self::Started, Self::Succeeded, Self::Skipped, Self::Failed];

    /// Reads a name of the store or the API.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == name)
    }

    /// The name in the store and the API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Started => "STARTED",
            Self::Succeeded => "SUCCEEDED",
            Self::Skipped => "SKIPPED",
            Self::Failed => "FAILED",
            Self::Unreadable => "UNREADABLE",
        }
    }
}

#[cfg(test)]
mod tests;
