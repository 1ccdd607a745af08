//! Looks now and then whether what points rest on is still there; it may not know how that is seen, or what
//! follows from it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{domain::orphan::Sweep, port::store::StoreError, service::Service, span::Span};

/// How the claim that points can be restored is renewed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct VerificationSettings {
    /// The longest time between two looks at what the points of one tenant rest on: so old a claim
    /// that one can be restored may become while its cloud answers. Retention looks too, before it
    /// deletes.
    #[serde(with = "Span")]
    pub every: Duration,
    /// How soon is looked again where a point was never seen, or where its deletion was broken off.
    #[serde(with = "Span")]
    pub urgent: Duration,
    /// Tenants that one replica takes upon itself at once to look at.
    pub at_once: u32,
}

impl Default for VerificationSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60 * 60),
            urgent: Duration::from_secs(60),
            at_once: 16,
        }
    }
}

/// So often within the shorter of both times it is asked whether a tenant is due.
const ROUNDS: u32 = 4;

/// Looks at the points of every tenant that has some. Any number of replicas may do so side by side: each
/// tenant is looked at by one of them.
pub struct Verifier {
    service: Service,
    settings: VerificationSettings,
}

impl Verifier {
    /// A verifier that looks through `service`.
    pub fn new(service: Service, settings: VerificationSettings) -> Self {
        Self { service, settings }
    }

    /// Looks at once, then again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let pause = self.settings.every.min(self.settings.urgent) / ROUNDS;
        while let Some(looked) = stop.run_until_cancelled(self.look()).await {
            if let Err(error) = looked {
                warn!(%error, "points could not be looked at; it is tried again later");
            }
            if stop.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Looks at the points of all tenants that are due; answers how many tenants those were.
    pub async fn look(&self) -> Result<usize, StoreError> {
        let settings = &self.settings;
        let due = self.service.points_due(settings.every, settings.urgent);
        let mut all = 0;
        // Ends because a look that begins from now on did not begin before that.
        loop {
            let sweeps = self.service.points_verify(due, settings.at_once).await?;
            if sweeps.is_empty() {
                return Ok(all);
            }
            all += sweeps.len();
            sweeps.iter().for_each(tell);
        }
    }
}

/// One line for each tenant, with the same fields every time: a log is where it is counted from.
fn tell(sweep: &Sweep) {
    let (cloud, project) = (&sweep.tenant.cloud, &sweep.tenant.project);
    let begun = sweep.begun;
    if let Some(problem) = &sweep.problem {
        warn!(%cloud, %project, %begun, problem, "the points of a tenant could not be looked at; they stay as they are, and grow old");
    } else {
        info!(%cloud, %project, %begun, "the points of a tenant were looked at");
    }
}
