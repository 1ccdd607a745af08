//! Messages into words of the domain and back, one file per noun; it may not know the service.

pub(super) mod backup;
pub(super) mod cloud;
pub(super) mod dr_backup;
pub(super) mod fields;
pub(super) mod manifest;
pub(super) mod orphan;
pub(super) mod point;
pub(super) mod progress;
pub(super) mod restoration;
pub(super) mod schedule;

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use crate::domain::time::Timestamp;

/// Microseconds of a second.
const MICROS: i64 = 1_000_000;

/// A point in time as a message.
pub(super) fn time(time: Timestamp) -> prost_types::Timestamp {
    // One that was stored before times had bounds must not spoil the list that it is in.
    let time = time.tellable();
    let nanos = time.0.rem_euclid(MICROS) * 1000;
    prost_types::Timestamp {
        seconds: time.0.div_euclid(MICROS),
        nanos: i32::try_from(nanos).unwrap_or_default(),
    }
}

/// A span of time as a message.
fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or_default(),
    }
}

/// A number as a message has it; one that is too large shows as the largest.
fn number<T: TryInto<i32>>(number: T) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}

/// A large number as a message has it.
fn large<T: TryInto<i64>>(number: T) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

/// A text that may be missing.
fn text<T: ToString>(text: Option<&T>) -> String {
    text.map(ToString::to_string).unwrap_or_default()
}

/// Names and values.
fn properties(properties: &BTreeMap<String, String>) -> HashMap<String, String> {
    properties
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_keeps_its_microseconds(micros: i64) {
            let message = time(Timestamp(micros));
            prop_assert!((0..1_000_000_000).contains(&message.nanos));
            let back = i128::from(message.seconds) * 1_000_000 + i128::from(message.nanos / 1000);
            prop_assert_eq!(back, i128::from(Timestamp(micros).tellable().0));
        }
    }

    #[test]
    fn a_number_that_is_too_large_shows_as_the_largest() {
        assert_eq!(number(u64::MAX), i32::MAX);
        assert_eq!(number(7_u64), 7);
    }
}
