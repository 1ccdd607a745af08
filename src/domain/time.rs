//! Points in time as plain numbers; it may not know which clock they were read from.

use std::{fmt, time::Duration};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since the Unix epoch, UTC.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The first time that can be told: the year 1.
    pub const FIRST: Self = Self(-62_135_596_800_000_000);
    /// The last one: the end of the year 9999.
    pub const LAST: Self = Self(253_402_300_799_999_999);

    /// Whether everybody can read it: Protobuf, JSON and RFC 3339 know the years 1 to 9999.
    pub fn is_tellable(self) -> bool {
        (Self::FIRST..=Self::LAST).contains(&self)
    }

    /// This time, or the nearest one that can be told.
    #[must_use]
    pub fn tellable(self) -> Self {
        self.clamp(Self::FIRST, Self::LAST)
    }

    /// This time and `duration` more, ending at the last time that can be told.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(micros).min(Self::LAST.0.max(self.0)))
    }

    /// This time and `duration` less, ending at the first time that can be told.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        let micros = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(micros).max(Self::FIRST.0.min(self.0)))
    }

    /// How long ago `earlier` was; zero when it was not earlier.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Reads what OpenStack writes: with or without a zone (then UTC), a `T`, fractions.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(time) = DateTime::parse_from_rfc3339(text) {
            return Some(Self(time.timestamp_micros()));
        }
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
            .iter()
            .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
            .map(|time| Self(time.and_utc().timestamp_micros()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let micros = self.tellable().0;
        let time = DateTime::<Utc>::from_timestamp_micros(micros).unwrap_or_default();
        formatter.write_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openstack_times_without_a_zone_are_utc() {
        let bare = Timestamp::parse("2026-11-23T01:02:03.000000");
        assert_eq!(bare, Timestamp::parse("2026-11-23T01:02:03Z"));
        assert_eq!(
            bare.map(|time| time.to_string()).as_deref(),
            Some("2026-11-23T01:02:03Z")
        );
    }

    #[test]
    fn every_time_is_told_in_four_digits_of_a_year() {
        for time in [
            Timestamp(i64::MIN),
            Timestamp::FIRST,
            Timestamp::LAST,
            Timestamp(i64::MAX),
        ] {
            let told = time.to_string();
            assert_eq!(
                Timestamp::parse(&told).map(Timestamp::is_tellable),
                Some(true),
                "{told}"
            );
        }
        assert_eq!(Timestamp::FIRST.to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::LAST.to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(Timestamp(0).after(Duration::MAX), Timestamp::LAST);
        assert_eq!(Timestamp(0).before(Duration::MAX), Timestamp::FIRST);
    }

    #[test]
    fn since_never_runs_backwards() {
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
    }
}
