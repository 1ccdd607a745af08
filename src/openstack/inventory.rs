//! What a tenant offers and may still make; this file may not know what is to be made.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    access::{Access, Call, segment},
    flavor, key_pair,
    network::{self, is_refusal},
    security_group::{self, SecurityGroup},
    wire::{flag, nullable},
};
use crate::domain::{
    fault::{Fault, Service},
    id::Tenant,
    inventory::{AdminReach, Headroom, Inventory, Quotas, VolumeType},
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
struct NetworkQuota {
    quota: Map<String, Value>,
}

/// Reads the inventory of a tenant, all parts side by side.
pub(super) async fn read(
    access: &Access,
    tenant: &Tenant,
    admin: AdminReach,
) -> Result<Inventory, Fault> {
    let (flavors, networks, volume_types, groups, keys, compute, volume, quotas) = futures::try_join!(
        flavor::list(access),
        network::list(access, tenant),
        volume_types(access),
        security_groups(access, tenant),
        key_pair::list(access),
        zones(access, Service::Compute),
        zones(access, Service::BlockStorage),
        quotas(access, tenant),
    )?;
    let address_groups = security_group::address_groups(access, &groups).await?;
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
        admin,
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
    access.pages(call, "security_groups").await
}

async fn zones(access: &Access, service: Service) -> Result<Vec<String>, Fault> {
    let doing = format!("list the availability zones of {}", service.project());
    let found: Zones = access
        .read(&Call::get(service, "os-availability-zone", doing))
        .await?;
    Ok(found
        .zones
        .into_iter()
        .filter(|zone| zone.state.available)
        .map(|zone| zone.name)
        .collect())
}

async fn quotas(access: &Access, tenant: &Tenant) -> Result<Quotas, Fault> {
    let limits = |service: Service| {
        let doing = format!("read the limits of {}", service.project());
        let call = Call::get(service, "limits", doing);
        async move {
            let limits: Limits = access.read(&call).await?;
            Ok(limits.limits.absolute)
        }
    };
    let (cinder, nova, neutron) = futures::try_join!(
        limits(Service::BlockStorage),
        limits(Service::Compute),
        network_quotas(access, tenant),
    )?;
    let of = |map: &Map<String, Value>, max: &str, used: &str| -> Headroom {
        left(map.get(max), map.get(used))
    };
    let of_network = |resource: &str| -> Headroom {
        let found = neutron.get(resource)?;
        let used = found.get("used")?.as_i64()? + reserved(found);
        headroom(found.get("limit")?.as_i64()?, used)
    };
    Ok(Quotas {
        volumes: of(&cinder, "maxTotalVolumes", "totalVolumesUsed"),
        gigabytes: of(&cinder, "maxTotalVolumeGigabytes", "totalGigabytesUsed"),
        backups: of(&cinder, "maxTotalBackups", "totalBackupsUsed"),
        backup_gigabytes: of(
            &cinder,
            "maxTotalBackupGigabytes",
            "totalBackupGigabytesUsed",
        ),
        instances: of(&nova, "maxTotalInstances", "totalInstancesUsed"),
        cores: of(&nova, "maxTotalCores", "totalCoresUsed"),
        ram_mib: of(&nova, "maxTotalRAMSize", "totalRAMUsed"),
        ports: of_network("port"),
        security_groups: of_network("security_group"),
    })
}

/// Neutron's quotas with their use; empty, so without limits, where it does not tell them.
async fn network_quotas(access: &Access, tenant: &Tenant) -> Result<Map<String, Value>, Fault> {
    let call = Call::get(
        Service::Network,
        format!("quotas/{}/details", segment(&tenant.project)),
        "read the quotas of Neutron",
    );
    match access.read::<NetworkQuota>(&call).await {
        Ok(found) => Ok(found.quota),
        Err(fault) if matches!(fault.status, Some(403 | 404)) => Ok(Map::new()),
        Err(fault) => Err(fault),
    }
}

fn reserved(quota: &Value) -> i64 {
    // A number, or in older releases a text or nothing.
    quota.get("reserved").and_then(Value::as_i64).unwrap_or(0)
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
}
