//! What a caller needs to fill in a request; it may not know how clouds are asked.

use std::collections::BTreeMap;

use super::Service;
use crate::domain::{
    error::Error,
    fault::FaultKind,
    id::{CloudName, ServerId, Tenant},
    inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
    manifest::Manifest,
    sighting::ThingKind,
};

impl Service {
    /// The configured clouds.
    pub async fn clouds_list(&self) -> Vec<CloudInfo> {
        self.cloud.clouds_list().await
    }

    /// The tenants of a cloud.
    pub async fn tenants_list(&self, cloud: &CloudName) -> Result<Vec<TenantInfo>, Error> {
        self.check_cloud("cloud", cloud)?;
        Ok(self.cloud.tenants_list(cloud).await?)
    }

    /// The instances of a tenant.
    pub async fn instances_list(&self, tenant: &Tenant) -> Result<Vec<InstanceInfo>, Error> {
        self.check_cloud("cloud", &tenant.cloud)?;
        Ok(self.cloud.instances_list(tenant).await?)
    }

    /// One instance, complete.
    pub async fn instance_get(
        &self,
        tenant: &Tenant,
        server: &ServerId,
    ) -> Result<Manifest, Error> {
        self.check_cloud("cloud", &tenant.cloud)?;
        Ok(self.cloud.instance_get(tenant, server).await?)
    }

    /// The flavors of a tenant.
    pub async fn flavors_list(&self, tenant: &Tenant) -> Result<Vec<Flavor>, Error> {
        self.check_cloud("cloud", &tenant.cloud)?;
        Ok(self.cloud.flavors_list(tenant).await?)
    }

    /// The networks of a tenant.
    pub async fn networks_list(&self, tenant: &Tenant) -> Result<Vec<Network>, Error> {
        self.check_cloud("cloud", &tenant.cloud)?;
        Ok(self.cloud.networks_list(tenant).await?)
    }

    /// The volume types of a tenant.
    pub async fn volume_types_list(&self, tenant: &Tenant) -> Result<Vec<VolumeType>, Error> {
        self.check_cloud("cloud", &tenant.cloud)?;
        Ok(self.cloud.volume_types_list(tenant).await?)
    }

    /// The clouds of these tenants that are gone as far as can be seen now, where a caller lets be forgotten
    /// what lies in one that is. One short look at each: no answer of any kind counts as gone, and so does a
    /// cloud that is not configured any more; whatever a cloud answers shows that it is there.
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
            let look = self.cloud.things_list(tenant, ThingKind::VolumeBackup);
            let is_missing = match tokio::time::timeout(self.limits.peek, look).await {
                Ok(Ok(_)) => false,
                Ok(Err(fault)) => {
                    matches!(fault.kind, FaultKind::Unreachable | FaultKind::Unconfigured)
                        || fault.kind == FaultKind::Unanswered && fault.status.is_none()
                }
                Err(_) => true,
            };
            if is_missing {
                missing.push(cloud.clone());
            }
        }
        missing
    }

    /// A cloud must be one of the configuration.
    pub(super) fn check_cloud(&self, field: &str, cloud: &CloudName) -> Result<(), Error> {
        let names = self.cloud.cloud_names();
        if names.contains(cloud) {
            return Ok(());
        }
        let known: Vec<&str> = names.iter().map(CloudName::as_str).collect();
        Err(Error::field(
            field,
            format!(
                "`{cloud}` is not a configured cloud; there are: {}",
                known.join(", ")
            ),
        ))
    }
}
