//! Lets history go that nobody needs any more; it may not know how it is kept.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
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

/// How long the audit is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct AuditSettings {
    /// How long an entry of the audit is kept; `forever` lets none go. It is looked for older ones as often as
    /// for history (`history.every`).
    pub keep: Keep,
}

/// A length of time, or no end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Keep {
    /// So long.
    For(#[cfg_attr(test, schemars(with = "String"))] Duration),
    /// Without an end.
    Forever,
}

/// How it is written that there is no end.
const FOREVER: &str = "forever";

impl Default for Keep {
    fn default() -> Self {
        Self::For(Duration::from_secs(400 * 24 * 60 * 60))
    }
}

impl Serialize for Keep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::For(span) => Span::serialize(span, serializer),
            Self::Forever => serializer.serialize_str(FOREVER),
        }
    }
}

impl<'de> Deserialize<'de> for Keep {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == FOREVER {
            return Ok(Self::Forever);
        }
        let span: Span = text.parse().map_err(serde::de::Error::custom)?;
        Ok(Self::For(span.0))
    }
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
    audit: AuditSettings,
}

impl HistoryPruner {
    /// A pruner of this store.
    pub fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        settings: HistorySettings,
        audit: AuditSettings,
    ) -> Self {
        Self {
            store,
            clock,
            settings,
            audit,
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
            match stop.run_until_cancelled(self.prune_audit()).await {
                None | Some(Ok(0)) => {}
                Some(Ok(entries)) => info!(entries, "entries of the audit were let go"),
                Some(Err(error)) => {
                    warn!(%error, "the audit could not be let go; it is tried again later");
                }
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

    /// Takes away all entries of the audit that are old enough by now; answers how many those were.
    pub async fn prune_audit(&self) -> Result<u64, StoreError> {
        let Keep::For(keep) = self.audit.keep else {
            return Ok(0);
        };
        let before = self.clock.now().before(keep);
        let mut all = 0;
        loop {
            let entries = self.store.audit_prune(before, self.settings.rows).await?;
            if entries == 0 {
                return Ok(all);
            }
            all += entries;
        }
    }
}
