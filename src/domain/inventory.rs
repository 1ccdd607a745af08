//! What a cloud offers to a tenant; it may not know how it was asked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    id::{CloudName, FlavorId, NetworkId, ProjectId, ServerId, SubnetId, Tenant},
    manifest::{FlavorShape, SecurityGroupFacts},
};

/// A cloud of our configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloudInfo {
    /// Its name.
    pub name: CloudName,
    /// The region its endpoints are taken from; empty when the catalogue has only one.
    pub region: String,
    /// Where it authenticates.
    pub auth_url: String,
    /// Whether an entry with the admin role is configured.
    pub has_admin: bool,
    /// Whether it answered just now.
    pub reachable: bool,
    /// Why it did not.
    pub problem: Option<String>,
}

impl CloudInfo {
    /// Leaves what a tenant of it may know: that it is there, and whether it answers.
    pub fn trim(&mut self) {
        let Self {
            name: _,
            region: _,
            auth_url,
            has_admin,
            reachable: _,
            problem,
        } = self;
        auth_url.clear();
        *has_admin = false;
        *problem = None;
    }
}

/// A project that a configured credential can be scoped to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantInfo {
    /// The project.
    pub tenant: Tenant,
    /// Its name.
    pub name: String,
    /// Its domain's id.
    pub domain: String,
}

/// An instance as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceInfo {
    /// Where it is.
    pub tenant: Tenant,
    /// The server.
    pub server: ServerId,
    /// Its name.
    pub name: String,
    /// Nova's status.
    pub status: String,
    /// Whether its root disk is a volume, without which no DR backup is possible.
    pub root_is_volume: bool,
    /// How many volumes are attached.
    pub volumes: u32,
}

/// A flavor of a cloud.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flavor {
    /// Its id.
    pub id: FlavorId,
    /// What it gives.
    pub shape: FlavorShape,
}

/// A network with its subnets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Its id.
    pub id: NetworkId,
    /// Its name; not unique.
    pub name: String,
    /// Whether the tenant owns it; a fixed address may be asked for only there, or by an admin.
    pub owned: bool,
    /// Whether it is shared.
    pub shared: bool,
    /// Whether it is external; a server is not attached to those.
    pub external: bool,
    /// Its subnets.
    pub subnets: Vec<Subnet>,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its id.
    pub id: SubnetId,
    /// Its name.
    pub name: String,
    /// Its range.
    pub cidr: String,
    /// 4 or 6.
    pub ip_version: u8,
    /// How addresses of IPv6 come about (`slaac`, `dhcpv6-stateful` …), where that is said.
    #[serde(default)]
    pub address_mode: Option<String>,
}

impl Subnet {
    /// Whether a port's address follows from its MAC address, so that none can be asked for (Neutron of Zed,
    /// `ipam_pluggable_backend`: "IPv6 address … can not be directly assigned").
    pub fn makes_addresses(&self) -> bool {
        matches!(
            self.address_mode.as_deref(),
            Some("slaac" | "dhcpv6-stateless")
        )
    }
}

/// A volume type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeType {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Whether volumes get it when none is named.
    pub is_default: bool,
    /// Whether it is public.
    pub is_public: bool,
}

/// What is left of a quota: nothing means no limit.
pub type Headroom = Option<u64>;

/// What a tenant may still make of one volume type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TypeQuotas {
    /// Volumes.
    pub volumes: Headroom,
    /// GiB of volumes and snapshots.
    pub gigabytes: Headroom,
    /// Snapshots.
    pub snapshots: Headroom,
}

/// What a tenant may still make.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quotas {
    /// Volumes.
    pub volumes: Headroom,
    /// GiB of volumes, and of snapshots unless the cloud does not count those.
    pub gigabytes: Headroom,
    /// Snapshots.
    #[serde(default)]
    pub snapshots: Headroom,
    /// Volume backups; imports count.
    pub backups: Headroom,
    /// GiB of volume backups.
    pub backup_gigabytes: Headroom,
    /// Servers.
    pub instances: Headroom,
    /// Cores.
    pub cores: Headroom,
    /// Memory, MiB.
    pub ram_mib: Headroom,
    /// Ports.
    pub ports: Headroom,
    /// Security groups.
    pub security_groups: Headroom,
    /// Rules of security groups.
    #[serde(default)]
    pub security_group_rules: Headroom,
    /// GiB that one volume may have.
    #[serde(default)]
    pub per_volume_gigabytes: Headroom,
    /// Pairs of metadata that one server may have.
    #[serde(default)]
    pub server_metadata: Headroom,
    /// Key pairs that the user may have who will make the server.
    #[serde(default)]
    pub key_pairs: Headroom,
    /// By the name of the volume type, in addition to what counts for all types.
    #[serde(default)]
    pub by_type: BTreeMap<String, TypeQuotas>,
}

/// Whether our credentials may do something that usually only an admin may.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// It could not be told.
    #[default]
    Unknown,
    /// They may.
    Granted,
    /// They may not, and how that was seen.
    Refused(String),
}

/// What a backup of an instance has to know of its tenant before it makes anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowance {
    /// What Cinder still lets the tenant make.
    pub quotas: Quotas,
    /// Whether records of volume backups may be exported.
    pub export: Right,
}

/// Where an import would land, and whether an admin restores what is in other projects.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminReach {
    /// No admin entry is configured.
    None,
    /// The admin entry can be scoped to the tenant itself, or the tenant may import by itself.
    Tenant,
    /// The admin entry can be scoped only to this other project; imports land there, and the admin restores
    /// out of it.
    Other(ProjectId),
}

/// A key pair of the acting user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPairInfo {
    /// Its name.
    pub name: String,
    /// Its fingerprint.
    pub fingerprint: String,
}

/// Everything about a tenant that a restoration into it has to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The flavors it may use.
    pub flavors: Vec<Flavor>,
    /// The networks it may use.
    pub networks: Vec<Network>,
    /// The volume types it may use.
    pub volume_types: Vec<VolumeType>,
    /// Its security groups.
    pub security_groups: Vec<SecurityGroupFacts>,
    /// The key pairs of the user that will make the server.
    pub key_pairs: Vec<KeyPairInfo>,
    /// Nova's zones that are available.
    pub compute_zones: Vec<String>,
    /// Cinder's zones that are available.
    pub volume_zones: Vec<String>,
    /// What may still be made.
    pub quotas: Quotas,
    /// What the admin entry can do for this tenant.
    pub admin: AdminReach,
    /// What may still be made in the project in which imports land, where that is another one: it pays for
    /// them.
    #[serde(default)]
    pub importer: Option<Quotas>,
    /// Whether it is known that Neutron has no trunks.
    #[serde(default)]
    pub without_trunks: bool,
    /// Whether a port says if it follows the state of its uplink, where that is known.
    #[serde(default)]
    pub uplink_status: Option<bool>,
}
