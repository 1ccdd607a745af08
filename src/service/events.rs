//! The events of resources, replayed and followed, and what is under way; it may not know who listens.

use tokio::sync::watch;

use super::{Service, refused};
use crate::domain::{error::Error, event::Event, id::ResourceId, operation::UnderWay};

impl Service {
    /// How many operations are under way, by cloud and kind; those of other replicas too.
    pub async fn operations_under_way(&self) -> Result<Vec<UnderWay>, Error> {
        self.store.operations_under_way().await.map_err(refused)
    }

    /// The next events of a resource after a sequence number, in order, at most `limit`.
    pub async fn events_after(
        &self,
        resource: ResourceId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        self.store
            .events_list(resource, sequence, limit)
            .await
            .map_err(refused)
    }

    /// The resources that have news after a global position, and the position to go on from.
    pub async fn changed_after(
        &self,
        position: u64,
        limit: u32,
    ) -> Result<(Vec<ResourceId>, u64), Error> {
        self.store
            .changes_list(position, limit)
            .await
            .map_err(refused)
    }

    /// Another number as soon as anything may be answered differently; `None` where that is not known.
    pub fn version(&self) -> Option<u64> {
        self.store.version()
    }

    /// Wakes whenever any event was written; carries no data.
    pub fn wake_ups(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }
}
