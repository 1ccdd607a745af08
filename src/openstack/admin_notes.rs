//! Takes note of each call of an admin before it leaves; this file may not know who keeps it, or what calls are
//! for.

use std::sync::{Arc, OnceLock};

use http::Method;

use super::{admin::AdminUse, call::Call};
use crate::{
    domain::{
        fault::{Fault, FaultKind, Service},
        id::{CloudName, ProjectId, Tenant},
    },
    port::audit::{AdminCall, AdminUses},
};

/// Who hears of the calls of admins, once that is known: before the store is open nobody makes any.
#[derive(Clone, Default)]
pub(super) struct Listener(Arc<OnceLock<Arc<dyn AdminUses>>>);

impl Listener {
    /// From now on this one hears of them.
    pub(super) fn set(&self, uses: Arc<dyn AdminUses>) {
        // There is one for the life of the process: a second one is a mistake of the caller without effect.
        let _first_stays = self.0.set(uses);
    }
}

/// What makes a call one of an admin.
#[derive(Clone)]
pub(super) struct AdminNotes {
    cloud: CloudName,
    listener: Listener,
    admin_use: AdminUse,
}

impl AdminNotes {
    pub(super) fn new(cloud: &CloudName, listener: &Listener, admin_use: AdminUse) -> Self {
        Self {
            cloud: cloud.clone(),
            listener: listener.clone(),
            admin_use,
        }
    }

    /// Notes a call for a project. Where that fails nothing was sent, and nothing may be.
    pub(super) async fn note(
        &self,
        project: &ProjectId,
        service: Service,
        method: &Method,
        action: &str,
    ) -> Result<(), Fault> {
        let Some(uses) = self.listener.0.get() else {
            return Ok(());
        };
        let tenant = Tenant {
            cloud: self.cloud.clone(),
            project: project.clone(),
        };
        let call = AdminCall {
            tenant,
            purpose: self.admin_use.name(),
            service,
            method: method.to_string(),
            action: action.to_owned(),
            reads: *method == Method::GET,
        };
        uses.admin_used(call).await.map_err(|error| {
            let why = format!("not sent: the use of the admin credential cannot be noted: {error}");
            Fault::new(FaultKind::Unreachable, service, action, why)
        })
    }

    /// Notes a call that is put together.
    pub(super) async fn note_call(&self, project: &ProjectId, call: &Call) -> Result<(), Fault> {
        self.note(project, call.service, &call.method, &call.action)
            .await
    }
}
