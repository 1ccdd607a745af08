//! When a schedule runs; it may not know what runs, nor the present time.
//!
//! A calendar is a cron expression read on the wall clock of a time zone.
//!
//! | Question | Answer |
//! |---|---|
//! | fields | five: minute, hour, day of month, month, day of week; or `@hourly` `@daily` `@midnight` `@weekly` `@monthly` `@yearly` `@annually` |
//! | day of month and day of week | both restricted: a day that matches *either* runs (as in every cron); one of them `*`: the other decides; a day of week with a leading `+`: both must match |
//! | also known | names (`MON`, `jan`), 0 and 7 for Sunday, `L` (last day), `15W` (nearest working day), `FRI#2` (second Friday), `FRIL` (last Friday) |
//! | hour is every hour | a run belongs to each *hour that passes*: none is added in the spring gap, and both hours of the autumn fold have theirs |
//! | hour is anything else | a run belongs to a *wall-clock time*, once: one that falls in the spring gap is at the first moment after it, one that comes twice in the autumn is at the first |
//!
//! The last row is why croner is asked for wall-clock times only and the zone is applied here: by
//! itself it does so for a single time a day, but skips or repeats the runs of `30 3,15 * * *`.

use std::{fmt, iter, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use croner::{
    Cron,
    errors::CronError,
    parser::{CronParser, Seconds, Year},
};

use super::{error::BadField, time::Timestamp};

/// The longest expression that is read, in bytes.
pub const MAXIMAL_EXPRESSION_BYTES: usize = 200;

/// The zone of a schedule that names none.
pub const USUAL_ZONE: &str = "UTC";

/// How far the runs that were missed are counted.
pub const MAXIMAL_MISSED: u32 = 1_000;

/// The longest gap of a wall clock that is known, in minutes: Samoa and Kwajalein left out a day.
const LONGEST_GAP_MINUTES: i64 = 24 * 60;

const MINUTE: Duration = Duration::from_secs(60);

/// 1 January 5000, in microseconds since 1970; later, and before 1970, no wall clock is told.
const LAST_MICROS: i64 = 95_617_584_000_000_000;

/// The fields of an expression and what each may hold.
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of month", "1 to 31"),
    ("month", "1 to 12 or a name"),
    ("day of week", "0 to 7 or a name"),
];

/// The moments at which a schedule runs, ready to be asked.
#[derive(Debug, Clone)]
pub struct Calendar {
    expression: String,
    zone: Tz,
    cron: Cron,
    every_hour: bool,
}

/// The runs that should have been in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The latest of them.
    pub latest: Timestamp,
    /// How many; `MAXIMAL_MISSED` means so many or more.
    pub count: u32,
}

impl Calendar {
    /// Reads an expression and a zone, or tells of each what is wrong with it.
    pub fn parse(expression: &str, zone: &str) -> Result<Self, Vec<BadField>> {
        let bad_schedule = |problem| BadField {
            field: "schedule".to_owned(),
            problem,
        };
        match (compile(expression).map_err(bad_schedule), parse_zone(zone)) {
            (Ok(cron), Ok(zone)) => Ok(Self {
                expression: expression.trim().to_owned(),
                zone,
                every_hour: (0..24).all(|hour| matches!(cron.pattern.hour_match(hour), Ok(true))),
                cron,
            }),
            (schedule, zone) => Err(schedule.err().into_iter().chain(zone.err()).collect()),
        }
    }

    /// The expression as it was given.
    pub fn expression(&self) -> &str {
        &self.expression
    }

    /// The zone on whose wall clock the expression is read.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first run strictly after `time`; none only beyond the year 4999.
    pub fn next_after(&self, time: Timestamp) -> Option<Timestamp> {
        let from = local(time, self.zone);
        let next = if self.every_hour {
            self.cron.find_next_occurrence(&from, false).ok()
        } else {
            let after = |wall: &NaiveDateTime| self.cron.find_next_occurrence(wall, false).ok();
            // In the second half of a fold the wall clock shows times that were there before, so
            // what it names next may be past. The loop ends with the fold.
            iter::successors(after(&from.naive_local()), after)
                .map_while(|wall| self.first_showing(wall))
                .find(|run| *run > from)
        };
        next.map(|run| Timestamp(run.timestamp_micros()))
    }

    /// The runs strictly after `time`, one after another; take as many as are needed.
    pub fn runs_after(&self, time: Timestamp) -> impl Iterator<Item = Timestamp> {
        iter::successors(self.next_after(time), |run| self.next_after(*run))
    }

