//! Everything that is needed to rebuild an instance; it may not know where it was read or stored.

use std::{collections::BTreeMap, ops::Range};

use serde::{Deserialize, Serialize};

use super::{
    consistency::ServerState,
    difference::Difference,
    id::{
        FlavorId, GroupId, NetworkId, PortId, SecurityGroupId, ServerId, SubnetId, Tenant, TrunkId,
        VolumeId,
    },
    user_data::UserData,
};

/// Names and values as OpenStack keeps them.
pub type Properties = BTreeMap<String, String>;

/// How the gap begins that tells that the order of the network cards is not sure, and the difference that
/// tells that it is another one.
pub const CARD_ORDER_GAP: &str = "order of the network cards";

/// The manifest of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Where the instance lived.
    pub tenant: Tenant,
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Its description, empty when it has none.
    pub description: String,
    /// Nova's status when it was read (`ACTIVE`, `SHUTOFF` …).
    pub status: String,
    /// How it stood then, to be compared with how it stands once it was captured.
    #[serde(default)]
    pub state: ServerState,
    /// Whether the root disk is a volume. Otherwise a backup of it has a volume that was made from an
    /// image of it, the one that boots, and one without such a volume cannot be brought back.
    pub root_is_volume: bool,
    /// The flavor, which is what a restoration has to fit.
    pub flavor: FlavorShape,
    /// The image it was made from, where that is still known.
    pub image: Option<ImageFacts>,
    /// All volumes, in the order of their devices; the root volume has `boot_index` 0.
    pub volumes: Vec<VolumeFacts>,
    /// The volume group of Cinder that all of them are in, where there is one.
    #[serde(default)]
    pub volume_group: Option<VolumeGroupFacts>,
    /// All ports, in their order.
    pub ports: Vec<PortFacts>,
    /// The security groups that the ports use, with their rules.
    pub security_groups: Vec<SecurityGroupFacts>,
    /// The key pair, where there is one.
    pub key: Option<KeyFacts>,
    /// Nova's availability zone.
    pub availability_zone: Option<String>,
    /// The server group, where there is one.
    pub server_group: Option<ServerGroupFacts>,
    /// Whether a config drive is attached.
    pub config_drive: bool,
    /// The metadata of the server.
    pub metadata: Properties,
    /// The tags of the server.
    pub tags: Vec<String>,
    /// The user data, base64 as Nova keeps it; sensitive. Only an admin entry can read it.
    pub user_data: Option<UserData>,
    /// Whether it is locked, so that only an admin can change it before it is unlocked.
    #[serde(default)]
    pub locked: bool,
    /// Why it is locked, where that was said.
    #[serde(default)]
    pub locked_reason: Option<String>,
    /// What the guest is told to call itself; nothing where the cloud does not tell.
    #[serde(default)]
    pub hostname: Option<String>,
    /// How Nova lays out its disk (`AUTO`, `MANUAL`); nothing where that was not read.
    #[serde(default)]
    pub disk_config: Option<String>,
    /// What could not be read, and why, in sentences; empty for a complete manifest.
    pub gaps: Vec<String>,
    /// What was read, has a value that says something, and is not brought back.
    #[serde(default)]
    pub unrestored: Vec<Difference>,
}

impl Manifest {
    /// The smallest root-to-last sum of volumes, GiB.
    pub fn storage_gib(&self) -> u64 {
        self.volumes.iter().map(|volume| volume.size_gib).sum()
    }

    /// The least memory of a flavor that it fits into, MiB.
    pub fn min_ram_mib(&self) -> u64 {
        let image = self.image.as_ref().map_or(0, |image| image.min_ram_mib);
        self.flavor.ram_mib.max(image)
    }

    /// Everything that a restoration would not bring back, one sentence each; empty where it is complete.
    pub fn told_gaps(&self) -> Vec<String> {
        let unrestored = self.unrestored.iter().map(Difference::sentence);
        self.gaps.iter().cloned().chain(unrestored).collect()
    }

