//! The events of resources, replayed and followed, and what is under way; it may not know who listens.

use tokio::sync::watch;

use super::{Service, acting::Acting, refused};
use crate::domain::{
    action::Action, caller::Scope, error::Error, event::Event, id::ResourceId, lifecycle::State,
    operation::UnderWay,
};

impl Acting {
    /// The state of a resource whose events are to be followed; nothing when it is gone, which only those
    /// may know who may know of everything: a resource that is gone is in no tenant any more.
    pub async fn followed(&self, resource: ResourceId) -> Result<Option<State>, Error> {
        let state = match resource {
            ResourceId::Point(id) => {
                let point = self.point(id, Action::ReadPoint).await;
                point.map(|point| point.head.state)
            }
            ResourceId::Restoration(id) => {
                let restoration = self.restoration(id, Action::ReadRestoration).await;
                restoration.map(|restoration| restoration.head.state)
            }
            ResourceId::Schedule(id) => {
                let schedule = self.schedule(id, Action::ReadSchedule).await;
                schedule.map(|schedule| schedule.state())
            }
        };
        match state {
            Ok(state) => Ok(Some(state)),
            Err(error) if error.is_not_found() && *self.scope() == Scope::All => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next events of a resource after a sequence number, in order, at most `limit`. Whoever asks has
    /// looked whether they may be told: by [`Self::followed`] for one, by a list for many.
    pub async fn events_after(
        &self,
        resource: ResourceId,
        sequence: u64,
        limit: u32,
    ) -> Result<Vec<Event>, Error> {
        self.service
            .store
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
        self.service
            .store
            .changes_list(position, limit)
            .await
            .map_err(refused)
    }

    /// Wakes whenever any event was written; carries no data.
    pub fn wake_ups(&self) -> watch::Receiver<u64> {
        self.service.wake_ups()
    }
}

impl Service {
    /// How many operations are under way, by cloud and kind; those of other replicas too.
    pub async fn operations_under_way(&self) -> Result<Vec<UnderWay>, Error> {
        self.store.operations_under_way().await.map_err(refused)
    }

    /// Wakes whenever any event was written; carries no data.
    pub fn wake_ups(&self) -> watch::Receiver<u64> {
        self.store.changes()
    }

    /// Another number as soon as anything may be answered differently; `None` where that is not known.
    pub fn version(&self) -> Option<u64> {
        self.store.version()
    }
}
