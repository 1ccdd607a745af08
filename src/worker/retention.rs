//! Lets go the points that nobody wants to keep any more; it may not know how that is judged.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{domain::error::Error, service::Service, span::Span};

/// How what nobody wants to keep is let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetentionSettings {
    /// The time between two looks for what nobody wants to keep any more.
    #[serde(with = "Span")]
    pub every: Duration,
    /// Schedules and backups that such a look reads at once.
    pub read_at_once: u32,
}

impl Default for RetentionSettings {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(10 * 60),
            read_at_once: 200,
        }
    }
}

/// Looks through all active schedules and all points with an end of their own, again and again. Any
/// number of replicas may do so side by side: a deletion is admitted once.
pub struct Retention {
    service: Service,
    settings: RetentionSettings,
}

impl Retention {
    /// Over `service`.
    pub fn new(service: Service, settings: RetentionSettings) -> Self {
        Self { service, settings }
    }

    /// Looks at once, then again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while let Some(looked) = stop.run_until_cancelled(self.look()).await {
            if let Err(error) = looked {
                warn!(%error, "retention could not be looked after; it is tried again later");
            }
            let pause = sleep(self.settings.every);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Lets go all that may go by now; answers how many deletions were asked for. What another point is
    /// built on goes in a later look.
    pub async fn look(&self) -> Result<usize, Error> {
        let pruned = self
            .service
            .schedules_prune(self.settings.read_at_once)
            .await?;
        Ok(pruned
            + self
                .service
                .points_expire(self.settings.read_at_once)
                .await?)
    }
}