    /// The runs after `after` and up to `until`, which count as missed when none of them was made.
    pub fn missed_between(&self, after: Timestamp, until: Timestamp) -> Option<Missed> {
        let due = |run: &Timestamp| *run <= until;
        let runs = self.runs_after(after).take_while(due);
        let (count, last_counted) = runs
            .take(MAXIMAL_MISSED as usize)
            .fold((0, None), |(count, _), run| (count + 1, Some(run)));
        let mut latest = last_counted?;
        // Many may lie beyond those that were counted; halving finds the latest in a few steps.
        // It ends because both are after 1970 and runs are at least a minute apart.
        let mut beyond = until;
        while beyond.since(latest) >= MINUTE {
            let middle = Timestamp(latest.0.midpoint(beyond.0));
            match self.next_after(middle).filter(due) {
                Some(run) => latest = run,
                None => beyond = middle,
            }
        }
        Some(Missed { latest, count })
    }

    /// When the wall clock first shows `wall`, or first shows a later time if a gap leaves it out.
    fn first_showing(&self, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
        (0..=LONGEST_GAP_MINUTES)
            .filter_map(|minutes| wall.checked_add_signed(TimeDelta::minutes(minutes)))
            .find_map(|wall| self.zone.from_local_datetime(&wall).earliest())
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} in {}", self.expression, self.zone)
    }
}

/// Reads the name of a zone of the IANA database, or tells what is wrong with it.
pub fn parse_zone(name: &str) -> Result<Tz, BadField> {
    name.parse().map_err(|_| BadField {
        field: "time_zone".to_owned(),
        problem: format!("`{name}` is not a zone of the IANA database, such as `Europe/Tallinn`"),
    })
}

/// The wall clock of a zone at a time; before 1970 it stands still, and so it does after 4999.
pub(super) fn local(time: Timestamp, zone: Tz) -> DateTime<Tz> {
    DateTime::from_timestamp_micros(time.0.clamp(0, LAST_MICROS))
        .unwrap_or_default()
        .with_timezone(&zone)
}

/// The compiled expression, or in a sentence what is wrong with it.
fn compile(expression: &str) -> Result<Cron, String> {
    if expression.len() > MAXIMAL_EXPRESSION_BYTES {
        return Err(format!(
            "it is longer than {MAXIMAL_EXPRESSION_BYTES} bytes"
        ));
    }
    let name = expression.trim().to_ascii_lowercase();
    let spelt_out = match name.as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => expression,
    };
    let fields: Vec<&str> = spelt_out.split_whitespace().collect();
    if name.starts_with('@') && fields.len() == 1 {
        return Err(format!(
            "`{name}` names no time; the known names are @hourly, @daily, @midnight, @weekly, \
             @monthly, @yearly and @annually"
        ));
    }
    if fields.len() != FIELDS.len() {
        return Err(format!(
            "it has {} fields where five are needed: {}; there are no seconds and no years",
            fields.len(),
            FIELDS.map(|(name, _)| name).join(", ")
        ));
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let cron = parser
        .parse(spelt_out)
        .map_err(|error| blame(parser, &fields, &error))?;
    // `0 0 31 2 *` is well formed and never comes. The days repeat themselves every 400 years, and
    // croner gives up at the year 5000: a search from 4600 settles it for good, and soon.
    let last_cycle = NaiveDate::from_ymd_opt(4600, 1, 1)
        .unwrap_or_default()
        .into();
    match cron.find_next_occurrence::<NaiveDateTime>(&last_cycle, true) {
        Ok(_) => Ok(cron),
        Err(_) => Err(format!(
            "`{expression}` never comes: no year has such a day"
        )),
    }
}

/// The first field that is bad by itself, and why.
fn blame(parser: CronParser, fields: &[&str], error: &CronError) -> String {
    let alone = |position: usize, field: &str| {
        let mut fields = ["*"; FIELDS.len()];
        fields[position] = field;
        parser.parse(&fields.join(" ")).err()
    };
    (0..)
        .zip(fields)
        .zip(FIELDS)
        .find_map(|((position, field), (name, range))| {
            let reason = reason(&alone(position, field)?);
            Some(format!("the {name} `{field}` is bad: {reason} ({range})"))
        })
        .unwrap_or_else(|| reason(error))
}

fn reason(error: &CronError) -> String {
    match error {
        CronError::InvalidPattern(text) | CronError::ComponentError(text) => {
            text.trim_end_matches('.').to_lowercase()
        }
        CronError::IllegalCharacters(_) => "it has a character that has no meaning there".into(),
        CronError::EmptyPattern => "it is empty".into(),
        CronError::InvalidDate | CronError::InvalidTime | CronError::TimeSearchLimitExceeded => {
            "there is no such time".into()
        }
    }
}

#[cfg(test)]
mod tests;
