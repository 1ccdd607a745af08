//! How old what schedules made is, by the clock and by their calendars; it may not know who asks.

use super::{Service, refused};
use crate::{
    domain::{
        calendar::Calendar,
        error::Error,
        id::{ScheduleId, Tenant},
    },
    port::schedules::Freshness,
};

/// So many slots are counted; more say nothing new.
const SLOTS_COUNTED: usize = 10;

/// How old what one schedule made is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fresh {
    /// The schedule.
    pub schedule: ScheduleId,
    /// Its name.
    pub name: String,
    /// Where its instance lives.
    pub tenant: Tenant,
    /// Seconds since its newest good point was begun; since it was made where there is none.
    pub good: u64,
    /// The same of the newest point that was seen, and against which nothing speaks.
    pub verified: u64,
    /// How many times its calendar has named since the newest good point was begun, ten at most.
    pub slots: u64,
}

impl Service {
    /// How old what schedules made is that are active, or were deactivated because they failed too often: of
    /// those whose newest good point is oldest, at most `limit`.
    pub async fn schedules_fresh(&self, limit: u32) -> Result<Vec<Fresh>, Error> {
        let all = self.store.schedules_freshness(limit).await;
        let all = all.map_err(refused)?.into_iter();
        Ok(all.map(|one| self.fresh(one)).collect())
    }

    fn fresh(&self, one: Freshness) -> Fresh {
        let now = self.clock.now();
        let good = one.good.unwrap_or(one.created);
        let (expression, zone) = &one.calendar;
        // A calendar that this build cannot read names no time.
        let slots = Calendar::parse(expression, zone).map_or(0, |calendar| {
            let runs = calendar.runs_after(good).take_while(|run| *run <= now);
            runs.take(SLOTS_COUNTED).count()
        });
        Fresh {
            schedule: one.schedule,
            name: one.name,
            tenant: one.tenant,
            good: now.since(good).as_secs(),
            verified: now.since(one.verified.unwrap_or(one.created)).as_secs(),
            slots: u64::try_from(slots).unwrap_or_default(),
        }
    }
}
