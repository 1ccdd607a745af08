//! Enters the uses of admin credentials in the audit: what changes something call by call, before it is sent,
//! what only reads by the minute; it may not know clouds.

use std::{
    collections::BTreeMap,
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    domain::{
        audit::{Note, Object, What, Who},
        id::Tenant,
    },
    port::{
        audit::{AdminCall, AdminUses},
        clock::Clock,
        store::{Store, StoreError},
    },
};

/// So long calls that read are counted together. Those of the last one are lost with a process that is killed.
const TOGETHER: Duration = Duration::from_secs(60);

/// The calls that read since they were entered last, by the tenant, the purpose, the service and the method: the
/// first of them, and how many.
type Reads = BTreeMap<(Tenant, &'static str, &'static str, String), (AdminCall, u64)>;

/// Who enters them.
pub struct AdminUseRecorder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    reads: Mutex<Reads>,
}

impl AdminUseRecorder {
    /// One that enters them in this store.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            reads: Mutex::default(),
        }
    }

    /// Enters by the minute what was only read, until `stop`, and then what is left.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            let stopped = stop.run_until_cancelled(sleep(TOGETHER)).await.is_none();
            if let Err(error) = self.enter_reads().await {
                warn!(%error, "calls of admins could not be entered in the audit; it is tried again later");
            }
            if stopped {
                return;
            }
        }
    }

    /// Enters what was only read so far; what could not be entered is kept.
    pub async fn enter_reads(&self) -> Result<(), StoreError> {
        let reads = mem::take(&mut *self.reads.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failure = None;
        for (_, (call, calls)) in reads {
            if failure.is_none() {
                match self.enter(call.clone(), calls).await {
                    Ok(()) => continue,
                    Err(error) => failure = Some(error),
                }
            }
            self.count(call, calls);
        }
        failure.map_or(Ok(()), Err)
    }

    async fn enter(&self, call: AdminCall, calls: u64) -> Result<(), StoreError> {
        let note = Note {
            time: self.clock.now(),
            what: What::AdminUsed {
                purpose: call.purpose,
                service: call.service.project(),
                method: call.method,
                action: call.action,
                calls,
            },
            who: Who::internal("openstack"),
            object: Object::of("tenant", &call.tenant),
        };
        self.store.audit_note(note).await
    }

    fn count(&self, call: AdminCall, calls: u64) {
        let mut reads = self.reads.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (
            call.tenant.clone(),
            call.purpose,
            call.service.project(),
            call.method.clone(),
        );
        reads.entry(key).or_insert((call, 0)).1 += calls;
    }
}

#[async_trait]
impl AdminUses for AdminUseRecorder {
    async fn admin_used(&self, call: AdminCall) -> Result<(), StoreError> {
        if call.reads {
            self.count(call, 1);
            return Ok(());
        }
        self.enter(call, 1).await
    }
}
