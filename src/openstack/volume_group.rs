//! Volume groups of Cinder and their snapshots; this file may not know which instance uses one.

use serde::Deserialize;
use serde_json::json;

use super::{
    access::Access,
    call::Call,
    instance::AdminView,
    network::is_refusal,
    path::Path,
    snapshot,
    version::Microversion,
    volume::Volume,
    wire::{cut, nullable, properties},
};
use crate::domain::{
    effect::Captured,
    fault::{Fault, FaultKind, Service},
    id::{GroupId, Tenant},
    manifest::{Properties, VolumeGroupFacts},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const CINDER: Service = Service::BlockStorage;

/// From here on there are groups.
const GROUPS: Microversion = Microversion(3, 13);
/// From here on there are snapshots of groups.
pub(super) const SNAPSHOTS: Microversion = Microversion(3, 14);
/// From here on they tell their project.
pub(super) const PROJECT: Microversion = Microversion(3, 58);
/// From here on an admin may give one another status.
pub(super) const RESET: Microversion = Microversion(3, 19);
/// From here on a list of these has pages, and an admin sees those of another project; before, all of
/// one's own come in one answer.
const PAGES: Microversion = Microversion(3, 29);
/// What the type of a group says when its snapshots are of one moment, and a pool when its driver makes
/// such.
const CONSISTENT: &str = "consistent_group_snapshot_enabled";

#[derive(Deserialize)]
struct OneGroup {
    group: Group,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default, deserialize_with = "nullable")]
    group_type: String,
}

#[derive(Deserialize)]
struct OneType {
    group_type: GroupType,
}

#[derive(Deserialize)]
struct GroupType {
    /// Missing where the policy does not show them.
    #[serde(default, deserialize_with = "properties")]
    group_specs: Properties,
}

#[derive(Deserialize)]
struct OnePooled {
    volume: Pooled,
}

/// Where a volume is.
#[derive(Deserialize)]
struct Pooled {
    /// Only an admin is shown it.
    #[serde(default, rename = "os-vol-host-attr:host")]
    pool: Option<String>,
}

#[derive(Deserialize)]
struct Pools {
    pools: Vec<Pool>,
}

#[derive(Deserialize)]
struct Pool {
    name: String,
    #[serde(default, deserialize_with = "properties")]
    capabilities: Properties,
}

/// A group snapshot as Cinder shows it.
#[derive(Debug, Deserialize)]
pub(super) struct GroupSnapshot {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    #[serde(default)]
    created_at: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) group_snapshot: GroupSnapshot,
}

impl GroupSnapshot {
    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::GroupSnapshot,
                id: self.id,
            },
            name: self.name,
            tags: Vec::new(),
            status: self.status.to_lowercase(),
            message: None,
            created: self.created_at.as_deref().and_then(Timestamp::parse),
            size_gib: None,
            incremental: false,
            data_timestamp: None,
            volume: None,
        }
    }
}

/// The group that all these volumes are in, where there is one, with what its type promises and its driver
/// keeps; only an admin is told that.
pub(super) async fn of_volumes(
    access: &Access,
    admin: &AdminView<'_>,
    volumes: &[Volume],
) -> Result<Option<VolumeGroupFacts>, Fault> {
    let mut ids = volumes.iter().map(|volume| volume.group_id.as_ref());
    let Some(Some(id)) = ids.next() else {
        return Ok(None);
    };
    if id.is_empty() || ids.any(|other| other != Some(id)) {
        return Ok(None);
    }
    let told = match admin {
        AdminView::Of(admin) => promise(access, admin, id, volumes).await,
        AdminView::Own => promise(access, access, id, volumes).await,
        AdminView::None(_) => Ok(None),
    };
    let consistent = match told {
        Err(fault) if fault.kind != FaultKind::NotFound && !is_refusal(&fault) => {
            return Err(fault);
        }
        told => told.ok().flatten(),
    };
    Ok(Some(VolumeGroupFacts {
        id: GroupId::new(id),
        consistent,
    }))
}

