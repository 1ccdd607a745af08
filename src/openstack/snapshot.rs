//! Cinder snapshots; this file may not know what they are taken for.

use serde::Deserialize;
use serde_json::json;

use super::{
    access::{Access, Call},
    wire::{cut, nullable},
};
use crate::domain::{
    fault::{Fault, Service},
    id::{SnapshotId, VolumeId},
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
    #[serde(default)]
    size: u64,
    #[serde(default)]
    created_at: Option<String>,
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
            volume: None,
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

/// Gives a snapshot a description.
pub(super) async fn describe(
    access: &Access,
    snapshot: &SnapshotId,
    description: &str,
) -> Result<(), Fault> {
    let call = Call::put(
        CINDER,
        format!("snapshots/{snapshot}"),
        format!("describe the snapshot {snapshot}"),
        json!({"snapshot": {"description": cut(description)}}),
    );
    access.send(&call).await?;
    Ok(())
}
