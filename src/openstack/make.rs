//! What is made in a tenant, given to the noun that makes it; this file may not know how any one of them is
//! asked for.

use super::{
    Clouds, accepted, key_pair, port, ready, security_group, server, server_image, snapshot,
    transfer, trunk, volume, volume_backup, volume_group,
};
use crate::{
    domain::{
        effect::{Fact, Make},
        fault::Fault,
        id::Tenant,
    },
    port::cloud::Answer,
};

impl Clouds {
    /// Makes a thing of this name.
    pub(super) async fn make(
        &self,
        tenant: &Tenant,
        name: &str,
        make: &Make,
    ) -> Result<Answer, Fault> {
        let access = &self.access(tenant).await?;
        match make {
            Make::Snapshot {
                volume,
                description,
            } => snapshot::make(access, name, volume, description)
                .await
                .map(accepted),
            Make::TakeSnapshot {
                snapshot,
                description,
            } => {
                snapshot::take(access, name, snapshot, description).await?;
                Ok(accepted(snapshot.as_str().to_owned()))
            }
            Make::Image { server } => server_image::make(access, name, server).await.map(accepted),
            Make::GroupSnapshot { group, description } => {
                let id = volume_group::snapshot(access, name, group, description);
                id.await.map(accepted)
            }
            Make::VolumeBackup {
                volume,
                snapshot,
                description,
                incremental,
            } => {
                let from = snapshot.as_ref();
                let id = volume_backup::make(access, name, volume, from, description, *incremental);
                id.await.map(accepted)
            }
            Make::Volume(wish) => volume::make(access, name, wish).await.map(accepted),
            Make::AcceptTransfer { volume, from } => {
                let donor = self.sessions(&tenant.cloud)?.tenant(from).await?;
                transfer::accept(&donor, access, volume, name).await?;
                Ok(accepted(volume.as_str().to_owned()))
            }
            Make::SecurityGroup {
                description,
                stateful,
            } => security_group::make(access, name, description, *stateful)
                .await
                .map(ready),
            Make::KeyPair {
                name,
                public_key,
                kind,
            } => key_pair::make(access, name, public_key, kind.as_deref())
                .await
                .map(ready),
            Make::Port(wish) => {
                let (id, addresses) = port::make(access, name, wish).await?;
                let fact = Some(Fact::Port(addresses));
                Ok(Answer { fact, ..ready(id) })
            }
            Make::Trunk(wish) => trunk::make(access, name, wish).await.map(ready),
            Make::Server(plan) => server::make(access, name, plan).await.map(accepted),
        }
    }
}