    /// Every port: those of the network cards in their order, and after them the sub ports of their
    /// trunks.
    pub fn every_port(&self) -> Vec<&PortFacts> {
        let trunks = self.ports.iter().filter_map(|port| port.trunk.as_ref());
        let sub_ports = trunks.flat_map(|trunk| &trunk.sub_ports);
        self.ports
            .iter()
            .chain(sub_ports.map(|sub| &sub.port))
            .collect()
    }

    /// The trunks, each with the place of its parent port, and with the places of its sub ports, in
    /// [`Self::every_port`].
    pub fn trunks(&self) -> Vec<(usize, &TrunkFacts, Range<usize>)> {
        let mut next = self.ports.len();
        let mut trunks = Vec::new();
        for (parent, port) in self.ports.iter().enumerate() {
            if let Some(trunk) = &port.trunk {
                let begin = next;
                next += trunk.sub_ports.len();
                trunks.push((parent, trunk, begin..next));
            }
        }
        trunks
    }

    /// The volume that boots, where one does.
    pub fn root_volume(&self) -> Option<&VolumeFacts> {
        self.volumes
            .iter()
            .find(|volume| volume.boot_index == Some(0))
    }
}

/// What a flavor gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlavorShape {
    /// Its id, where the cloud still tells it (it does not from Nova 2.47 on).
    pub id: Option<FlavorId>,
    /// Its name.
    pub name: String,
    /// Virtual cores.
    pub cores: u64,
    /// Memory in MiB.
    pub ram_mib: u64,
    /// Root disk in GiB; 0 means "as large as the image or volume".
    pub disk_gib: u64,
    /// Ephemeral disk in GiB; its bytes are not backed up.
    pub ephemeral_gib: u64,
    /// Swap in MiB.
    pub swap_mib: u64,
    /// Extra specs.
    pub properties: Properties,
}

/// The image an instance was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFacts {
    /// Its id in the source cloud.
    pub id: String,
    /// Its name, empty when it is not known any more.
    pub name: String,
    /// Its least memory in MiB.
    pub min_ram_mib: u64,
    /// Its least disk in GiB.
    pub min_disk_gib: u64,
    /// Its properties.
    pub properties: Properties,
}

/// One volume of the instance.
#[expect(
    clippy::struct_excessive_bools,
    reason = "they are Cinder's and Nova's own flags"
)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeFacts {
    /// The volume in the source cloud.
    pub id: VolumeId,
    /// Its name, possibly empty, at most 255 characters.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Its size in GiB.
    pub size_gib: u64,
    /// The name of its type.
    pub volume_type: Option<String>,
    /// Cinder's availability zone.
    pub availability_zone: Option<String>,
    /// Whether it is marked bootable.
    pub bootable: bool,
    /// The device in the source (`/dev/vda`); a hint for the order only.
    pub device: Option<String>,
    /// 0 for the root volume, nothing for the others.
    pub boot_index: Option<u32>,
    /// Whether its bytes are encrypted with a key of the source's key manager.
    pub encrypted: bool,
    /// Whether it may be attached to several servers.
    pub multiattach: bool,
    /// Whether it goes with the server.
    pub delete_on_termination: bool,
    /// The device tag.
    pub tag: Option<String>,
    /// Its metadata.
    pub metadata: Properties,
    /// The image metadata on it.
    pub image_metadata: Properties,
    /// Whether it is the root disk of an instance that boots from an image, and no volume there; its id
    /// is then that of the server.
    #[serde(default)]
    pub from_image: bool,
    /// Cinder's status when it was read, where it was.
    #[serde(default)]
    pub status: Option<String>,
}

impl VolumeFacts {
    /// The path of an attribute of it, for people.
    pub fn path(&self, attribute: &str) -> String {
        let name = if self.name.is_empty() {
            self.id.as_str()
        } else {
            &self.name
        };
        format!("volume {name} {attribute}")
    }
}

impl PortFacts {
    /// The path of an attribute of it, for people; it is the port at this place of
    /// [`Manifest::every_port`].
    pub fn path(&self, index: usize, attribute: &str) -> String {
        match self.name.as_str() {
            "" => format!("port {index} {attribute}"),
            name => format!("port {index} ({name}) {attribute}"),
        }
    }

