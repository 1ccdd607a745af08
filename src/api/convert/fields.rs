//! Reads the fields of a message that only messages have; it may not know what they are for.

use std::{collections::BTreeSet, time::Duration};

use prost_types::FieldMask;

use crate::domain::{
    id::{CloudName, ProjectId, Tenant},
    time::Timestamp,
};
pub(in crate::api) use crate::service::fields::{Fields, brief};

/// The longest span that a message can tell, 10,000 years of Protobuf's.
const SPAN_SECONDS_MAX: u64 = 315_576_000_000;

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
        let span = span(given?).filter(|span| !span.is_zero());
        if span.is_none() {
            self.bad(field, "is not more than 0");
        }
        let told = span.filter(|span| span.as_secs() <= SPAN_SECONDS_MAX);
        if span.is_some() && told.is_none() {
            self.bad(field, "is more than 10,000 years");
        }
        told
    }

    fn moment(&mut self, field: &str, given: Option<prost_types::Timestamp>) -> Option<Timestamp> {
        let given = given?;
        let micros = (i128::from(given.seconds) * 1_000_000) + i128::from(given.nanos / 1_000);
        let moment = i64::try_from(micros).map(Timestamp).ok();
        let moment = moment.filter(|moment| moment.is_tellable());
        if moment.is_none() || !(0..1_000_000_000).contains(&given.nanos) {
            self.bad(field, "is not a time that can be told");
        }
        moment
    }
}

/// A span of time, unless it is less than nothing: prost turns such a one round to tell of it, which overflows
/// for the least of numbers.
pub(super) fn span(given: prost_types::Duration) -> Option<Duration> {
    if given.seconds < 0 {
        return None;
    }
    Duration::try_from(given).ok()
}

/// A tenant of a cloud.
pub(in crate::api) fn tenant(fields: &mut Fields<'_>, cloud: String, project: String) -> Tenant {
    Tenant {
        cloud: CloudName::new(fields.required("cloud", cloud)),
        project: ProjectId::new(fields.required("tenant", project)),
    }
}

/// What an update changes: the `given` fields and those that its mask names, out of the `changeable`.
pub(super) fn named(
    fields: &mut Fields<'_>,
    mask: Option<&FieldMask>,
    changeable: &[&'static str],
    given: BTreeSet<&'static str>,
) -> BTreeSet<&'static str> {
    let mut named = given;
    for path in mask.iter().flat_map(|mask| &mask.paths) {
        match changeable.iter().find(|field| *field == path) {
            Some(field) => drop(named.insert(field)),
            None if path == "*" => named.extend(changeable),
            None => fields.bad(
                "update_mask",
                format!(
                    "`{}` cannot be changed; {} can",
                    brief(path),
                    changeable.join(", ")
                ),
            ),
        }
    }
    if named.is_empty() {
        fields.bad("update_mask", "names nothing to change");
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::settings::RequestSettings;

    #[test]
    fn a_moment_is_one_that_can_be_told() {
        let limits = RequestSettings::default();
        for (seconds, nanos, good) in [
            (0, 0, true),
            (-62_135_596_800, 0, true),
            (253_402_300_799, 999_999_999, true),
            (-62_135_596_801, 0, false),
            (253_402_300_800, 0, false),
            (2_534_023_007_990, 0, false),
            (i64::MAX, 0, false),
            (0, 1_000_000_000, false),
            (0, -1, false),
        ] {
            let mut fields = Fields::new(&limits);
            let given = prost_types::Timestamp { seconds, nanos };
            fields.moment("kept_until", Some(given));
            assert_eq!(fields.done().is_ok(), good, "{seconds} {nanos}");
        }
    }

    #[test]
    fn a_span_is_more_than_nothing() {
        let limits = RequestSettings::default();
        for (seconds, nanos) in [
            (-1, 0),
            (0, 0),
            (0, -1),
            (0, i32::MIN),
            (i64::MIN, 0),
            (i64::MIN, -1),
        ] {
            let mut fields = Fields::new(&limits);
            let given = prost_types::Duration { seconds, nanos };
            assert_eq!(fields.time_limit("time_limit", Some(given)), None);
            assert!(fields.done().is_err());
        }
    }
}
