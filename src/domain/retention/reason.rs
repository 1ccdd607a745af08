//! Why a point stays or goes, in words; it may not know how that is found out.

use std::fmt;

use crate::domain::time::Timestamp;

/// Why a point stays or goes; `Display` tells people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason<I> {
    /// Stays: an operation is under way on it.
    Busy,
    /// Stays: a restoration reads it.
    Used,
    /// Stays: it is on hold.
    Held,
    /// Stays: its own date is still to come.
    KeptUntil(Timestamp),
    /// Stays: it is one of the newest good points, so many of which are never given up.
    Floor(u32),
    /// Stays: there is no newer good point that could stand in for it.
    NoneNewer,
    /// Stays: it failed a short time ago and somebody may want to know why.
    FailedLately,
    /// Stays: there is no rule by which anything goes.
    NoRule,
    /// Stays: one of the last so many.
    Last(u32),
    /// Stays: younger than so many days.
    Days(u32),
    /// Stays: the newest good point of a period, which is named.
    NewestOf(Period, String),
    /// Stays: that point builds on it and stays.
    ParentOf(I),
    /// Stays: the points on which it builds lead back to it, so none can be deleted first.
    Circular,
    /// Goes: it failed, and a newer good point stays.
    Failed,
    /// Goes: its own date has passed and no rule wants it.
    Expired(Timestamp),
    /// Goes: the rules want it, but want so many newer ones as may be kept.
    BeyondMaximum(u32),
    /// Goes: no rule wants it.
    Unwanted,
}

/// A span of the calendar of which one point is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// An hour that passes; the two equal ones of an autumn night are two.
    Hour,
    /// A day.
    Day,
    /// An ISO week.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl fmt::Display for Period {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Hour => "hourly",
            Self::Day => "daily",
            Self::Week => "weekly",
            Self::Month => "monthly",
            Self::Year => "yearly",
        })
    }
}

impl<I: fmt::Display> fmt::Display for Reason<I> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => formatter.write_str("an operation is under way on it"),
            Self::Used => formatter.write_str("a restoration uses it"),
            Self::Held => formatter.write_str("on hold"),
            Self::KeptUntil(end) => write!(formatter, "kept until {end}"),
            Self::Floor(1) => formatter.write_str("the newest good point"),
            Self::Floor(number) => write!(formatter, "one of the newest {number} good points"),
            Self::NoneNewer => formatter.write_str("no newer point is good"),
            Self::FailedLately => formatter.write_str("failed less than a day ago"),
            Self::NoRule => formatter.write_str("no rule lets it go"),
            Self::Last(1) => formatter.write_str("the last one"),
            Self::Last(number) => write!(formatter, "one of the last {number}"),
            Self::Days(1) => formatter.write_str("younger than a day"),
            Self::Days(number) => write!(formatter, "younger than {number} days"),
            Self::NewestOf(period, name) => write!(formatter, "{period} of {name}"),
            Self::ParentOf(child) => write!(formatter, "parent of {child}, which stays"),
            Self::Circular => formatter.write_str("what it builds on leads back to it"),
            Self::Failed => formatter.write_str("failed, and a newer good point stays"),
            Self::Expired(end) => write!(formatter, "was kept until {end}, and no rule wants it"),
            Self::BeyondMaximum(number) => {
                write!(
                    formatter,
                    "not among the newest {number} that the rules want"
                )
            }
            Self::Unwanted => formatter.write_str("not among what the policy keeps"),
        }
    }
}
