//! The manifest as a message; it may not know who may see what is sensitive.

use super::{number, properties, text};
use crate::{
    api::pb,
    domain::manifest::{
        FixedAddress, FlavorShape, ImageFacts, KeyFacts, Manifest, PortFacts, SecurityGroupFacts,
        SecurityGroupRule, ServerGroupFacts, SubPortFacts, TrunkFacts, VolumeFacts,
    },
};

/// A manifest; with what is sensitive in it only where that was decided elsewhere.
pub(in crate::api) fn manifest(manifest: &Manifest, sensitive: bool) -> pb::Manifest {
    let user_data = manifest.user_data.as_ref();
    pb::Manifest {
        min_ram_mib: number(manifest.min_ram_mib()),
        min_cores: number(manifest.flavor.cores),
        storage_gib: number(manifest.storage_gib()),
        cloud: manifest.tenant.cloud.to_string(),
        tenant: manifest.tenant.project.to_string(),
        instance_id: manifest.server.to_string(),
        name: manifest.name.clone(),
        description: manifest.description.clone(),
        status: manifest.status.clone(),
        root_is_volume: manifest.root_is_volume,
        flavor: Some(flavor(&manifest.flavor)),
        image: manifest.image.as_ref().map(image),
        volumes: manifest.volumes.iter().map(volume).collect(),
        ports: manifest.ports.iter().map(port).collect(),
        security_groups: manifest
            .security_groups
            .iter()
            .map(security_group)
            .collect(),
        key_pair: manifest.key.as_ref().map(key_pair),
        availability_zone: text(manifest.availability_zone.as_ref()),
        server_group: manifest.server_group.as_ref().map(server_group),
        config_drive: manifest.config_drive,
        metadata: properties(&manifest.metadata),
        tags: manifest.tags.clone(),
        user_data_held: user_data.is_some(),
        user_data: user_data
            .filter(|_| sensitive)
            .map_or_else(String::new, |data| data.expose().to_owned()),
        gaps: manifest.told_gaps(),
    }
}

fn flavor(flavor: &FlavorShape) -> pb::SourceFlavor {
    pb::SourceFlavor {
        name: flavor.name.clone(),
        flavor_id: text(flavor.id.as_ref()),
        cores: number(flavor.cores),
        ram_mib: number(flavor.ram_mib),
        disk_gib: number(flavor.disk_gib),
        ephemeral_gib: number(flavor.ephemeral_gib),
        swap_mib: number(flavor.swap_mib),
        properties: properties(&flavor.properties),
    }
}

fn image(image: &ImageFacts) -> pb::SourceImage {
    pb::SourceImage {
        image_id: image.id.clone(),
        name: image.name.clone(),
        min_ram_mib: number(image.min_ram_mib),
        min_disk_gib: number(image.min_disk_gib),
        properties: properties(&image.properties),
    }
}

fn volume(volume: &VolumeFacts) -> pb::SourceVolume {
    pb::SourceVolume {
        volume_id: volume.id.to_string(),
        name: volume.name.clone(),
        description: volume.description.clone(),
        size_gib: number(volume.size_gib),
        volume_type: text(volume.volume_type.as_ref()),
        bootable: volume.bootable,
        device: text(volume.device.as_ref()),
        boot_index: volume.boot_index.map(number),
        image_metadata: properties(&volume.image_metadata),
        metadata: properties(&volume.metadata),
        encrypted: volume.encrypted,
        delete_on_termination: volume.delete_on_termination,
        multiattach: volume.multiattach,
        availability_zone: text(volume.availability_zone.as_ref()),
        tag: text(volume.tag.as_ref()),
        made_from_image: volume.from_image,
    }
}

fn port(port: &PortFacts) -> pb::SourcePort {
    pb::SourcePort {
        name: port.name.clone(),
        network_id: port.network.to_string(),
        network_name: port.network_name.clone(),
        mac_address: port.mac.clone(),
        fixed_addresses: port.fixed.iter().map(fixed_address).collect(),
        floating_addresses: port.floating.clone(),
        security_group_ids: port
            .security_groups
            .iter()
            .map(ToString::to_string)
            .collect(),
        port_security_enabled: port.port_security,
        vnic_type: port.vnic_type.clone(),
        trunk: port.trunk.as_ref().map(trunk),
    }
}

fn trunk(trunk: &TrunkFacts) -> pb::SourceTrunk {
    let sub_port = |sub: &SubPortFacts| pb::SourceSubPort {
        segmentation_type: sub.segmentation_type.clone(),
        segmentation_id: number(sub.segmentation_id),
        port: Some(port(&sub.port)),
    };
    pb::SourceTrunk {
        name: trunk.name.clone(),
        description: trunk.description.clone(),
        sub_ports: trunk.sub_ports.iter().map(sub_port).collect(),
    }
}

fn fixed_address(fixed: &FixedAddress) -> pb::FixedAddress {
    pb::FixedAddress {
        address: fixed.address.clone(),
        subnet_id: fixed.subnet.to_string(),
        subnet_name: fixed.subnet_name.clone(),
        cidr: fixed.cidr.clone(),
    }
}

fn security_group(group: &SecurityGroupFacts) -> pb::SourceSecurityGroup {
    pb::SourceSecurityGroup {
        security_group_id: group.id.to_string(),
        name: group.name.clone(),
        description: group.description.clone(),
        stateful: group.stateful,
        rules: group.rules.iter().map(rule).collect(),
    }
}

fn rule(rule: &SecurityGroupRule) -> pb::SourceSecurityGroupRule {
    pb::SourceSecurityGroupRule {
        direction: rule.direction.clone(),
        ethertype: rule.ethertype.clone(),
        protocol: text(rule.protocol.as_ref()),
        port_range_min: rule.port_min.map(number),
        port_range_max: rule.port_max.map(number),
        remote_ip_prefix: text(rule.remote_cidr.as_ref()),
        remote_group_id: text(rule.remote_group.as_ref()),
        description: rule.description.clone(),
    }
}

fn key_pair(key: &KeyFacts) -> pb::SourceKeyPair {
    pb::SourceKeyPair {
        name: key.name.clone(),
        public_key: text(key.public_key.as_ref()),
        fingerprint: text(key.fingerprint.as_ref()),
    }
}

fn server_group(group: &ServerGroupFacts) -> pb::SourceServerGroup {
    pb::SourceServerGroup {
        server_group_id: group.id.clone(),
        name: group.name.clone(),
        policy: group.policy.clone(),
    }
}
