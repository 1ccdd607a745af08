//! Neutron ports; this file may not know which server they are for.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    access::{Access, Call},
    wire::nullable,
};
use crate::domain::{
    effect::Request,
    fault::{Fault, Service},
    id::PortId,
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
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct FixedIp {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) subnet_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) ip_address: String,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) port: Port,
}

impl Port {
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

/// Makes a port; gives its id and its addresses.
pub(super) async fn make(
    access: &Access,
    name: &str,
    request: &Request,
) -> Result<(String, Vec<String>), Fault> {
    let call = Call::post(
        NEUTRON,
        "ports",
        format!("create the port {name}"),
        json!({"port": body(name, request)}),
    );
    let port = access.read::<One>(&call).await?.port;
    call.tells_of(name, &port.name)?;
    let addresses = port
        .fixed_ips
        .into_iter()
        .map(|fixed| fixed.ip_address)
        .collect();
    Ok((port.id, addresses))
}

/// Only what is wished for is named: naming an attribute, even with its usual value, asks for the
/// right to set it.
fn body(name: &str, request: &Request) -> Map<String, Value> {
    let mut port = Map::new();
    let Request::MakePort {
        network,
        fixed,
        mac,
        security_groups,
        port_security,
        vnic_type,
    } = request
    else {
        return port;
    };
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
    if !fixed.is_empty() {
        put("fixed_ips", Value::Array(fixed));
    }
    if let Some(mac) = mac {
        put("mac_address", json!(mac));
    }
    // Neutron refuses groups on a port without port security.
    if !security_groups.is_empty() && *port_security != Some(false) {
        put("security_groups", json!(security_groups));
    }
    if let Some(enabled) = port_security {
        put("port_security_enabled", json!(enabled));
    }
    if let Some(kind) = vnic_type {
        put("binding:vnic_type", json!(kind));
    }
    port
}

/// Gives a port a name.
pub(super) async fn rename(access: &Access, id: &PortId, name: &str) -> Result<(), Fault> {
    let call = Call::put(
        NEUTRON,
        format!("ports/{id}"),
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

    #[test]
    fn only_what_is_wished_for_is_named() {
        let request = Request::MakePort {
            network: NetworkId::new("n"),
            fixed: Vec::new(),
            mac: None,
            security_groups: vec![SecurityGroupId::new("g")],
            port_security: Some(false),
            vnic_type: None,
        };
        assert_eq!(
            Value::Object(body("p", &request)),
            json!({"name": "p", "network_id": "n", "port_security_enabled": false})
        );
    }
}
