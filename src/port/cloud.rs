//! What the core asks of OpenStack; it may not know HTTP, tokens or microversions.
//!
//! One value serves all clouds of the configuration: every method names its cloud or tenant.
//! No method repeats a request by itself, except that it logs in again once after a 401, and that
//! reads may be repeated once on a fresh connection when a kept-alive one was closed under them.
//! Each has a deadline of its own and ends in a [`Fault`] when it passes.

use async_trait::async_trait;

use crate::domain::{
    effect::{Fact, Request},
    fault::{Fault, FaultKind},
    id::{CloudName, ServerId, Tenant},
    inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
    manifest::Manifest,
    sighting::{Sighting, Thing, ThingKind},
};

/// What a cloud answered to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The id of what was made or imported.
    pub cloud_id: Option<String>,
    /// Whether it is ready already; otherwise a list will tell.
    pub ready: bool,
    /// What it brought to light.
    pub fact: Option<Fact>,
}

impl Answer {
    /// What the answer to a deletion means for the one who asked for it.
    pub fn of_deletion(thing: &Thing, answer: Result<(), Fault>) -> Result<Self, Fault> {
        let there = match answer {
            Ok(()) => true,
            Err(fault) if fault.kind == FaultKind::NotFound => false,
            Err(fault) => return Err(fault),
        };
        Ok(Self {
            cloud_id: None,
            // Of what takes its time, or was not there, only a list proves that it is gone.
            ready: there && thing.kind.goes_at_once(),
            fact: None,
        })
    }
}

/// The clouds of the configuration.
#[async_trait]
pub trait Cloud: Send + Sync {
    /// Does what `request` asks, in `tenant`; what is made carries `name`.
    ///
    /// Not to be repeated blindly: after a fault that [may have happened](Fault::may_have_happened)
    /// the caller looks for `name` in a list that started later. `Apply`, `Read`, `AcceptTransfer` and
    /// `RestoreInto` are harmless to repeat.
    ///
    /// Faults worth knowing: a record that is live already is `Conflict`; a volume backup that is
    /// being restored or a volume that is not available yet is `Busy`; Cinder's 404 because a
    /// service is down is `ServiceDown`; 413 of Cinder, 403 of Nova and 409 of Neutron about quota
    /// are `Quota`. A status is reset only where a service's death left it behind, and after a look at
    /// who uses the thing: else it is `Held` or `Busy`. A `Drop` is a deletion with nothing of ours beside.
    /// `Read::Record`, `Import`, `Apply::ErrorStatus`, `Apply::ResetBackupStatus`,
    /// `Apply::SnapshotFreed` and a restore out of another project go through the cloud's admin entry and
    /// are `Forbidden` or `Unconfigured` without the right. A server is made with `name` as an additional
    /// tag and keeps the name of its plan.
    async fn request_perform(
        &self,
        tenant: &Tenant,
        name: &str,
        request: &Request,
    ) -> Result<Answer, Fault>;

    /// Asks for the deletion of a thing that nobody uses besides `ours`, which go together with it or
    /// have gone before. Who uses it is read in the same call, right before the deletion is sent: what
    /// somebody else uses, a locked server, and a server with which Nova would delete a volume that is
    /// none of `ours`, stay, and the answer is `Held` and names the holder.
    ///
    /// Harmless to repeat. A thing that is not there is `NotFound`,
    /// but only a later list proves that it is gone: the id may be wrong, and a 404 may come from
    /// something in between. `Busy` while its status forbids it. A volume that we
    /// offered to another project goes together with the offer.
    async fn thing_delete(
        &self,
        tenant: &Tenant,
        thing: &Thing,
        ours: &[Thing],
    ) -> Result<(), Fault>;

    /// All things of a kind in a tenant, every page. Harmless to repeat. A project that no tenant
    /// entry reaches is listed through the admin entry.
    async fn things_list(&self, tenant: &Tenant, kind: ThingKind) -> Result<Vec<Sighting>, Fault>;

    /// One thing, or nothing when the service itself says that it is not there.
    async fn thing_get(&self, tenant: &Tenant, thing: &Thing) -> Result<Option<Sighting>, Fault>;

    /// The clouds of the configuration, each with a word on whether it answers.
    async fn clouds_list(&self) -> Vec<CloudInfo>;

    /// The names of the configured clouds, without asking any of them.
    fn cloud_names(&self) -> Vec<CloudName>;

    /// The projects that the credentials of a cloud can be scoped to.
    async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Fault>;

    /// Whether a credential of the configuration can be scoped to a tenant. What is known of it is answered
    /// without asking the cloud, for some minutes.
    async fn tenant_reached(&self, tenant: &Tenant) -> Result<bool, Fault>;

    /// The instances of a tenant.
    async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Fault>;

    /// Everything about an instance; `NotFound` for one of another tenant, whoever may see it.
    async fn instance_get(&self, tenant: &Tenant, server: &ServerId) -> Result<Manifest, Fault>;

    /// One short read: the instance as a list shows it, or `NotFound`, as for one of another tenant.
    async fn instance_peek(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<InstanceInfo, Fault>;

    /// The flavors that a tenant may use.
    async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Fault>;

    /// The networks that a tenant may use.
    async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Fault>;

    /// The volume types that a tenant may use.
    async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Fault>;
}
