//! Which of the followed resources have news, found out once for all who follow; it may not know what
//! the news are.
//!
//! Everybody who follows is woken by every commit, and most commits are about something else. The first
//! to come asks the store what has changed, and the others read the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{EventSource, present_position};
use crate::domain::{error::Error, id::ResourceId};

/// Changes that are read at once.
const READ_AT_ONCE: u32 = 1024;

/// What is followed, and what has changed of it.
#[derive(Debug, Default)]
pub(super) struct ChangeFeed {
    followed: Mutex<Followed>,
    /// Changes up to here were read; held by the one who reads on.
    position: tokio::sync::Mutex<Option<u64>>,
}

#[derive(Debug, Default)]
struct Followed {
    /// Everything is known that was written before this wake-up.
    heard: u64,
    resources: HashMap<ResourceId, Resource>,
}

#[derive(Debug, Default)]
struct Resource {
    followers: usize,
    /// How often it changed while it was followed, or may have.
    changes: u64,
}

/// One who follows a resource, until it is dropped.
#[derive(Debug)]
pub(super) struct Follow {
    feed: Arc<ChangeFeed>,
    resource: ResourceId,
    /// The changes that it knows of.
    known: u64,
}

impl ChangeFeed {
    /// Follows a resource from now on: what is read after this, and whatever is told as news, is all
    /// there is.
    pub(super) fn follow(self: &Arc<Self>, resource: ResourceId) -> Follow {
        let mut followed = self.followed();
        let entry = followed.resources.entry(resource).or_default();
        entry.followers += 1;
        Follow {
            known: entry.changes,
            feed: Arc::clone(self),
            resource,
        }
    }

    /// Reads what has changed before the wake-up `woken`, unless somebody did.
    async fn hear(&self, source: &dyn EventSource, woken: u64) -> Result<(), Error> {
        if self.followed().heard >= woken {
            return Ok(());
        }
        let mut position = self.position.lock().await;
        if self.followed().heard >= woken {
            return Ok(());
        }
        let mut behind = if let Some(position) = *position {
            position
        } else {
            let present = present_position(source, 0).await?;
            // Whatever came before is news to those who were there.
            let mut followed = self.followed();
            for resource in followed.resources.values_mut() {
                resource.changes += 1;
            }
            present
        };
        *position = Some(behind);
        loop {
            let (changed, next) = source.changed_after(behind, READ_AT_ONCE).await?;
            let mut followed = self.followed();
            for one in changed {
                if let Some(resource) = followed.resources.get_mut(&one) {
                    resource.changes += 1;
                }
            }
            if next == behind {
                followed.heard = followed.heard.max(woken);
                return Ok(());
            }
            behind = next;
            *position = Some(behind);
        }
    }

    fn followed(&self) -> MutexGuard<'_, Followed> {
        // Counts have no invariant that a panic elsewhere could break half-way.
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Follow {
    /// Whether there are news of the resource since the last answer, as of the wake-up `woken`.
    pub(super) async fn has_news(
        &mut self,
        source: &dyn EventSource,
        woken: u64,
    ) -> Result<bool, Error> {
        self.feed.hear(source, woken).await?;
        let followed = self.feed.followed();
        let resource = followed.resources.get(&self.resource);
        let changes = resource.map_or(self.known, |resource| resource.changes);
        Ok(std::mem::replace(&mut self.known, changes) != changes)
    }
}

impl Drop for Follow {
    fn drop(&mut self) {
        let mut followed = self.feed.followed();
        if let Some(resource) = followed.resources.get_mut(&self.resource) {
            resource.followers -= 1;
            if resource.followers == 0 {
                followed.resources.remove(&self.resource);
            }
        }
    }
}
