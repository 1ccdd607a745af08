//! Neutron ports; this file may not know which server they are for.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::Access,
    attributes::{self, Odd},
    call::Call,
    network::is_refusal,
    path::Path,
    wire::{cut, nullable},
};
use crate::domain::{
    effect::{NewPort, PortAddresses, PortSetting},
    fault::{Fault, FaultKind, Service},
    id::PortId,
    manifest::{AddressPair, DhcpOption, PortSettings},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const NEUTRON: Service = Service::Network;

/// A port as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "the fields have the names that Neutron gives them"
)]
pub(super) struct Port {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) network_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) mac_address: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) fixed_ips: Vec<FixedIp>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) security_groups: Vec<String>,
    /// Missing where the extension is.
    #[serde(default)]
    pub(super) port_security_enabled: Option<bool>,
    #[serde(default, rename = "binding:vnic_type")]
    pub(super) vnic_type: Option<String>,
    #[serde(default)]
    pub(super) created_at: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default, deserialize_with = "nullable")]
    allowed_address_pairs: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    extra_dhcp_opts: Vec<DhcpOpt>,
    #[serde(default)]
    admin_state_up: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    dns_name: String,
    #[serde(default, deserialize_with = "nullable")]
    dns_domain: String,
    #[serde(default)]
    pub(super) qos_policy_id: Option<String>,
    #[serde(default, deserialize_with = "nullable")]
    tags: Vec<String>,
    #[serde(default)]
    propagate_uplink_status: Option<bool>,
    /// Of the parent of a trunk only.
    #[serde(default)]
    pub(super) trunk_details: Option<TrunkDetails>,
    /// Told to admins only.
    #[serde(default, rename = "binding:profile", deserialize_with = "nullable")]
    profile: Map<String, Value>,
    /// What says something and is not restored.
    #[serde(flatten, deserialize_with = "attributes::of_port")]
    pub(super) odd: Vec<Odd>,
}

#[derive(Debug, Clone, Deserialize)]
struct Pair {
    #[serde(default, deserialize_with = "nullable")]
    ip_address: String,
    #[serde(default)]
    mac_address: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct DhcpOpt {
    #[serde(default, deserialize_with = "nullable")]
    opt_name: String,
    #[serde(default)]
    opt_value: Option<String>,
    #[serde(default)]
    ip_version: Option<u8>,
}

/// The extension with `propagate_uplink_status`: whether the link of an SR-IOV port follows that of its
/// network card. Where it is loaded every port has it, `true` unless the creation said otherwise (Neutron
/// from Victoria on; from Zed on also ports from before it was loaded), and without it none follows
/// (`neutron/plugins/ml2/rpc.py`). Only a creation may name it everywhere: a change is allowed from 2025.1 on,
/// by an extension of its own. No policy guards it.
pub(super) const UPLINK_STATUS: &str = "uplink-status-propagation";

/// What Nova itself writes into the profile of a port that it binds (`nova/network/neutron.py` of 2026.1),
/// and will write again.
const OF_NOVA: [&str; 11] = [
    "os_vif_delegation",
    "pci_slot",
    "pci_vendor_info",
    "physical_network",
    "card_serial_number",
    "pf_mac_address",
    "vf_num",
    "migrating_to",
    "allocation",
    "capabilities",
    "device_mac_address",
];

#[derive(Debug, Clone, Deserialize)]
pub(super) struct FixedIp {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) subnet_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ip_address: String,
}

/// The trunk of a port, as the port shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TrunkDetails {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) trunk_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) sub_ports: Vec<SubPort>,
}

/// A sub port, as its trunk shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SubPort {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) port_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) segmentation_type: String,
    #[serde(default)]
    pub(super) segmentation_id: u32,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) port: Port,
}

impl Port {
    /// What else is set on it; `policy` is the name of its `QoS` policy, and `card_tag` what Nova calls it.
    pub(super) fn settings(
        &self,
        policy: Option<String>,
        card_tag: Option<String>,
    ) -> PortSettings {
        PortSettings {
            description: self.description.clone(),
            address_pairs: self
                .allowed_address_pairs
                .iter()
                .map(|pair| AddressPair {
                    address: pair.ip_address.clone(),
                    // Neutron writes the port's own where none was named.
                    mac: pair
                        .mac_address
                        .clone()
                        .filter(|mac| !mac.eq_ignore_ascii_case(&self.mac_address)),
                })
                .collect(),
            dhcp_options: self
                .extra_dhcp_opts
                .iter()
                .map(|option| DhcpOption {
                    name: option.opt_name.clone(),
                    value: option.opt_value.clone(),
                    ip_version: option.ip_version.unwrap_or(4),
                })
                .collect(),
            dns_name: self.dns_name.clone(),
            dns_domain: self.dns_domain.clone(),
            qos_policy: policy,
            tags: self.tags.clone(),
            down: self.admin_state_up == Some(false),
            card_tag,
            uplink_status: self.propagate_uplink_status,
        }
    }