async fn promise(
    access: &Access,
    admin: &Access,
    id: &str,
    volumes: &[Volume],
) -> Result<Option<bool>, Fault> {
    let version = access.first_of(CINDER, &[GROUPS]).await?;
    let call = Call::get(
        CINDER,
        Path::of("groups", &id),
        format!("read the volume group {id}"),
    );
    let kind = access.read::<OneGroup>(&call.at(version)).await?;
    let kind = kind.group.group_type;
    let call = Call::get(
        CINDER,
        Path::of("group_types", &kind),
        format!("read the type of the volume group {id}"),
    );
    let read: OneType = admin.read(&call.at(version)).await?;
    // An admin sees all specs of a type, so one that is not there is not set.
    if !says_so(&read.group_type.group_specs) {
        return Ok(Some(false));
    }
    kept(admin, volumes).await
}

/// Whether a type or a pool has snapshots of one moment.
fn says_so(told: &Properties) -> bool {
    told.get(CONSISTENT).is_some_and(|value| {
        value
            .trim_start_matches("<is>")
            .trim()
            .eq_ignore_ascii_case("true")
    })
}

/// Whether the drivers behind these volumes keep such a promise. Cinder never asks them: it makes a group
/// of any type over any driver, and its snapshots one after the other where the driver knows no better.
async fn kept(admin: &Access, volumes: &[Volume]) -> Result<Option<bool>, Fault> {
    let call = Call::get(
        CINDER,
        "scheduler-stats/get_pools",
        "read what the pools of volumes can do",
    );
    let told: Pools = admin.read(&call.query("detail", "true")).await?;
    for volume in volumes {
        let call = Call::get(
            CINDER,
            Path::of("volumes", &volume.id),
            format!("read the pool of the volume {}", volume.id),
        );
        let pool_name = admin.read::<OnePooled>(&call).await?.volume.pool;
        let pool = told
            .pools
            .iter()
            .find(|one| Some(&one.name) == pool_name.as_ref());
        match pool {
            None => return Ok(None),
            Some(pool) if !says_so(&pool.capabilities) => return Ok(Some(false)),
            Some(_) => {}
        }
    }
    Ok(Some(true))
}

/// The version in which a volume tells its group, where Cinder speaks it.
pub(super) async fn version(access: &Access) -> Result<Option<Microversion>, Fault> {
    access.first_of(CINDER, &[GROUPS]).await
}

/// Makes a snapshot of all volumes of a group.
pub(super) async fn snapshot(
    access: &Access,
    name: &str,
    group: &GroupId,
    description: &str,
) -> Result<String, Fault> {
    let version = access.first_of(CINDER, &[SNAPSHOTS]).await?;
    let call = Call::post(
        CINDER,
        "group_snapshots",
        format!("create the snapshot {name} of the volume group {group}"),
        json!({"group_snapshot": {
            "group_id": group,
            "name": name,
            "description": cut(description),
        }}),
    );
    let made: One = access.read(&call.at(version)).await?;
    Ok(made.group_snapshot.id)
}

/// The group snapshots that `call` lists; none where Cinder is too old for them.
pub(super) async fn list(
    access: &Access,
    tenant: &Tenant,
    call: Call,
) -> Result<Vec<Sighting>, Fault> {
    let Some(version) = access.first_of(CINDER, &[PAGES, SNAPSHOTS]).await? else {
        return Ok(Vec::new());
    };
    let call = call.at(Some(version));
    let rows: Vec<GroupSnapshot> = access.pages_of(tenant, call, "group_snapshots").await?;
    Ok(rows.into_iter().map(GroupSnapshot::sighting).collect())
}

/// The snapshots that came with a group snapshot.
pub(super) async fn captured(
    access: &Access,
    tenant: &Tenant,
    group_snapshot: &str,
) -> Result<Captured, Fault> {
    let snapshots = snapshot::of_group(access, tenant, group_snapshot).await?;
    Ok(Captured {
        quiesced: false,
        snapshots,
    })
}
