//! Reads the fields of a message that only messages have; it may not know what they are for.

use std::time::Duration;

use crate::domain::time::Timestamp;
pub(in crate::api) use crate::service::fields::{Fields, brief};

/// The times of messages.
pub(in crate::api) trait Times {
    /// A span of time, more than nothing.
    fn time_limit(&mut self, field: &str, given: Option<prost_types::Duration>)
    -> Option<Duration>;

    /// A moment, where one is given.
    fn moment(&mut self, field: &str, given: Option<prost_types::Timestamp>) -> Option<Timestamp>;
}

impl Times for Fields<'_> {
    fn time_limit(
        &mut self,
        field: &str,
        given: Option<prost_types::Duration>,
    ) -> Option<Duration> {
        let span = Duration::try_from(given?)
            .ok()
            .filter(|span| !span.is_zero());
        if span.is_none() {
            self.bad(field, "is not more than 0");
        }
        span
    }

    fn moment(&mut self, field: &str, given: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let given = given?;
        let micros = (i128::from(given.seconds) * 1_000_000) + i128::from(given.nanos / 1_000);
        let moment = i64::try_from(micros).map(Timestamp).ok();
        if moment.is_none() || !(0..1_000_000_000).contains(&given.nanos) {
            self.bad(field, "is not a time that can be told");
        }
        moment
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::Limits;

    #[test]
    fn a_span_is_more_than_nothing() {
        let limits = Limits::default();
        for seconds in [-1, 0] {
            let mut fields = Fields::new(&limits);
            let given = prost_types::Duration { seconds, nanos: 0 };
            assert_eq!(fields.time_limit("time_limit", Some(given)), None);
            assert!(fields.done().is_err());
        }
    }
}
