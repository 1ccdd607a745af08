//! Refusals for want of a right, as the log tells them; it may not know what was asked for.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tracing::info;

use crate::domain::{action::Action, caller::Caller, id::Tenant, time::Timestamp};

/// At most so many lines within a minute, whoever tries however often.
const LINES_PER_MINUTE: u64 = 60;

const MINUTE: Duration = Duration::from_secs(60);

/// What was told lately.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Window>);

#[derive(Debug, Default)]
struct Window {
    began: Timestamp,
    refused: u64,
}

impl Window {
    /// Whether the next one has a line; and how many had none in the minute that ended with it.
    fn next(&mut self, now: Timestamp) -> (bool, u64) {
        let mut untold = 0;
        if now.since(self.began) >= MINUTE || now < self.began {
            untold = self.refused.saturating_sub(LINES_PER_MINUTE);
            *self = Self {
                began: now,
                refused: 0,
            };
        }
        self.refused += 1;
        (self.refused <= LINES_PER_MINUTE, untold)
    }
}

impl Refusals {
    /// Tells of one, unless there were too many lately.
    pub(super) fn tell(&self, now: Timestamp, caller: &Caller, action: Action, tenant: &Tenant) {
        let (told, untold) = {
            let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            window.next(now)
        };
        if untold > 0 {
            info!(untold, "more was refused than the log tells");
        }
        if told {
            let (name, via) = (caller.name(), caller.via().name());
            let Tenant { cloud, project } = tenant;
            let action = action.name();
            info!(caller = name, via, action, %cloud, tenant = %project, "refused: the caller lacks the right");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_refusals_has_so_many_lines_a_minute_and_the_rest_is_counted() {
        let mut window = Window::default();
        let now = Timestamp(1_790_000_000_000_000);
        let told = (0..100).filter(|_| window.next(now).0).count();
        assert_eq!(told, 60);
        assert_eq!(window.next(now.after(MINUTE)), (true, 40));
        assert_eq!(window.next(now.after(MINUTE)), (true, 0));
    }
}
