//! How often one cloud may be asked, and who may ask next; it may not know what is asked.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    EngineSettings,
    permits::{Permit, Permits},
};
use crate::domain::{
    fault::Fault,
    id::{CloudName, Tenant},
    time::Timestamp,
};

/// What every call to a cloud passes first: a permit of its tenant, and the circuit breaker of its cloud.
/// Shared by all lanes.
#[derive(Debug)]
pub(super) struct CallGate {
    permits: usize,
    reads: usize,
    first: Duration,
    max: Duration,
    tenants: Mutex<HashMap<Tenant, TenantPermits>>,
    clouds: Mutex<HashMap<CloudName, CircuitBreaker>>,
}

/// When what is given back was asked for: before everything else, because it takes its time in the cloud
/// and makes room there.
pub(super) const GIVES_BACK: Timestamp = Timestamp(i64::MIN);

/// The permits of one tenant.
#[derive(Debug)]
struct TenantPermits {
    calls: Arc<Permits>,
    reads: Arc<Permits>,
}

/// Whether one cloud may be asked.
#[derive(Debug, Default)]
struct CircuitBreaker {
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

impl CallGate {
    pub(super) fn new(settings: &EngineSettings) -> Self {
        Self {
            permits: settings.requests_per_tenant,
            reads: settings.reads_per_tenant,
            first: settings.retry_first,
            max: settings.retry_max,
            tenants: Mutex::default(),
            clouds: Mutex::default(),
        }
    }

    fn with<T>(&self, cloud: &CloudName, work: impl FnOnce(&mut CircuitBreaker) -> T) -> T {
        // A breaker has no invariant that a panic elsewhere could break half-way.
        let mut clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        work(clouds.entry(cloud.clone()).or_default())
    }

    /// Waits until a call to the tenant may leave, for an operation that was `asked` for then: the one
    /// that waits longest comes first, so that some are on their way while others still begin. A tenant
    /// has so many calls under way and no more, however much it has to ask: what others ask is never
    /// behind more than that. A read that `shares` its calls with others has permits of its own, many
    /// more, because the more there are the less each of them asks.
    pub(super) async fn pass(&self, tenant: &Tenant, asked: Timestamp, shares: bool) -> Permit {
        let permits = {
            let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
            let tenant = tenants
                .entry(tenant.clone())
                .or_insert_with(|| TenantPermits {
                    calls: Permits::new(self.permits),
                    reads: Permits::new(self.reads),
                });
            Arc::clone(if shares { &tenant.reads } else { &tenant.calls })
        };
        permits.take(asked).await
    }

    /// Why no request may leave now, if none may. After a fault the first to ask is the probe; it
    /// must [report](Self::report) back, or the others wait for the longest wait.
    pub(super) fn refuses(&self, cloud: &CloudName, now: Instant) -> Option<Fault> {
        self.with(cloud, |breaker| match breaker.until {
            None => None,
            Some(until) if now < until.max(breaker.probe_until.unwrap_or(until)) => {
                breaker.trouble.clone()
            }
            Some(_) => {
                breaker.probe_until = Some(now + self.max);
                None
            }
        })
    }

    /// The clouds that are not asked for now, because they do not answer.
    pub(super) fn closed(&self) -> Vec<CloudName> {
        let clouds = self.clouds.lock().unwrap_or_else(PoisonError::into_inner);
        let closed = clouds
            .iter()
            .filter(|(_, breaker)| breaker.trouble.is_some());
        closed.map(|(cloud, _)| cloud.clone()).collect()
    }

    /// When the cloud may be asked again, while it may not.
    pub(super) fn closed_until(&self, cloud: &CloudName) -> Option<Instant> {
        self.with(cloud, |breaker| {
            breaker
                .until
                .map(|until| until.max(breaker.probe_until.unwrap_or(until)))
        })
    }

    /// What became of a request.
    pub(super) fn report(&self, cloud: &CloudName, fault: Option<&Fault>, now: Instant) {
        self.with(cloud, |breaker| {
            breaker.probe_until = None;
            if let Some(fault) = fault.filter(|fault| fault.concerns_the_cloud()) {
                // Requests that left together fail together, and count once.
                if breaker.until.is_none_or(|until| until <= now) {
                    breaker.streak += 1;
                }
                let wait = backoff(self.first, self.max, breaker.streak);
                let asked = Duration::from_secs(fault.retry_after.unwrap_or(0).into());
                breaker.until = Some(now + wait.max(asked));
                breaker.trouble = Some(fault.clone());
            } else {
                breaker.streak = 0;
                breaker.until = None;
                breaker.trouble = None;
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
        let gate = CallGate::new(&EngineSettings::default());
        let cloud = CloudName::new("dr");
        let fault = Fault::new(
            FaultKind::Unreachable,
            Service::Compute,
            "list servers",
            "refused",
        );
        let start = Instant::now();
        assert_eq!(gate.refuses(&cloud, start), None);
        gate.report(&cloud, Some(&fault), start);
        assert_eq!(gate.closed(), std::slice::from_ref(&cloud));
        assert_eq!(
            gate.refuses(&cloud, start),
            Some(fault.clone()),
            "and everybody hears why"
        );
        let later = start + Duration::from_secs(1);
        assert_eq!(gate.refuses(&cloud, later), None, "the probe goes");
        assert!(gate.refuses(&cloud, later).is_some(), "and nobody else");
        gate.report(&cloud, Some(&fault), later);
        assert!(
            gate.refuses(&cloud, later + Duration::from_secs(1))
                .is_some(),
            "the wait has doubled"
        );
        assert_eq!(gate.refuses(&cloud, later + Duration::from_secs(2)), None);
        gate.report(&cloud, None, later + Duration::from_secs(2));
        assert_eq!(gate.refuses(&cloud, later + Duration::from_secs(2)), None);
        assert!(gate.closed().is_empty());
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
