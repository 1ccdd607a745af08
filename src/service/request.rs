//! Whether a request is acceptable and whether it is the same one again; it may not know transports.

use std::time::Duration;

use super::{Service, fields::Fields};
use crate::{
    domain::{
        error::{Error, ErrorKind},
        id::{OperationId, ResourceId, Tenant},
        lifecycle::State,
        operation::{Ask, Operation},
    },
    port::store::Admitted,
};

impl Service {
    /// Notes words that are too long.
    pub(super) fn check_words(
        &self,
        check: &mut Fields<'_>,
        name: Option<&str>,
        description: Option<&str>,
    ) {
        let limits = self.limits();
        for (field, text, most) in [
            ("name", name, limits.name_characters),
            ("description", description, limits.description_characters),
        ] {
            if let Some(text) = text {
                check.at_most(field, text, most);
            }
        }
    }

    /// A new operation, with the state of its resource as it will be written with it. `seen` is how
    /// long a GiB took the last time, where there was one.
    pub(super) fn operation(
        &self,
        resource: ResourceId,
        tenant: Tenant,
        ask: Ask,
        resource_state: State,
        time_limit: Option<Duration>,
        seen: Option<Duration>,
    ) -> Operation {
        let slowest = seen
            .unwrap_or_default()
            .saturating_mul(self.limits().deadline_factor);
        let created = self.clock.now();
        Operation {
            id: OperationId(self.clock.new_id()),
            resource,
            tenant,
            ask,
            resource_state,
            created,
            deadline: created.after(time_limit.unwrap_or(self.limits().operation_deadline)),
            deadline_fixed: time_limit.is_some(),
            per_gib: slowest.max(self.limits().deadline_per_gib),
            cancelled: None,
            cancel_keeps_volumes: false,
            idle: Duration::ZERO,
            attended: created,
        }
    }
}

/// The resource behind an admission, be it new or a repeat.
pub(super) fn answer<T>(admitted: Admitted<T>) -> T {
    match admitted {
        Admitted::New(resource) | Admitted::Before(resource) => resource,
    }
}

/// The etag of a revision.
pub fn etag(revision: i64) -> String {
    format!("\"{revision}\"")
}

/// The etag must be empty or that of the revision.
pub(super) fn check_etag(given: &str, revision: i64, what: &str) -> Result<(), Error> {
    if given.is_empty() || given == etag(revision) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Outdated,
        format!("{what} has etag {}, not {given}", etag(revision)),
    )
    .advise("read it again and decide anew"))
}

/// The refusal of a cancel when nothing is under way.
pub(super) fn nothing_to_cancel(resource: &ResourceId, state: State) -> Error {
    Error::precondition(
        "NOTHING_TO_CANCEL",
        format!("{resource} is {}: nothing is under way", state.name()),
    )
    .advise("cancel only what is scheduled or running")
}