    /// What says something and is not restored.
    pub(super) fn odd(&self) -> Vec<Odd> {
        let mut profile = self.profile.clone();
        profile.retain(|key, _| !OF_NOVA.contains(&key.as_str()));
        let profile =
            (!profile.is_empty()).then(|| Odd::new("binding:profile", &Value::Object(profile)));
        self.odd.iter().cloned().chain(profile).collect()
    }

    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::Port,
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

/// Makes a port; gives its id, and its addresses.
pub(super) async fn make(
    access: &Access,
    name: &str,
    wish: &NewPort,
) -> Result<(String, PortAddresses), Fault> {
    let call = Call::post(
        NEUTRON,
        "ports",
        format!("create the port {name}"),
        json!({"port": body(name, wish)}),
    );
    let port = access.read::<One>(&call).await?.port;
    call.tells_of(name, &port.name)?;
    let addresses = port.fixed_ips.into_iter().map(|fixed| fixed.ip_address);
    let addresses = PortAddresses {
        addresses: addresses.collect(),
        mac: port.mac_address,
    };
    Ok((port.id, addresses))
}

/// Only what is wished for is named: naming an attribute, even with its usual value, asks for the
/// right to set it.
fn body(name: &str, wish: &NewPort) -> Map<String, Value> {
    let mut port = Map::new();
    let NewPort {
        network,
        fixed,
        mac,
        security_groups,
        port_security,
        vnic_type,
        bare,
        down,
        default_group,
        uplink_status,
    } = wish;
    let mut put = |key: &str, value: Value| port.insert(key.to_owned(), value);
    put("name", json!(name));
    put("network_id", json!(network));
    let fixed: Vec<Value> = fixed
        .iter()
        .map(|wish| {
            let mut fixed = Map::new();
            if let Some(subnet) = &wish.subnet {
                fixed.insert("subnet_id".to_owned(), json!(subnet));
            }
            if let Some(address) = &wish.address {
                fixed.insert("ip_address".to_owned(), json!(address));
            }
            Value::Object(fixed)
        })
        .collect();
    // An empty list means no address at all; without one Neutron chooses.
    if *bare || !fixed.is_empty() {
        put("fixed_ips", Value::Array(fixed));
    }
    if let Some(mac) = mac {
        put("mac_address", json!(mac));
    }
    // Neutron refuses groups on a port without port security, and puts the tenant's default group on one
    // with it where no list is sent: an empty list says that nothing may come in.
    if *port_security != Some(false) && !default_group {
        put("security_groups", json!(security_groups));
    }
    if let Some(enabled) = port_security {
        put("port_security_enabled", json!(enabled));
    }
    if let Some(kind) = vnic_type {
        put("binding:vnic_type", json!(kind));
    }
    if *down {
        put("admin_state_up", json!(false));
    }
    if let Some(follows) = uplink_status {
        put("propagate_uplink_status", json!(follows));
    }
    port
}

/// Sets one thing on a port.
pub(super) async fn set(access: &Access, id: &PortId, setting: &PortSetting) -> Result<(), Fault> {
    let action = format!("set the {} of the port {id}", setting.attribute());
    let (key, value) = match setting {
        PortSetting::Description(text) => ("description", json!(cut(text))),
        PortSetting::AddressPairs(pairs) => ("allowed_address_pairs", pairs_of(pairs)),
        PortSetting::DhcpOptions(options) => ("extra_dhcp_opts", options_of(options)),
        PortSetting::DnsName(name) => ("dns_name", json!(name)),
        PortSetting::DnsDomain(domain) => ("dns_domain", json!(domain)),
        PortSetting::QosPolicy(name) => (
            "qos_policy_id",
            json!(policy_named(access, name, &action).await?),
        ),
        PortSetting::NoAddress => ("fixed_ips", json!([])),
        PortSetting::Up(up) => ("admin_state_up", json!(up)),
        PortSetting::Tags(tags) => {
            let path = Path::of("ports", &id).word("tags");
            let call = Call::put(NEUTRON, path, action, json!({ "tags": tags }));
            return access.send(&call).await.map(drop);
        }
    };
    let body = json!({"port": {key: value}});
    let call = Call::put(NEUTRON, Path::of("ports", &id), action, body);
    access.send(&call).await.map(drop)
}

fn pairs_of(pairs: &[AddressPair]) -> Value {
    let pairs = pairs.iter().map(|pair| match &pair.mac {
        Some(mac) => json!({"ip_address": pair.address, "mac_address": mac}),
        None => json!({"ip_address": pair.address}),
    });
    pairs.collect()
}

fn options_of(options: &[DhcpOption]) -> Value {
    let options = options.iter().map(|option| {
        json!({"opt_name": option.name, "opt_value": option.value, "ip_version": option.ip_version})
    });
    options.collect()
}

#[derive(Deserialize)]
struct Policy {
    id: String,
    #[serde(default, deserialize_with = "nullable")]
    name: String,
}

/// The one `QoS` policy of this name, of those that the tenant may use.
async fn policy_named(access: &Access, name: &str, action: &str) -> Result<String, Fault> {
    let call = Call::get(NEUTRON, "qos/policies", action).query("name", name);
    let mut found: Vec<Policy> = access.pages(call, "policies").await?;
    found.retain(|policy| policy.name == name);
    match found.as_slice() {
        [one] => Ok(one.id.clone()),
        several => {
            let count = several.len();
            let message = format!("there are {count} QoS policies named `{name}`");
            Err(Fault::new(FaultKind::Invalid, NEUTRON, action, message))
        }
    }
}

/// The name of a `QoS` policy; nothing where it may not be seen.
pub(super) async fn policy_name(access: &Access, id: &str) -> Result<Option<String>, Fault> {
    #[derive(Deserialize)]
    struct One {
        policy: Policy,
    }
    let action = format!("read the QoS policy {id}");
    let call = Call::get(NEUTRON, Path::of("qos/policies", &id), action);
    match access.read::<One>(&call).await {
        Ok(found) => Ok(Some(found.policy.name)),
        Err(fault) if is_refusal(&fault) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// Gives a port a name.
pub(super) async fn rename(access: &Access, id: &PortId, name: &str) -> Result<(), Fault> {
    let call = Call::put(
        NEUTRON,
        Path::of("ports", &id),
        format!("name the port {id}"),
        json!({"port": {"name": name}}),
    );
    access.send(&call).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{NetworkId, SecurityGroupId};

    fn wish(groups: &[&str], port_security: Option<bool>, bare: bool) -> NewPort {
        let groups = groups.iter().map(|id| SecurityGroupId::new(*id));
        NewPort {
            network: NetworkId::new("n"),
            fixed: Vec::new(),
            mac: None,
            security_groups: groups.collect(),
            port_security,
            vnic_type: None,
            bare,
            down: false,
            default_group: false,
            uplink_status: None,
        }
    }

    #[test]
    fn only_what_is_wished_for_is_named() {
        assert_eq!(
            Value::Object(body("p", &wish(&["g"], Some(false), false))),
            json!({"name": "p", "network_id": "n", "port_security_enabled": false})
        );
    }

    #[test]
    fn no_groups_and_no_addresses_are_said_and_not_left_to_neutron() {
        assert_eq!(
            Value::Object(body("p", &wish(&[], None, true))),
            json!({"name": "p", "network_id": "n", "security_groups": [], "fixed_ips": []})
        );
    }

    #[test]
    fn a_port_follows_its_uplink_or_not_where_that_has_to_be_said() {
        let mut wish = wish(&["g"], None, false);
        assert!(!body("p", &wish).contains_key("propagate_uplink_status"));
        wish.uplink_status = Some(false);
        assert_eq!(body("p", &wish)["propagate_uplink_status"], json!(false));
    }

    #[test]
    fn what_nova_writes_into_a_profile_is_not_told() {
        let port = |profile: Value| -> Port {
            serde_json::from_value(json!({"id": "p", "binding:profile": profile})).unwrap()
        };
        assert_eq!(port(json!({"os_vif_delegation": true})).odd(), []);
        let odd = port(json!({"os_vif_delegation": true, "trusted": "true"})).odd();
        assert_eq!(odd[0].value, r#"{"trusted":"true"}"#);
    }

    #[test]
    fn an_address_pair_with_the_ports_own_mac_follows_the_port() {
        let port: Port = serde_json::from_value(json!({"id": "p", "mac_address": "fa:16:3e:00:00:01",
            "allowed_address_pairs": [{"ip_address": "10.0.0.9", "mac_address": "FA:16:3E:00:00:01"},
                {"ip_address": "10.0.0.8", "mac_address": "fa:16:3e:00:00:02"}]}))
        .unwrap();
        let pairs = port.settings(None, None).address_pairs;
        assert_eq!(pairs[0].mac, None);
        assert_eq!(pairs[1].mac.as_deref(), Some("fa:16:3e:00:00:02"));
    }
}