    /// Its addresses, sorted, for people.
    pub fn addresses(&self) -> String {
        let mut addresses: Vec<&str> = self.fixed.iter().map(|one| one.address.as_str()).collect();
        addresses.sort_unstable();
        addresses.join(", ")
    }
}

/// A volume group of Cinder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeGroupFacts {
    /// The group in the source.
    pub id: GroupId,
    /// Whether its type promises snapshots of one moment and the driver of its volumes makes such; nothing
    /// where that could not be read.
    pub consistent: Option<bool>,
}

/// One port of the instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortFacts {
    /// Its name, often empty.
    pub name: String,
    /// Its network.
    pub network: NetworkId,
    /// The name of the network.
    pub network_name: String,
    /// Its MAC address.
    pub mac: String,
    /// Its fixed addresses.
    pub fixed: Vec<FixedAddress>,
    /// The floating addresses on it.
    pub floating: Vec<String>,
    /// The security groups on it.
    pub security_groups: Vec<SecurityGroupId>,
    /// Whether port security is on.
    pub port_security: bool,
    /// Kind of virtual network card (`normal`, `direct` …).
    pub vnic_type: String,
    /// Its id where it was read.
    #[serde(default)]
    pub id: Option<PortId>,
    /// Whatever else is set on it.
    #[serde(default)]
    pub settings: PortSettings,
    /// The trunk that it is the parent of.
    #[serde(default)]
    pub trunk: Option<TrunkFacts>,
}

/// A trunk: the networks of its sub ports reach the guest as VLANs over the parent port.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrunkFacts {
    /// Its id where it was read.
    pub id: Option<TrunkId>,
    /// Its name, often empty.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Whether it is switched off.
    pub down: bool,
    /// Its tags in Neutron.
    pub tags: Vec<String>,
    /// Its sub ports.
    pub sub_ports: Vec<SubPortFacts>,
}

impl TrunkFacts {
    /// Its name and its sub ports in a few words.
    pub fn words(&self) -> String {
        format!("{} {}", self.name, self.sub_words())
            .trim()
            .to_owned()
    }

    /// Its sub ports in a few words: how the frames of each are told apart, and its name.
    pub fn sub_words(&self) -> String {
        let mut words: Vec<String> = (self.sub_ports.iter())
            .map(|sub| {
                let SubPortFacts {
                    segmentation_type,
                    segmentation_id,
                    port,
                } = sub;
                let words = format!("{segmentation_type} {segmentation_id} {}", port.name);
                words.trim().to_owned()
            })
            .collect();
        words.sort();
        if words.is_empty() {
            return "without sub ports".to_owned();
        }
        format!("({})", words.join(", "))
    }
}

/// A sub port of a trunk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubPortFacts {
    /// How its frames are told apart (`vlan`).
    pub segmentation_type: String,
    /// By which number.
    pub segmentation_id: u32,
    /// The port.
    pub port: PortFacts,
}

/// What may be set on a port, beside what every port has; as good as nothing where it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortSettings {
    /// Its description.
    pub description: String,
    /// Further addresses that may be spoken with from it.
    pub address_pairs: Vec<AddressPair>,
    /// What the cloud's DHCP tells it in addition.
    pub dhcp_options: Vec<DhcpOption>,
    /// Its name in the cloud's DNS.
    pub dns_name: String,
    /// The domain of that name, where it is not that of the network.
    pub dns_domain: String,
    /// The name of the `QoS` policy on it, or its id where the name could not be read.
    pub qos_policy: Option<String>,
    /// Its tags in Neutron.
    pub tags: Vec<String>,
    /// Whether it is switched off.
    pub down: bool,
    /// The tag of its network card in Nova.
    pub card_tag: Option<String>,
    /// Whether it follows the state of its uplink; nothing where its cloud does not know that, and none does.
    pub uplink_status: Option<bool>,
}

/// An address, or range, that may be spoken with from a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AddressPair {
    /// The address or range.
    pub address: String,
    /// The MAC address with it; nothing means that of the port, whichever that is.
    pub mac: Option<String>,
}

