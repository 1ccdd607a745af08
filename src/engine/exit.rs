//! Why the task of a lane ends, or begins anew; it may not know what the lane did.

use crate::{domain::id::Tenant, port::journal::JournalError};

/// Why the task of a lane ends, or begins anew.
pub(super) enum LaneExit {
    /// The lane is not ours any more, or the engine stops.
    End,
    /// The store failed or the lease ended: what is in memory is worth nothing.
    Reload,
}

impl LaneExit {
    /// What to do after the store failed.
    pub(super) fn after(tenant: &Tenant, error: &JournalError) -> Self {
        match error {
            JournalError::Fenced(_) => {
                tracing::info!(%tenant, "the lane has another owner; nothing was written");
                Self::End
            }
            JournalError::Outdated(_)
            | JournalError::Unavailable(_)
            | JournalError::Unreadable(_)
            | JournalError::Defect(_) => {
                tracing::warn!(%tenant, %error, "the store failed; the lane is loaded anew");
                Self::Reload
            }
        }
    }
}
