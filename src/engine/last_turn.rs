//! When a lane had its last turn, and how long nobody has worked since; it may not know what for.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// When the last turn was.
#[derive(Clone, Copy)]
pub(super) struct LastTurn {
    /// By the clock, which runs on while the machine stands still, and jumps when it is set.
    pub(super) time: Timestamp,
    /// By what the machine itself counts, which does neither.
    pub(super) counted: Instant,
    /// When the next was to be at the latest.
    pub(super) wake: Instant,
}

impl LastTurn {
    /// How long nobody worked until now, beyond the time in which nothing was to be done.
    pub(super) fn unattended(&self, time: Timestamp, now: Instant) -> Duration {
        let idle = self.wake.min(now).saturating_duration_since(self.counted);
        time.since(self.time).saturating_sub(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn whatever_stood_still_is_told_apart_from_a_wait() {
        let (time, counted) = (Timestamp(0), Instant::now());
        let last = LastTurn {
            time,
            counted,
            wake: counted + 10 * SECOND,
        };
        for (what, clock, machine, wanted) in [
            ("an event came before its time", 3, 3, 0),
            ("the wait was over", 10, 10, 0),
            ("the machine slept", 100, 3, 97),
            ("the clock was set", 3600, 10, 3590),
            (
                "the process was stopped, or the store did not answer",
                40,
                40,
                30,
            ),
            ("the clock was set back", 0, 10, 0),
        ] {
            let gap = last.unattended(time.after(clock * SECOND), counted + machine * SECOND);
            assert_eq!(gap, wanted * SECOND, "{what}");
        }
    }
}
