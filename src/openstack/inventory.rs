//! What a tenant offers and may still make; this file may not know what is to be made.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    access::Access,
    call::Call,
    flavor, key_pair,
    network::{self, is_refusal},
    path::Path,
    port,
    security_group::{self, SecurityGroup},
    trunk,
    wire::{flag, nullable},
};
use crate::domain::{
    fault::{Fault, Service},
    id::{ProjectId, Tenant},
    inventory::{AdminReach, Headroom, Inventory, Quotas, TypeQuotas, VolumeType},
};

#[derive(Deserialize)]
struct Type {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
    #[serde(default = "public")]
    is_public: bool,
}

fn public() -> bool {
    true
}

#[derive(Deserialize)]
struct OneType {
    volume_type: Type,
}

#[derive(Deserialize)]
struct Zones {
    #[serde(rename = "availabilityZoneInfo")]
    zones: Vec<Zone>,
}

#[derive(Deserialize)]
struct Zone {
    #[serde(rename = "zoneName")]
    name: String,
    #[serde(rename = "zoneState")]
    state: ZoneState,
}

#[derive(Deserialize)]
struct ZoneState {
    #[serde(default, deserialize_with = "flag")]
    available: bool,
}

#[derive(Deserialize)]
struct Limits {
    limits: AbsoluteLimits,
}

#[derive(Deserialize)]
struct AbsoluteLimits {
    absolute: Map<String, Value>,
}

#[derive(Deserialize)]
struct VolumeQuota {
    quota_set: Map<String, Value>,
}

#[derive(Deserialize)]
struct NetworkQuota {
    quota: Map<String, Value>,
}

/// Reads the inventory of a tenant, all parts side by side.
pub(super) async fn read(
    access: &Access,
    tenant: &Tenant,
    admin: Importer<'_>,
) -> Result<Inventory, Fault> {
    let (flavors, networks, volume_types, groups, keys, compute, volume, mut quotas, extensions) =
        futures::try_join!(
            flavor::list(access),
            network::list(access, tenant),
            volume_types(access),
            security_groups(access, tenant),
            key_pair::list(access),
            zones(access, Service::Compute),
            zones(access, Service::BlockStorage),
            quotas(access, tenant),
            network::extensions(access),
        )?;
    let has = |alias: &str| extensions.as_ref().map(|known| known.contains(alias));
    // Nova limits them by user and project, and tells no use (`_check_key_pair_quotas` of Zed and 2026.1).
    quotas.key_pairs = quotas
        .key_pairs
        .map(|limit| limit.saturating_sub(keys.len() as u64));
    let address_groups = security_group::address_groups(access, &groups).await?;
    let (reach, importer) = admin.read().await?;
    Ok(Inventory {
        flavors,
        networks,
        volume_types,
        security_groups: groups
            .into_iter()
            .map(|group| group.facts(&address_groups))
            .collect(),
        key_pairs: keys.into_iter().map(key_pair::KeyPair::info).collect(),
        compute_zones: compute,
        volume_zones: volume,
        quotas,
        admin: reach,
        importer,
        without_trunks: has(trunk::EXTENSION) == Some(false),
        uplink_status: has(port::UPLINK_STATUS),
    })
}

/// The volume types that the tenant may use, with the one that volumes get when none is named.
pub(super) async fn volume_types(access: &Access) -> Result<Vec<VolumeType>, Fault> {
    let list = Call::get(Service::BlockStorage, "types", "list the volume types")
        .query("is_public", "None");
    let default = Call::get(
        Service::BlockStorage,
        "types/default",
        "read the default volume type",
    );
    let default = async {
        match access.read::<OneType>(&default).await {
            Ok(one) => Ok(Some(one.volume_type.id)),
            // A cloud need not have one.
            Err(fault) if is_refusal(&fault) => Ok(None),
            Err(fault) => Err(fault),
        }
    };
    let (types, default) = futures::try_join!(access.pages::<Type>(list, "volume_types"), default)?;
    Ok(types
        .into_iter()
        .map(|found| VolumeType {
            is_default: default.as_ref() == Some(&found.id),
            is_public: found.is_public,
            id: found.id,
            name: found.name,
        })
        .collect())
}

async fn security_groups(access: &Access, tenant: &Tenant) -> Result<Vec<SecurityGroup>, Fault> {
    let call = Call::get(
        Service::Network,
        "security-groups",
        "list the security groups",
    )
    .query("project_id", tenant.project.as_str());
    access.pages_of(tenant, call, "security_groups").await
}

async fn zones(access: &Access, service: Service) -> Result<Vec<String>, Fault> {
    let action = format!("list the availability zones of {}", service.project());
    let found: Zones = access
        .read(&Call::get(service, "os-availability-zone", action))
        .await?;
    Ok(found
        .zones
        .into_iter()
        .filter(|zone| zone.state.available)
        .map(|zone| zone.name)
        .collect())
}

async fn limits(access: &Access, service: Service) -> Result<Map<String, Value>, Fault> {
    let action = format!("read the limits of {}", service.project());
    let limits: Limits = access.read(&Call::get(service, "limits", action)).await?;
    Ok(limits.limits.absolute)
}

async fn quotas(access: &Access, tenant: &Tenant) -> Result<Quotas, Fault> {
    let (cinder, nova, neutron) = futures::try_join!(
        volume_quotas(access, &tenant.project),
        limits(access, Service::Compute),
        network_quotas(access, tenant),
    )?;
    let of = |max: &str, used: &str| left(nova.get(max), nova.get(used));
    let of_network = |resource: &str| -> Headroom {
        let found = neutron.get(resource)?;
        headroom(found.get("limit")?.as_i64()?, taken(found, "used")?)
    };
    Ok(Quotas {
        instances: of("maxTotalInstances", "totalInstancesUsed"),
        cores: of("maxTotalCores", "totalCoresUsed"),
        ram_mib: of("maxTotalRAMSize", "totalRAMUsed"),
        server_metadata: of("maxServerMeta", ""),
        key_pairs: of("maxTotalKeypairs", ""),
        ports: of_network("port"),
        security_groups: of_network("security_group"),
        security_group_rules: of_network("security_group_rule"),
        ..cinder
    })
}

