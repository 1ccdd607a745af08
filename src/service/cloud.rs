//! What a caller needs to fill in a request; it may not know how clouds are asked.

use std::collections::BTreeMap;

use super::Service;
use crate::domain::{
    error::Error,
    id::{CloudName, ServerId, Tenant},
    inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
    manifest::Manifest,
    sighting::ThingKind,
};

/// So many looks at a cloud that answers nothing show that it is gone.
const LOOKS_BEFORE_GONE: u32 = 4;

impl Service {
    /// The configured clouds.
    pub async fn clouds_list(&self) -> Vec<CloudInfo> {
        self.gate.clouds().await
    }

    /// The names of the configured clouds.
    pub fn cloud_names(&self) -> Vec<CloudName> {
        self.gate.cloud_names()
    }

    /// The tenants of a cloud.
    pub async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Error> {
        self.gate.tenants(cloud).await
    }

    /// The instances of a tenant.
    pub async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Error> {
        let inside = self.gate.enter(tenant).await?;
        inside.instances().await
    }

    /// One instance, complete.
    pub async fn instance_get(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Manifest, Error> {
        let inside = self.gate.enter(tenant).await?;
        inside.instance(server).await
    }

    /// The flavors of a tenant.
    pub async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Error> {
        let inside = self.gate.enter(tenant).await?;
        inside.flavors().await
    }

    /// The networks of a tenant.
    pub async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Error> {
        let inside = self.gate.enter(tenant).await?;
        inside.networks().await
    }

    /// The volume types of a tenant.
    pub async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Error> {
        let inside = self.gate.enter(tenant).await?;
        inside.volume_types().await
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
