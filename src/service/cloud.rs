//! What a caller needs to fill in a request; it may not know how clouds are asked.

use super::Service;
use crate::domain::{
    error::Error,
    id::{CloudName, ServerId, Tenant},
    inventory::{CloudInfo, Flavor, InstanceInfo, Network, TenantInfo, VolumeType},
    manifest::Manifest,
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