/// What Cinder still lets a project make. Its quotas tell what is counted by type, and what one volume may
/// have; where they are not shown, its limits have the rest.
pub(super) async fn volume_quotas(access: &Access, project: &ProjectId) -> Result<Quotas, Fault> {
    let call = Call::get(
        Service::BlockStorage,
        Path::of("os-quota-sets", &project),
        "read the quotas of Cinder",
    )
    .query("usage", "True");
    match access.read::<VolumeQuota>(&call).await {
        Ok(found) => Ok(of_quota_set(&found.quota_set)),
        Err(fault) if is_refusal(&fault) => {
            Ok(of_limits(&limits(access, Service::BlockStorage).await?))
        }
        Err(fault) => Err(fault),
    }
}

fn of_quota_set(set: &Map<String, Value>) -> Quotas {
    let of = |resource: &str| -> Headroom {
        let found = set.get(resource)?;
        headroom(found.get("limit")?.as_i64()?, taken(found, "in_use")?)
    };
    let names = set.keys().filter_map(|key| key.strip_prefix("gigabytes_"));
    let by_type = names.map(|name| {
        let quotas = TypeQuotas {
            volumes: of(&format!("volumes_{name}")),
            gigabytes: of(&format!("gigabytes_{name}")),
            snapshots: of(&format!("snapshots_{name}")),
        };
        (name.to_owned(), quotas)
    });
    Quotas {
        volumes: of("volumes"),
        gigabytes: of("gigabytes"),
        snapshots: of("snapshots"),
        backups: of("backups"),
        backup_gigabytes: of("backup_gigabytes"),
        per_volume_gigabytes: of("per_volume_gigabytes"),
        by_type: by_type
            .filter(|(_, quotas)| *quotas != TypeQuotas::default())
            .collect(),
        ..Quotas::default()
    }
}

fn of_limits(limits: &Map<String, Value>) -> Quotas {
    let of = |max: &str, used: &str| left(limits.get(max), limits.get(used));
    Quotas {
        volumes: of("maxTotalVolumes", "totalVolumesUsed"),
        gigabytes: of("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
        snapshots: of("maxTotalSnapshots", "totalSnapshotsUsed"),
        backups: of("maxTotalBackups", "totalBackupsUsed"),
        backup_gigabytes: of("maxTotalBackupGigabytes", "totalBackupGigabytesUsed"),
        ..Quotas::default()
    }
}

/// Who imports records for a tenant.
pub(super) enum Importer<'a> {
    /// The tenant's own credential, there being no admin entry.
    Tenant,
    /// The admin entry, and where it stands.
    Admin(&'a Access, AdminReach),
}

impl Importer<'_> {
    /// Where the admin stands, and what its project may still make where imports land there.
    async fn read(self) -> Result<(AdminReach, Option<Quotas>), Fault> {
        match self {
            Self::Tenant => Ok((AdminReach::None, None)),
            Self::Admin(admin, reach) => {
                let quotas = match &reach {
                    AdminReach::Other(project) => Some(volume_quotas(admin, project).await?),
                    AdminReach::Tenant | AdminReach::None => None,
                };
                Ok((reach, quotas))
            }
        }
    }
}

/// Neutron's quotas with their use; empty, so without limits, where it does not tell them.
async fn network_quotas(access: &Access, tenant: &Tenant) -> Result<Map<String, Value>, Fault> {
    let call = Call::get(
        Service::Network,
        Path::of("quotas", &tenant.project).word("details"),
        "read the quotas of Neutron",
    );
    match access.read::<NetworkQuota>(&call).await {
        Ok(found) => Ok(found.quota),
        Err(fault) if matches!(fault.status, Some(403 | 404)) => Ok(Map::new()),
        Err(fault) => Err(fault),
    }
}

/// What is used of a quota, below this name, and what is reserved of it.
fn taken(quota: &Value, used: &str) -> Option<i64> {
    // A number, or in older releases a text or nothing.
    let reserved = quota.get("reserved").and_then(Value::as_i64).unwrap_or(0);
    Some(quota.get(used)?.as_i64()?.saturating_add(reserved))
}

fn left(max: Option<&Value>, used: Option<&Value>) -> Headroom {
    headroom(
        max.and_then(Value::as_i64)?,
        used.and_then(Value::as_i64).unwrap_or(0),
    )
}

/// -1 means no limit.
fn headroom(limit: i64, used: i64) -> Headroom {
    (limit >= 0).then(|| u64::try_from(limit.saturating_sub(used)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_limit_is_no_number_and_overuse_is_zero() {
        assert_eq!(headroom(-1, 5), None);
        assert_eq!(headroom(10, 3), Some(7));
        assert_eq!(headroom(10, 12), Some(0));
    }

    #[test]
    fn more_than_can_be_counted_leaves_nothing() {
        for (used, reserved, left) in [(4, 1, 5), (4, i64::MAX, 0), (i64::MAX, i64::MAX, 0)] {
            let told = serde_json::json!({
                "volumes": { "limit": 10, "in_use": used, "reserved": reserved }
            });
            let set = told.as_object().unwrap();
            assert_eq!(of_quota_set(set).volumes, Some(left));
        }
    }
}
