//! How fast one cloud may be asked, and who may ask next; it may not know what is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep_until},
};

use super::Settings;
use crate::domain::{
    fault::Fault,
    id::{CloudName, ProjectId, Tenant},
};

/// The pace of every cloud, shared by all lanes.
#[derive(Debug)]
pub(super) struct Pace {
    slots: usize,
    slots_per_tenant: usize,
    /// The time between two calls, once the burst is used up.
    interval: Duration,
    /// Calls that may leave at once after a pause.
    burst: u32,
    first: Duration,
    max: Duration,
    clouds: Mutex<HashMap<CloudName, CloudPace>>,
}

/// The right to have one call under way, until it is dropped: the places in the tenant and the cloud.
pub(super) type Pass = (Option<OwnedSemaphorePermit>, Option<OwnedSemaphorePermit>);

#[derive(Debug)]
struct CloudPace {
    slots: Arc<Semaphore>,
    tenants: HashMap<ProjectId, Arc<Semaphore>>,
    /// When the bucket of calls will be full again, as if it could be overdrawn.
    full: Option<Instant>,
    /// Why it is not asked, where it is not.
    trouble: Option<Fault>,
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
            slots_per_tenant: settings.requests_per_tenant,
            interval: Duration::from_secs(1) / settings.requests_per_second.max(1),
            burst: settings.requests_burst.max(1),
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
            tenants: HashMap::new(),
            full: None,
            trouble: None,
            streak: 0,
            until: None,
            probe_until: None,
        });
        work(pace)
    }

    /// Waits until a call to the tenant may leave. Whoever waits for a cloud waits in one line, in
    /// which a tenant stands no more often than it has places: however much one has to ask, another
    /// one's call is never behind more than that.
    pub(super) async fn pass(&self, tenant: &Tenant) -> Pass {
        let (of_tenant, of_cloud) = self.with(&tenant.cloud, |pace| {
            let places = pace.tenants.entry(tenant.project.clone());
            let places = places.or_insert_with(|| Arc::new(Semaphore::new(self.slots_per_tenant)));
            (Arc::clone(places), Arc::clone(&pace.slots))
        });
        // None of them is ever closed.
        let pass = (
            of_tenant.acquire_owned().await.ok(),
            of_cloud.acquire_owned().await.ok(),
        );
        let now = Instant::now();
        if let Some(leaves) = self.with(&tenant.cloud, |pace| self.ticket(pace, now)) {
            sleep_until(leaves).await;
        }
        pass
    }

    /// Takes one out of the bucket of calls; answers when the call may leave, if not now.
    fn ticket(&self, pace: &mut CloudPace, now: Instant) -> Option<Instant> {
        let full = pace.full.map_or(now, |full| full.max(now)) + self.interval;
        pace.full = Some(full);
        let leaves = full.checked_sub(self.interval * self.burst)?;
        (leaves > now).then_some(leaves)
    }

    /// Why no request may leave now, if none may. After a fault the first to ask is the probe; it
    /// must [report](Self::report) back, or the others wait for the longest wait.
    pub(super) fn refuses(&self, cloud: &CloudName, now: Instant) -> Option<Fault> {
        self.with(cloud, |pace| match pace.until {
            None => None,
            Some(until) if now < until.max(pace.probe_until.unwrap_or(until)) => {
                pace.trouble.clone()
            }
            Some(_) => {
                pace.probe_until = Some(now + self.max);
                None
            }
        })
    }

    /// The clouds that are not asked for now, because they do not answer.
    pub(super) fn closed(&self) -> Vec<CloudName> {
        let clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = clouds.iter().filter(|(_, pace)| pace.trouble.is_some());
        closed.map(|(cloud, _)| cloud.clone()).collect()
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
                pace.trouble = Some(fault.clone());
            } else {
                pace.streak = 0;
                pace.until = None;
                pace.trouble = None;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;
    use crate::domain::fault::{FaultKind, Service};

    fn tenant(project: &str) -> Tenant {
        Tenant {
            cloud: CloudName::new("dr"),
            project: ProjectId::new(project),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn calls_leave_at_once_while_the_bucket_lasts_and_then_one_by_one() {
        let pace = Pace::new(&Settings {
            requests_per_second: 10,
            requests_burst: 3,
            ..Settings::default()
        });
        let start = Instant::now();
        let mut left = Vec::new();
        for _ in 0..5 {
            drop(pace.pass(&tenant("a")).await);
            left.push(start.elapsed().as_millis());
        }
        assert_eq!(left, [0, 0, 0, 100, 200]);
        advance(Duration::from_secs(60)).await;
        let start = Instant::now();
        for _ in 0..3 {
            drop(pace.pass(&tenant("a")).await);
        }
        assert_eq!(start.elapsed(), Duration::ZERO, "a pause fills it again");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_with_much_to_ask_is_not_in_the_way_of_another() {
        let pace = Arc::new(Pace::new(&Settings {
            requests_per_cloud: 2,
            requests_per_tenant: 2,
            ..Settings::default()
        }));
        let busy = || {
            let pace = Arc::clone(&pace);
            tokio::spawn(async move {
                let _pass = pace.pass(&tenant("busy")).await;
                tokio::time::sleep(Duration::from_secs(1)).await;
            })
        };
        let _calls: Vec<_> = (0..100).map(|_| busy()).collect();
        tokio::task::yield_now().await;
        // Two are under way, and no more than two of the other ninety-eight stand in the line.
        let mine = timeout(Duration::from_secs(3), pace.pass(&tenant("quiet"))).await;
        assert!(mine.is_ok(), "it would have waited for 50 seconds");
    }

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
        assert_eq!(pace.refuses(&cloud, start), None);
        pace.report(&cloud, Some(&fault), start);
        assert_eq!(pace.closed(), std::slice::from_ref(&cloud));
        assert_eq!(
            pace.refuses(&cloud, start),
            Some(fault.clone()),
            "and everybody hears why"
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(pace.refuses(&cloud, later), None, "the probe goes");
        assert!(pace.refuses(&cloud, later).is_some(), "and nobody else");
        pace.report(&cloud, Some(&fault), later);
        assert!(
            pace.refuses(&cloud, later + Duration::from_secs(1))
                .is_some(),
            "the wait has doubled"
        );
        assert_eq!(pace.refuses(&cloud, later + Duration::from_secs(2)), None);
        pace.report(&cloud, None, later + Duration::from_secs(2));
        assert_eq!(pace.refuses(&cloud, later + Duration::from_secs(2)), None);
        assert!(pace.closed().is_empty());
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
