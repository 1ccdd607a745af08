//! Lets history go that nobody needs any more; it may not know how it is kept.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    port::{
        clock::Clock,
        store::{Store, StoreError},
    },
    span::Span,
};

/// How long history is kept, and how it is let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// How long is kept what came to its end: request ids, the ledgers of work that ended, and the
    /// events of what was deleted. The events of what is still there stay.
    #[serde(with = "Span")]
    pub keep: Duration,
    /// How often it is looked for what is older.
    #[serde(with = "Span")]
    pub every: Duration,
    /// About how many rows are removed in one transaction.
    pub rows: u32,
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self {
            keep: Duration::from_secs(30 * 24 * 60 * 60),
            every: Duration::from_secs(10 * 60),
            rows: 500,
        }
    }
}

/// Prunes a store now and then. Any number of replicas may do so side by side: what one of them has
/// taken away, the others do not find.
pub struct HistoryPruner {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    settings: HistorySettings,
}

impl HistoryPruner {
    /// A pruner of this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, settings: HistorySettings) -> Self {
        Self {
            store,
            clock,
            settings,
        }
    }

    /// Prunes at once, then again and again until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        while let Some(pruned) = stop.run_until_cancelled(self.prune()).await {
            match pruned {
                Ok(0) => {}
                Ok(rows) => info!(rows, "history was let go"),
                Err(error) => warn!(%error, "history could not be let go; it is tried again later"),
            }
            let pause = sleep(self.settings.every);
            if stop.run_until_cancelled(pause).await.is_none() {
                return;
            }
        }
    }

    /// Takes away all that is old enough by now; answers how many rows that was.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let before = self.clock.now().before(self.settings.keep);
        let mut all = 0;
        // Ends because nothing of that age is written any more.
        loop {
            let rows = self.store.history_prune(before, self.settings.rows).await?;
            if rows == 0 {
                return Ok(all);
            }
            all += rows;
        }
    }
}
