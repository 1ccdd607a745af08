//! What the admin entry of a cloud is used for, and what a tenant's own entry may do so that no admin is
//! needed; this file may not know how any of it is asked for.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use crate::{
    domain::{fault::Fault, id::ProjectId, inventory::Right, time::Timestamp},
    port::clock::Clock,
};

/// What the admin entry is used for. Everything else is done with an entry that acts for tenants; Keystone
/// alone is asked by each entry for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AdminUse {
    /// Records are exported.
    Export,
    /// Records are looked for in all projects of the cloud, imported, and restored from where they are.
    Import,
    /// What is stuck gets another status, after a look at who works with it.
    Reset,
    /// What only an admin is shown of an instance: its user data and root device, the key pair of another
    /// user, and what its group of volumes promises.
    Instance,
}

impl AdminUse {
    /// As the audit tells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Export => "export",
            Self::Import => "import",
            Self::Reset => "reset",
            Self::Instance => "instance",
        }
    }
}

/// What a policy may let a tenant's own entry do; by default it lets only admins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum OwnRight {
    /// Export records.
    Export,
    /// Import records.
    Import,
}

/// One answer, and when it was given. Its lock is held while asking, so that many at once ask once.
type Slot = Arc<tokio::sync::Mutex<Option<(Timestamp, Right)>>>;

/// What the tenants of one cloud were seen to be allowed, believed for a while.
pub(super) struct OwnRights {
    believed: Duration,
    clock: Arc<dyn Clock>,
    seen: Mutex<HashMap<(ProjectId, OwnRight), Slot>>,
}

impl OwnRights {
    pub(super) fn new(believed: Duration, clock: Arc<dyn Clock>) -> Self {
        Self {
            believed,
            clock,
            seen: Mutex::default(),
        }
    }

    /// Whether the tenant's own entry may do it; `ask` sees, and is not believed for longer where it could not
    /// tell.
    pub(super) async fn of(
        &self,
        project: &ProjectId,
        right: OwnRight,
        ask: impl Future<Output = Result<Right, Fault>>,
    ) -> Result<Right, Fault> {
        let slot = self.slot(project, right);
        let mut known = slot.lock().await;
        let now = self.clock.now();
        if let Some((seen, right)) = known.as_ref()
            && now.since(*seen) < self.believed
        {
            return Ok(right.clone());
        }
        let right = ask.await?;
        *known = match right {
            Right::Unknown => None,
            Right::Granted | Right::Refused(_) => Some((now, right.clone())),
        };
        Ok(right)
    }

    /// Believes a refusal, whatever was seen before.
    pub(super) async fn refuse(&self, project: &ProjectId, right: OwnRight, fault: &Fault) {
        let slot = self.slot(project, right);
        let refused = Right::Refused(fault.to_string());
        *slot.lock().await = Some((self.clock.now(), refused));
    }

    fn slot(&self, project: &ProjectId, right: OwnRight) -> Slot {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(seen.entry((project.clone(), right)).or_default())
    }
}
