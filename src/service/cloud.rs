//! What a caller needs to fill in a request; it may not know how clouds are asked.

use std::collections::BTreeMap;

use super::{Service, acting::Acting};
use crate::domain::{
    action::Action,
    error::Error,
    id::{CloudName, ServerId, Tenant},
    inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
    manifest::Manifest,
    sighting::ThingKind,
};

/// So many looks at a cloud that answers nothing show that it is gone.
const LOOKS_BEFORE_GONE: u32 = 4;

impl Acting {
    /// The configured clouds in which the caller may do anything; how they are reached, and what is wrong
    /// with them, is for those who may do it in all of their tenants.
    pub async fn clouds_list(&self) -> Vec<CloudInfo> {
        let grants = self.caller().grants();
        let mut clouds = self.service.gate.clouds().await;
        clouds.retain(|cloud| grants.touch(&cloud.name));
        for cloud in &mut clouds {
            if grants.in_cloud(&cloud.name).is_none() {
                cloud.trim();
            }
        }
        clouds
    }

    /// The tenants of a cloud that the caller may look into.
    pub async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Error> {
        self.may_touch(cloud)?;
        let mut tenants = self.service.gate.tenants(cloud).await?;
        tenants.retain(|one| self.allows(Action::ReadTenant, &one.tenant));
        Ok(tenants)
    }

    /// The instances of a tenant.
    pub async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Error> {
        self.may_in(Action::ReadTenant, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        inside.instances().await
    }

    /// One instance, complete.
    pub async fn instance_get(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Manifest, Error> {
        self.may_in(Action::ReadTenant, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        inside.instance(server).await
    }

    /// The flavors of a tenant.
    pub async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Error> {
        self.may_in(Action::ReadTenant, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        inside.flavors().await
    }

    /// The networks of a tenant.
    pub async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Error> {
        self.may_in(Action::ReadTenant, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        inside.networks().await
    }

    /// The volume types of a tenant.
    pub async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Error> {
        self.may_in(Action::ReadTenant, tenant)?;
        let inside = self.service.gate.enter(tenant).await?;
        inside.volume_types().await
    }
}

impl Service {
    /// The names of the configured clouds.
    pub fn cloud_names(&self) -> Vec<CloudName> {
        self.gate.cloud_names()
    }

    /// The clouds of these tenants that are gone as far as can be seen now, where a caller lets be forgotten
    /// what lies in one that is. Some short looks at each: no answer of any kind to any of them counts as
    /// gone, and so does a cloud that is not configured any more; whatever a cloud answers shows that it is
    /// there. One look is not enough: a connection breaks off, and what is forgotten for that is lost. Whoever
    /// carries it out looks once more, because that may be long after this.
    pub(super) async fn missing_clouds<'t>(
        &self,
        allowed: bool,
        tenants: impl IntoIterator<Item = &'t Tenant>,
    ) -> Vec<CloudName> {
        let mut missing = Vec::new();
        if !allowed {
            return missing;
        }
        let places: BTreeMap<&CloudName, &Tenant> = tenants
            .into_iter()
            .map(|tenant| (&tenant.cloud, tenant))
            .collect();
        for (cloud, tenant) in places {
            let mut looks = 1;
            while self.answers_nothing(tenant).await {
                if looks == LOOKS_BEFORE_GONE {
                    missing.push(cloud.clone());
                    break;
                }
                looks += 1;
                tokio::time::sleep(self.limits().peek / 5).await;
            }
        }
        missing
    }

    /// Whether a cloud says nothing at all to one short look.
    async fn answers_nothing(&self, tenant: &Tenant) -> bool {
        let inside = self.gate.ours(tenant);
        let look = inside.things(ThingKind::VolumeBackup);
        match tokio::time::timeout(self.limits().peek, look).await {
            Ok(Ok(_)) => false,
            Ok(Err(fault)) => fault.is_silence(),
            Err(_) => true,
        }
    }
}
