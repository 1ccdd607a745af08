//! How long a point is kept, whoever made it; it may not know retention or who deletes.

use serde::{Deserialize, Serialize};

use super::{error::Error, id::ScheduleId, time::Timestamp};

/// How long a point is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keeping {
    /// The schedule that made it, and whose retention lets it go.
    pub schedule: Option<ScheduleId>,
    /// Nothing automatic removes it before; after that it is removed, whatever retention says.
    /// Nothing leaves it to retention, which leaves alone what no schedule made.
    pub until: Option<Timestamp>,
    /// On hold: nothing removes it, and no caller either, until the hold is lifted.
    pub held: bool,
}

impl Keeping {
    /// Whether it goes earlier, or more easily, than it did before.
    pub fn lets_go_earlier_than(&self, before: &Self) -> bool {
        let earlier = match (before.until, self.until) {
            (Some(before), Some(now)) => now < before,
            // Retention may let it go from now on, and until now it could not.
            (Some(_), None) => self.schedule.is_some(),
            // What no schedule made was to stay for ever.
            (None, Some(_)) => self.schedule.is_none(),
            (None, None) => false,
        };
        earlier || (before.held && !self.held)
    }

    /// Whether a caller may delete it; `what` names it.
    pub fn check_deletable(&self, what: &impl std::fmt::Display) -> Result<(), Error> {
        if !self.held {
            return Ok(());
        }
        Err(Error::precondition("ON_HOLD", format!("{what} is on hold"))
            .advise("lift the hold first, by an update of `held`"))
    }
}

/// A change of how long a point is kept; what is nothing stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rekeeping {
    /// Until when.
    pub until: Option<Option<Timestamp>>,
    /// Whether it is on hold.
    pub held: Option<bool>,
}

impl Rekeeping {
    /// Applies it.
    pub fn apply(self, keeping: &mut Keeping) {
        if let Some(until) = self.until {
            keeping.until = until;
        }
        if let Some(held) = self.held {
            keeping.held = held;
        }
    }
}
