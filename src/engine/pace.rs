//! How fast one cloud may be asked; it may not know what is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::Settings;
use crate::domain::{fault::Fault, id::CloudName};

/// The pace of every cloud, shared by all lanes.
#[derive(Debug)]
pub(super) struct Pace {
    slots: usize,
    first: Duration,
    max: Duration,
    clouds: Mutex<HashMap<CloudName, CloudPace>>,
}

#[derive(Debug)]
struct CloudPace {
    slots: Arc<Semaphore>,
    /// Faults in a row that concern the whole cloud.
    streak: u32,
    /// Nothing is asked before.
    until: Option<Instant>,
    /// After a fault one request goes ahead of all others, to see whether the cloud is back.
    /// A probe that was never heard of again makes room for the next one at this time.
    probe_until: Option<Instant>,
}

/// Twice as long with each failure, from `first` to `max`.
pub(super) fn backoff(first: Duration, max: Duration, failures: u32) -> Duration {
    first
        .saturating_mul(1_u32 << failures.saturating_sub(1).min(16))
        .min(max)
}

impl Pace {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            slots: settings.requests_per_cloud,
            first: settings.retry_first,
            max: settings.retry_max,
            clouds: Mutex::default(),
        }
    }

    fn with<T>(&self, cloud: &CloudName, work: impl FnOnce(&mut CloudPace) -> T) -> T {
        // A pace has no invariant that a panic elsewhere could break half-way.
        let mut clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = clouds.entry(cloud.clone()).or_insert_with(|| CloudPace {
            slots: Arc::new(Semaphore::new(self.slots)),
            streak: 0,
            until: None,
            probe_until: None,
        });
        work(pace)
    }

    /// The places for requests under way; one is held while a request is.
    pub(super) fn slots(&self, cloud: &CloudName) -> Arc<Semaphore> {
        self.with(cloud, |pace| Arc::clone(&pace.slots))
    }

    /// Whether a request may leave now. After a fault the first to ask is the probe; it must
    /// [report](Self::report) back, or the others wait for the longest wait.
    pub(super) fn admits(&self, cloud: &CloudName, now: Instant) -> bool {
        self.with(cloud, |pace| match pace.until {
            None => true,
            Some(until) if now < until.max(pace.probe_until.unwrap_or(until)) => false,
            Some(_) => {
                pace.probe_until = Some(now + self.max);
                true
            }
        })
    }

    /// When the cloud may be asked again, while it may not.
    pub(super) fn closed_until(&self, cloud: &CloudName) -> Option<Instant> {
        self.with(cloud, |pace| {
            pace.until
                .map(|until| until.max(pace.probe_until.unwrap_or(until)))
        })
    }

    /// What became of a request.
    pub(super) fn report(&self, cloud: &CloudName, fault: Option<&Fault>, now: Instant) {
        self.with(cloud, |pace| {
            pace.probe_until = None;
            if let Some(fault) = fault.filter(|fault| fault.concerns_the_cloud()) {
                // Requests that left together fail together, and count once.
                if pace.until.is_none_or(|until| until <= now) {
                    pace.streak += 1;
                }
                let wait = backoff(self.first, self.max, pace.streak);
                let asked = Duration::from_secs(fault.retry_after.unwrap_or(0).into());
                pace.until = Some(now + wait.max(asked));
            } else {
                pace.streak = 0;
                pace.until = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::fault::{FaultKind, Service};

    #[test]
    fn a_silent_cloud_is_asked_ever_more_seldom_and_by_one_probe() {
        let pace = Pace::new(&Settings::default());
        let cloud = CloudName::new("dr");
        let fault = Fault::new(
            FaultKind::Unreachable,
            Service::Compute,
            "list servers",
            "refused",
        );
        let start = Instant::now();
        assert!(pace.admits(&cloud, start));
        pace.report(&cloud, Some(&fault), start);
        assert!(!pace.admits(&cloud, start));
        let later = start + Duration::from_secs(1);
        assert!(pace.admits(&cloud, later), "the probe goes");
        assert!(!pace.admits(&cloud, later), "and nobody else");
        pace.report(&cloud, Some(&fault), later);
        assert!(
            !pace.admits(&cloud, later + Duration::from_secs(1)),
            "the wait has doubled"
        );
        assert!(pace.admits(&cloud, later + Duration::from_secs(2)));
        pace.report(&cloud, None, later + Duration::from_secs(2));
        assert!(pace.admits(&cloud, later + Duration::from_secs(2)));
    }

    #[test]
    fn waits_double_up_to_the_longest() {
        let (first, max) = (Duration::from_secs(1), Duration::from_secs(60));
        let waits: Vec<u64> = (1..9)
            .map(|failures| backoff(first, max, failures).as_secs())
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(backoff(first, max, u32::MAX), max);
    }
}
