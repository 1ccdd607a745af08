//! The end of an operation, as the log and the metrics tell it; it may not know how it came about.

use std::time::Duration;

use tracing::{info, warn};

use super::meter::{Ended, Meter};
use crate::{
    domain::{
        decision::Ending,
        error::OperationError,
        id::{OperationId, ResourceId, Tenant},
        operation::Operation,
        time::Timestamp,
    },
    port::journal::Turn,
};

/// An operation that came to its end.
#[derive(Debug)]
pub(super) struct End {
    pub(super) operation: OperationId,
    resource: ResourceId,
    tenant: Tenant,
    kind: &'static str,
    ended: Ended,
    /// Why it gave up, where it did.
    error: Option<OperationError>,
    /// How long after its admission.
    after: Duration,
}

impl End {
    /// The end that a turn brings an operation to, where it does.
    pub(super) fn of(turn: &Turn, operation: &Operation, time: Timestamp) -> Option<Self> {
        let error = match &turn.ending {
            Ending::Open | Ending::Done => None,
            Ending::Erred(error) => Some(error.clone()),
        };
        Some(Self {
            operation: operation.id,
            resource: operation.resource,
            tenant: operation.tenant.clone(),
            kind: operation.ask.name(),
            ended: Ended::of(&turn.ending)?,
            error,
            after: time.since(operation.created),
        })
    }

    /// Says so, once it is written.
    pub(super) fn tell(self, meter: &Meter) {
        let Self {
            operation,
            resource,
            tenant,
            kind,
            ended,
            error,
            after,
        } = self;
        let Tenant { cloud, project } = &tenant;
        let (outcome, seconds) = (ended.name(), after.as_secs_f64());
        meter.count(cloud, kind, ended, after);
        let reason = error.as_ref().map(|error| error.reason.as_str());
        let problem = error.as_ref().map(|error| error.message.as_str());
        // By it the service that refused has the call in its own log.
        let request_id = error.as_ref().and_then(|error| error.request_id.as_deref());
        match ended {
            Ended::Done | Ended::Cancelled => {
                info!(%operation, kind, %resource, %cloud, tenant = %project, seconds, outcome, reason, "an operation ended");
            }
            Ended::Erred => {
                warn!(%operation, kind, %resource, %cloud, tenant = %project, seconds, outcome, reason, problem, request_id, "an operation ended");
            }
        }
    }
}
