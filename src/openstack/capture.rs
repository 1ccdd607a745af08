//! What is asked for when an instance is captured: snapshots, and what brings them; this file may not know
//! how any one of them is asked for.

use super::{
    accepted, access::Access, done, fact, not_of_a_tenant, server_image, server_state, snapshot,
    volume_group,
};
use crate::{
    domain::{
        effect::{Fact, Request},
        fault::Fault,
        id::Tenant,
        sighting::ThingKind,
    },
    port::cloud::Answer,
};

/// Does what `request` asks.
pub(super) async fn perform(
    access: &Access,
    tenant: &Tenant,
    name: &str,
    request: &Request,
) -> Result<Answer, Fault> {
    match request {
        Request::MakeSnapshot {
            volume,
            description,
        } => snapshot::make(access, name, volume, description)
            .await
            .map(accepted),
        Request::TakeSnapshot {
            snapshot,
            description,
        } => {
            snapshot::take(access, name, snapshot, description).await?;
            Ok(accepted(snapshot.as_str().to_owned()))
        }
        Request::MakeImage { server } => {
            server_image::make(access, name, server).await.map(accepted)
        }
        Request::MakeGroupSnapshot { group, description } => {
            let id = volume_group::snapshot(access, name, group, description);
            id.await.map(accepted)
        }
        Request::ReadServerState { server } => {
            let state = server_state::read(access, tenant, server).await?;
            Ok(fact(Fact::Server(Box::new(state))))
        }
        Request::ApplySnapshotsGone { image } => {
            server_image::sweep(access, tenant, image).await.map(done)
        }
        Request::ReadCaptured { thing, server } => {
            let read = if thing.kind == ThingKind::GroupSnapshot {
                volume_group::captured(access, tenant, &thing.id).await
            } else {
                server_image::captured(access, tenant, &thing.id, server).await
            };
            read.map(fact)
        }
        Request::ApplySnapshot {
            snapshot,
            description,
        } => snapshot::describe(access, snapshot, description)
            .await
            .map(done),
        Request::MakeVolumeBackup { .. }
        | Request::MakeVolume { .. }
        | Request::AcceptTransfer { .. }
        | Request::MakeSecurityGroup { .. }
        | Request::MakeKeyPair { .. }
        | Request::MakePort { .. }
        | Request::MakeTrunk { .. }
        | Request::MakeServer(_)
        | Request::ImportRecord { .. }
        | Request::RestoreVolumeBackup { .. }
        | Request::ApplyBootable { .. }
        | Request::ApplyDeleteOnTermination { .. }
        | Request::ApplyVolume { .. }
        | Request::ApplySecurityGroupRules { .. }
        | Request::ApplySecurityGroupName { .. }
        | Request::ApplyPortName { .. }
        | Request::ApplyPortSetting { .. }
        | Request::ApplyTrunk { .. }
        | Request::ApplyServerSetting { .. }
        | Request::ApplyServerTags { .. }
        | Request::ApplyVolumeBackup { .. }
        | Request::ApplyErrorStatus { .. }
        | Request::ResetBackupStatus { .. }
        | Request::ApplySnapshotFreed { .. }
        | Request::ReadInstance { .. }
        | Request::ReadParents { .. }
        | Request::ReadRecord { .. }
        | Request::ReadInventory
        | Request::ReadAllowance { .. }
        | Request::ReadPresence { .. }
        | Request::Drop { .. } => Err(not_of_a_tenant()),
    }
}
