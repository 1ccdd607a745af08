//! What clouds have, as messages; it may not know how it was asked.

use super::{large, manifest::manifest, number, properties, text};
use crate::{
    api::pb,
    domain::{
        error::Shortage,
        inventory::{CloudInfo, Flavor, InstanceInfo, Network, Subnet, TenantInfo, VolumeType},
        manifest::Manifest,
    },
};

/// A cloud.
pub(in crate::api) fn cloud(cloud: CloudInfo) -> pb::Cloud {
    pb::Cloud {
        name: cloud.name.to_string(),
        auth_url: cloud.auth_url,
        region: cloud.region,
        admin_configured: cloud.has_admin,
        reachable: cloud.reachable,
        problem: text(cloud.problem.as_ref()),
    }
}

/// A tenant.
pub(in crate::api) fn tenant(tenant: TenantInfo) -> pb::Tenant {
    pb::Tenant {
        id: tenant.tenant.project.to_string(),
        name: tenant.name,
        domain_id: tenant.domain,
        cloud: tenant.tenant.cloud.to_string(),
    }
}

/// An instance as a list shows it.
pub(in crate::api) fn instance(instance: InstanceInfo) -> pb::Instance {
    pb::Instance {
        id: instance.server.to_string(),
        name: instance.name,
        status: instance.status,
        cloud: instance.tenant.cloud.to_string(),
        tenant: instance.tenant.project.to_string(),
        root_is_volume: instance.root_is_volume,
        volume_count: number(instance.volumes),
        manifest: None,
    }
}

/// An instance, complete.
pub(in crate::api) fn instance_in_full(read: &Manifest, sensitive: bool) -> pb::Instance {
    pb::Instance {
        id: read.server.to_string(),
        name: read.name.clone(),
        status: read.status.clone(),
        cloud: read.tenant.cloud.to_string(),
        tenant: read.tenant.project.to_string(),
        root_is_volume: read.root_is_volume,
        volume_count: number(read.volumes.len()),
        manifest: Some(manifest(read, sensitive)),
    }
}

/// A flavor, with what it is short of.
pub(in crate::api) fn flavor(flavor: &Flavor, shortages: Vec<Shortage>) -> pb::Flavor {
    let shape = &flavor.shape;
    pb::Flavor {
        id: flavor.id.to_string(),
        name: shape.name.clone(),
        cores: number(shape.cores),
        ram_mib: number(shape.ram_mib),
        disk_gib: number(shape.disk_gib),
        ephemeral_gib: number(shape.ephemeral_gib),
        swap_mib: number(shape.swap_mib),
        properties: properties(&shape.properties),
        shortages: shortages.into_iter().map(shortage).collect(),
    }
}

fn shortage(shortage: Shortage) -> pb::Shortage {
    pb::Shortage {
        subject: shortage.subject,
        needed: large(shortage.needed),
        available: large(shortage.available),
    }
}

/// A network.
pub(in crate::api) fn network(network: Network) -> pb::Network {
    pb::Network {
        id: network.id.to_string(),
        name: network.name,
        subnets: network.subnets.into_iter().map(subnet).collect(),
        owned: network.owned,
        shared: network.shared,
        external: network.external,
    }
}

fn subnet(subnet: Subnet) -> pb::Subnet {
    pb::Subnet {
        id: subnet.id.to_string(),
        name: subnet.name,
        cidr: subnet.cidr,
        ip_version: number(subnet.ip_version),
    }
}

/// A volume type.
pub(in crate::api) fn volume_type(volume_type: VolumeType) -> pb::VolumeType {
    pb::VolumeType {
        id: volume_type.id,
        name: volume_type.name,
        is_default: volume_type.is_default,
        is_public: volume_type.is_public,
    }
}