/// What the cloud's DHCP tells a port in addition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DhcpOption {
    /// The name of the option.
    pub name: String,
    /// Its value; nothing takes the option away.
    pub value: Option<String>,
    /// 4 or 6.
    pub ip_version: u8,
}

/// A fixed address of a port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedAddress {
    /// Its subnet.
    pub subnet: SubnetId,
    /// The name of the subnet.
    pub subnet_name: String,
    /// The range of the subnet, for example `10.0.0.0/24`.
    pub cidr: String,
    /// The address.
    pub address: String,
}

/// A security group with its rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroupFacts {
    /// Its id where it was read.
    pub id: SecurityGroupId,
    /// Its name; not unique.
    pub name: String,
    /// Its description.
    pub description: String,
    /// Whether it is stateful.
    pub stateful: bool,
    /// Its rules.
    pub rules: Vec<SecurityGroupRule>,
}

/// One rule of a security group, by its content.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// `ingress` or `egress`.
    pub direction: String,
    /// `IPv4` or `IPv6`.
    pub ethertype: String,
    /// The protocol by name or number; nothing means any.
    pub protocol: Option<String>,
    /// The lowest port, or ICMP type.
    pub port_min: Option<i64>,
    /// The highest port, or ICMP code.
    pub port_max: Option<i64>,
    /// The remote range; nothing means any.
    pub remote_cidr: Option<String>,
    /// The remote group, as its id where it was read.
    pub remote_group: Option<SecurityGroupId>,
    /// Its description.
    pub description: String,
    /// The address group whose addresses it lets in or out; it is written as one rule for each of them.
    #[serde(default)]
    pub address_group: Option<String>,
    /// What else narrows it, and is not understood, as names and values: it must not be made without.
    #[serde(default)]
    pub restrictions: Vec<String>,
}

impl SecurityGroupRule {
    /// All of it in a few words.
    pub fn words(&self) -> String {
        let ports = match (self.port_min, self.port_max) {
            (None, None) => String::new(),
            (Some(least), Some(most)) if least == most => format!(" {least}"),
            (least, most) => {
                let text =
                    |port: Option<i64>| port.map_or_else(String::new, |port| port.to_string());
                format!(" {}-{}", text(least), text(most))
            }
        };
        format!(
            "{} {} {}{ports}",
            self.direction,
            self.ethertype,
            self.protocol.as_deref().unwrap_or("any")
        )
    }
}

impl SecurityGroupFacts {
    /// The content by which two groups are the same whatever their ids: the rules, sorted, with a
    /// reference to the group itself written as `self` and to another one by `name_of`.
    pub fn content(&self, name_of: impl Fn(&SecurityGroupId) -> String) -> Vec<String> {
        let mut lines: Vec<String> = self
            .rules
            .iter()
            .map(|rule| {
                let remote = match (&rule.remote_group, &rule.remote_cidr) {
                    (Some(group), _) if *group == self.id => "group self".to_owned(),
                    (Some(group), _) => format!("group {}", name_of(group)),
                    (None, Some(cidr)) => cidr.clone(),
                    (None, None) => "any".to_owned(),
                };
                format!(
                    "{} {} {} {:?}-{:?} {remote} {}",
                    rule.direction,
                    rule.ethertype,
                    rule.protocol.as_deref().unwrap_or("any"),
                    rule.port_min,
                    rule.port_max,
                    rule.restrictions.join(" "),
                )
            })
            .collect();
        lines.sort();
        lines.dedup();
        lines
    }
}

/// A key pair.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFacts {
    /// Its name, within its user.
    pub name: String,
    /// The public key; nothing when it belongs to a user whose keys we cannot read.
    pub public_key: Option<String>,
    /// Its fingerprint.
    pub fingerprint: Option<String>,
    /// Its type (`ssh`, `x509`); nothing where that was not read.
    #[serde(default)]
    pub kind: Option<String>,
}

/// A server group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerGroupFacts {
    /// Its id in the source.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its policy (`anti-affinity` …).
    pub policy: String,
}
