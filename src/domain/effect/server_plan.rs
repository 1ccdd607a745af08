//! What a volume, a port, a trunk and a server are asked to be, and what is set on them afterwards; it may not know what asks.

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{FlavorId, ImageId, NetworkId, PortId, SecurityGroupId, SnapshotId, SubnetId, VolumeId},
    manifest::{AddressPair, DhcpOption, Properties},
    user_data::UserData,
};

/// An address to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedWish {
    /// The subnet; nothing means whichever holds the address.
    pub subnet: Option<SubnetId>,
    /// The address; nothing means any of the subnet.
    pub address: Option<String>,
}

/// A volume to make, empty, from a snapshot or from an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewVolume {
    /// GiB.
    pub size_gib: u64,
    /// The type by name; nothing means the cloud's default.
    pub volume_type: Option<String>,
    /// Cinder's zone; nothing means that the cloud chooses.
    pub availability_zone: Option<String>,
    /// The snapshot to fill it from.
    pub snapshot: Option<SnapshotId>,
    /// The image to fill it from.
    #[serde(default)]
    pub image: Option<ImageId>,
    /// For people who find it.
    pub description: String,
}

/// A port to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPort {
    /// The network.
    pub network: NetworkId,
    /// Addresses to ask for; empty means that the cloud chooses.
    pub fixed: Vec<FixedWish>,
    /// The MAC address to ask for.
    pub mac: Option<String>,
    /// Its groups; empty with port security means that nothing comes in.
    pub security_groups: Vec<SecurityGroupId>,
    /// Whether port security is on; nothing leaves it to the network.
    pub port_security: Option<bool>,
    /// Kind of virtual network card, where it is not `normal`.
    pub vnic_type: Option<String>,
    /// Whether it is to have no address at all.
    #[serde(default)]
    pub bare: bool,
    /// Whether it is made switched off.
    #[serde(default)]
    pub down: bool,
    /// Whether it gets the tenant's default group, because nobody knows which it had.
    #[serde(default)]
    pub default_group: bool,
    /// Whether it follows the state of its uplink; nothing leaves that to the cloud.
    #[serde(default)]
    pub uplink_status: Option<bool>,
}

/// A trunk to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewTrunk {
    /// The parent port.
    pub port: PortId,
    /// Its sub ports.
    pub sub_ports: Vec<SubPort>,
    /// Its description.
    pub description: String,
    /// Whether it is made switched off.
    pub down: bool,
}

/// What a volume is given: its name, description, metadata and image metadata.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSettings {
    /// The volume.
    pub volume: VolumeId,
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Metadata, replacing what is there.
    pub metadata: Properties,
    /// Bootable, as rows of before [`Apply::Bootable`](super::Apply::Bootable) have it.
    #[serde(default)]
    pub bootable: Option<bool>,
    /// Image metadata, added to what is there.
    pub image_metadata: Properties,
}

/// A server to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerPlan {
    /// Its name.
    pub name: String,
    /// Its description; empty means none.
    pub description: String,
    /// Its flavor.
    pub flavor: FlavorId,
    /// Its volumes in the order of their devices; the first boots.
    pub disks: Vec<Disk>,
    /// Its ports in their order.
    pub ports: Vec<PortId>,
    /// The tags of the network cards, in the same order; missing ones have none.
    #[serde(default)]
    pub card_tags: Vec<Option<String>>,
    /// Its key pair.
    pub key_name: Option<String>,
    /// Nova's zone.
    pub availability_zone: Option<String>,
    /// Config drive.
    pub config_drive: bool,
    /// User data, base64.
    pub user_data: Option<UserData>,
    /// Metadata.
    pub metadata: Properties,
    /// Tags, without ours.
    pub tags: Vec<String>,
    /// What the guest is told to call itself; nothing leaves it to Nova, and to its name.
    #[serde(default)]
    pub hostname: Option<String>,
    /// How Nova lays out its disk; nothing leaves it to Nova.
    #[serde(default)]
    pub disk_config: Option<String>,
}

/// A volume of a server to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// The volume.
    pub volume: VolumeId,
    /// Device tag.
    pub tag: Option<String>,
    /// The name of the device as a wish, which a hypervisor may overrule.
    #[serde(default)]
    pub device: Option<String>,
    /// Whether it goes with the server.
    pub delete_on_termination: bool,
}

/// One thing that is set on a port that is there: each is asked for by itself, so that one that is refused
/// takes no other with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PortSetting {
    /// Its description.
    Description(String),
    /// Further addresses that may be spoken with from it.
    AddressPairs(Vec<AddressPair>),
    /// What the cloud's DHCP tells it in addition.
    DhcpOptions(Vec<DhcpOption>),
    /// Its name in the cloud's DNS.
    DnsName(String),
    /// The domain of that name.
    DnsDomain(String),
    /// The `QoS` policy of this name.
    QosPolicy(String),
    /// Its tags.
    Tags(Vec<String>),
    /// It has no address. Nova makes no server with such a port (Zed and 2026.1: 400 "requires a `FixedIP`"), and
    /// minds none that loses its address when the server is up.
    NoAddress,
    /// Whether it is switched on.
    Up(bool),
}

impl PortSetting {
    /// The attribute of Neutron that it sets.
    pub fn attribute(&self) -> &'static str {
        match self {
            Self::Description(_) => "description",
            Self::AddressPairs(_) => "allowed_address_pairs",
            Self::DhcpOptions(_) => "extra_dhcp_opts",
            Self::DnsName(_) => "dns_name",
            Self::DnsDomain(_) => "dns_domain",
            Self::QosPolicy(_) => "qos_policy",
            Self::Tags(_) => "tags",
            Self::NoAddress => "fixed_ips",
            Self::Up(_) => "admin_state_up",
        }
    }
}

/// A sub port of a trunk to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubPort {
    /// The port.
    pub port: PortId,
    /// How its frames are told apart (`vlan`).
    pub segmentation_type: String,
    /// By which number.
    pub segmentation_id: u32,
}

/// One thing that is set on a server that is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerSetting {
    /// It is switched off.
    Stopped,
    /// It is locked, for this reason where there is one.
    Locked(Option<String>),
}

impl ServerSetting {
    /// The attribute of Nova that it sets.
    pub fn attribute(&self) -> &'static str {
        match self {
            Self::Stopped => "status",
            Self::Locked(_) => "locked",
        }
    }
}
