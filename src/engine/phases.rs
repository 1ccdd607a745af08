//! The phases of one operation, and how long each took as far as was seen here; it may not know what is done
//! in them.

use std::{mem::take, time::Duration};

use crate::domain::time::Timestamp;

/// The phases of one operation.
#[derive(Debug, Default)]
pub(super) struct Phases {
    /// The one that it is in, and since when.
    current: Option<(String, Timestamp)>,
    /// Those that it has left and that nobody counted yet.
    left: Vec<(String, Duration)>,
}

impl Phases {
    /// Notes in which phase it is, as people are told.
    pub(super) fn enter(&mut self, told: &str, time: Timestamp) {
        // What comes behind tells of this one operation.
        let name = told.split([':', ';']).next().unwrap_or_default();
        if self
            .current
            .as_ref()
            .is_some_and(|(phase, _)| phase == name)
        {
            return;
        }
        if let Some((phase, since)) = self.current.replace((name.to_owned(), time)) {
            self.left.push((phase, time.since(since)));
        }
    }

    /// Those that it has left since this was asked last, and how long each took.
    pub(super) fn take_left(&mut self) -> Vec<(String, Duration)> {
        take(&mut self.left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phase_is_left_once_and_has_no_name_of_its_own_operation() {
        let mut phases = Phases::default();
        let at = |seconds| Timestamp(0).after(Duration::from_secs(seconds));
        for (told, seconds) in [
            ("Creating snapshots", 1),
            ("Creating snapshots", 3),
            ("Cleaning up: quota", 6),
            ("Cleaning up: time", 8),
            ("Deleted; forgotten: dr", 9),
        ] {
            phases.enter(told, at(seconds));
        }
        let left = [("Creating snapshots", 5), ("Cleaning up", 3)];
        let left = left.map(|(phase, took)| (phase.to_owned(), Duration::from_secs(took)));
        assert_eq!(phases.take_left(), left);
        assert!(phases.take_left().is_empty());
    }
}
