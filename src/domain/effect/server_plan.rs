//! What a port and a server are asked to be; it may not know what asks.

use serde::{Deserialize, Serialize};

use crate::domain::{
    id::{FlavorId, PortId, SubnetId, VolumeId},
    manifest::Properties,
};

/// An address to ask for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixedWish {
    /// The subnet; nothing means whichever holds the address.
    pub subnet: Option<SubnetId>,
    /// The address; nothing means any of the subnet.
    pub address: Option<String>,
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
    /// Its key pair.
    pub key_name: Option<String>,
    /// Nova's zone.
    pub availability_zone: Option<String>,
    /// Config drive.
    pub config_drive: bool,
    /// User data, base64.
    pub user_data: Option<String>,
    /// Metadata.
    pub metadata: Properties,
    /// Tags, without ours.
    pub tags: Vec<String>,
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
