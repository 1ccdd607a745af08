//! Cinder snapshots; this file may not know what they are taken for.

use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access,
    call::Call,
    path::Path,
    thing::{check_idle, cinder},
    volume_group::SNAPSHOTS,
    wire::{cut, gib, nullable},
};
use crate::domain::{
    fault::{Fault, Service},
    id::{SnapshotId, Tenant, VolumeId},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const CINDER: Service = Service::BlockStorage;

/// A snapshot as Cinder shows it.
#[derive(Debug, Deserialize)]
pub(super) struct Snapshot {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    #[serde(default, deserialize_with = "gib")]
    size: u64,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    volume_id: Option<String>,
    /// Told from the microversion of group snapshots on.
    #[serde(default)]
    group_snapshot_id: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) snapshot: Snapshot,
}

impl Snapshot {
    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::Snapshot,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: self.status.to_lowercase(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: Some(self.size),
            incremental: false,
            data_timestamp: None,
            volume: self.volume_id.map(VolumeId::new),
        }
    }
}

/// Makes a snapshot. `force` is for volumes in use; from microversion 3.66 on it is no longer
/// needed, but we ask for no microversion, so that it is right everywhere.
pub(super) async fn make(
    access: &Access,
    name: &str,
    volume: &VolumeId,
    description: &str,
) -> Result<String, Fault> {
    let call = Call::post(
        CINDER,
        "snapshots",
        format!("create the snapshot {name} of the volume {volume}"),
        json!({"snapshot": {
            "volume_id": volume,
            "name": name,
            "description": cut(description),
            "force": true,
        }}),
    );
    let made = access.read::<One>(&call).await?.snapshot;
    call.tells_of(name, &made.name)?;
    Ok(made.id)
}

/// The snapshots of a tenant.
pub(super) async fn list(access: &Access, tenant: &Tenant) -> Result<Vec<Sighting>, Fault> {
    let call = cinder(access, tenant, "snapshots/detail", "list the snapshots");
    let rows: Vec<Snapshot> = access.pages_of(tenant, call, "snapshots").await?;
    Ok(rows.into_iter().map(Snapshot::sighting).collect())
}

/// The snapshots that came with a group snapshot.
pub(super) async fn of_group(
    access: &Access,
    tenant: &Tenant,
    group_snapshot: &str,
) -> Result<Vec<Sighting>, Fault> {
    let version = access.first_of(CINDER, &[SNAPSHOTS]).await?;
    let call = cinder(access, tenant, "snapshots/detail", "list the snapshots");
    let rows: Vec<Snapshot> = access
        .pages_of(tenant, call.at(version), "snapshots")
        .await?;
    Ok(rows
        .into_iter()
        .filter(|one| one.group_snapshot_id.as_deref() == Some(group_snapshot))
        .map(Snapshot::sighting)
        .collect())
}

/// Reads one snapshot of a tenant.
pub(super) async fn get(access: &Access, tenant: &Tenant, id: &str) -> Result<Sighting, Fault> {
    let call = Call::get(
        CINDER,
        Path::of("snapshots", &id),
        format!("read the snapshot {id}"),
    );
    let found: One = access.read_of(tenant, id, &call).await?;
    Ok(found.snapshot.sighting())
}

/// Gives a snapshot that somebody else asked for a name and a description.
pub(super) async fn take(
    access: &Access,
    name: &str,
    snapshot: &SnapshotId,
    description: &str,
) -> Result<(), Fault> {
    let call = Call::put(
        CINDER,
        Path::of("snapshots", &snapshot),
        format!("call the snapshot {snapshot} {name}"),
        json!({"snapshot": {"name": name, "description": cut(description)}}),
    );
    access.send(&call).await?;
    Ok(())
}

/// Gives a snapshot that a volume backup which died has left busy its status back, as an admin may. Any
/// other status is left alone, and `Busy` is the answer while a volume backup of it is being written.
pub(super) async fn free(
    access: &Access,
    tenant: &Tenant,
    snapshot: &SnapshotId,
) -> Result<(), Fault> {
    let seen = get(access, tenant, snapshot.as_str()).await?;
    if seen.status != "backing-up" {
        return Ok(());
    }
    check_idle(access, &seen).await?;
    let call = Call::post(
        CINDER,
        Path::of("snapshots", &snapshot).word("action"),
        format!("free the snapshot {snapshot}, which is {}", seen.status),
        json!({"os-reset_status": {"status": "available"}}),
    );
    access.send(&call).await?;
    Ok(())
}

/// Gives a snapshot a description.
pub(super) async fn describe(
    access: &Access,
    snapshot: &SnapshotId,
    description: &str,
) -> Result<(), Fault> {
    let call = Call::put(
        CINDER,
        Path::of("snapshots", &snapshot),
        format!("describe the snapshot {snapshot}"),
        json!({"snapshot": {"description": cut(description)}}),
    );
    access.send(&call).await?;
    Ok(())
}
