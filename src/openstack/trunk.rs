//! Neutron trunks: the networks of their sub ports reach a guest as VLANs over the parent port; this file
//! may not know which server that port is for.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    access::Access,
    attributes::{self, Odd},
    call::Call,
    network::{self, is_refusal},
    path::Path,
    port::{Port, SubPort, TrunkDetails},
    wire::{cut, nullable},
};
use crate::domain::{
    effect::NewTrunk,
    fault::{Fault, Service},
    id::{Tenant, TrunkId},
    sighting::{Sighting, Thing, ThingKind},
    time::Timestamp,
};

const NEUTRON: Service = Service::Network;

/// The extension of Neutron without which there are none.
pub(super) const EXTENSION: &str = "trunk";

/// A trunk as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Trunk {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) description: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) port_id: String,
    #[serde(default, deserialize_with = "nullable")]
    status: String,
    #[serde(default)]
    pub(super) admin_state_up: Option<bool>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) tags: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) sub_ports: Vec<SubPort>,
    #[serde(default)]
    created_at: Option<String>,
    /// What says something and is not restored.
    #[serde(flatten, deserialize_with = "attributes::of_trunk")]
    pub(super) odd: Vec<Odd>,
}

#[derive(Deserialize)]
pub(super) struct One {
    pub(super) trunk: Trunk,
}

impl Trunk {
    /// Whether a port is its parent or one of its sub ports.
    pub(super) fn has(&self, port: &str) -> bool {
        let mut sub_ports = self.sub_ports.iter();
        self.port_id == port || sub_ports.any(|sub| sub.port_id == port)
    }

    pub(super) fn sighting(self) -> Sighting {
        Sighting {
            thing: Thing {
                kind: ThingKind::Trunk,
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

    /// As much of it as its parent port shows.
    fn shown_by(port: &Port, details: &TrunkDetails) -> Self {
        Self {
            id: details.trunk_id.clone(),
            name: String::new(),
            description: String::new(),
            port_id: port.id.clone(),
            status: String::new(),
            admin_state_up: None,
            tags: Vec::new(),
            sub_ports: details.sub_ports.clone(),
            created_at: None,
            odd: Vec::new(),
        }
    }
}

/// A trunk with its sub ports.
pub(super) struct Wired {
    pub(super) trunk: Trunk,
    /// The sub ports, as the trunk and as Neutron show each.
    pub(super) sub_ports: Vec<(SubPort, Port)>,
}

/// The trunks of which these are the parent ports; what could not be read is told among the gaps.
pub(super) async fn read(
    access: &Access,
    parents: &[Port],
    gaps: &mut Vec<String>,
) -> Result<Vec<Wired>, Fault> {
    let shown: Vec<(&Port, &TrunkDetails)> = parents
        .iter()
        .filter_map(|port| Some((port, port.trunk_details.as_ref()?)))
        .collect();
    if shown.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<String> = (shown.iter())
        .map(|(_, details)| details.trunk_id.clone())
        .collect();
    let trunks: Vec<Trunk> = match network::having(access, "trunks", "id", &ids).await {
        Ok(trunks) => trunks,
        Err(fault) if is_refusal(&fault) => {
            gaps.push(format!(
                "the names and settings of trunks could not be read: {fault}"
            ));
            Vec::new()
        }
        Err(fault) => return Err(fault),
    };
    let trunks: Vec<Trunk> = shown
        .into_iter()
        .map(|(port, details)| {
            let found = trunks.iter().find(|trunk| trunk.id == details.trunk_id);
            found
                .cloned()
                .unwrap_or_else(|| Trunk::shown_by(port, details))
        })
        .collect();
    let ids: Vec<String> = trunks
        .iter()
        .flat_map(|trunk| trunk.sub_ports.iter().map(|sub| sub.port_id.clone()))
        .collect();
    let ports: Vec<Port> = if ids.is_empty() {
        Vec::new()
    } else {
        network::having(access, "ports", "id", &ids).await?
    };
    let mut wired = Vec::new();
    for trunk in trunks {
        let mut sub_ports = Vec::new();
        for sub in &trunk.sub_ports {
            match ports.iter().find(|port| port.id == sub.port_id) {
                Some(port) => sub_ports.push((sub.clone(), port.clone())),
                None => gaps.push(format!(
                    "the sub port {} ({} {}) of the trunk {} could not be read: the cloud does not show it",
                    sub.port_id, sub.segmentation_type, sub.segmentation_id, trunk.id
                )),
            }
        }
        wired.push(Wired { trunk, sub_ports });
    }
    Ok(wired)
}

/// Trunks; none where Neutron does not know what that is.
pub(super) async fn list(access: &Access, call: Call) -> Result<Vec<Trunk>, Fault> {
    match access.pages(call, "trunks").await {
        Err(fault) if fault.status == Some(404) => Ok(Vec::new()),
        other => other,
    }
}

/// Those of a tenant.
pub(super) async fn list_of(
    access: &Access,
    tenant: &Tenant,
    call: Call,
) -> Result<Vec<Trunk>, Fault> {
    match access.pages_of(tenant, call, "trunks").await {
        Err(fault) if fault.status == Some(404) => Ok(Vec::new()),
        other => other,
    }
}

/// Makes a trunk; gives its id. It comes before the server: a parent port that is bound is refused where the
/// driver cannot change its wiring any more (`can_trunk_bound_port` of ML2/OVS, Zed to 2026.1).
pub(super) async fn make(access: &Access, name: &str, wish: &NewTrunk) -> Result<String, Fault> {
    let call = Call::post(
        NEUTRON,
        "trunks",
        format!("create the trunk {name}"),
        json!({ "trunk": body(name, wish) }),
    );
    let trunk = access.read::<One>(&call).await?.trunk;
    call.tells_of(name, &trunk.name)?;
    Ok(trunk.id)
}

/// Only what is wished for is named.
fn body(name: &str, wish: &NewTrunk) -> Value {
    let NewTrunk {
        port,
        sub_ports,
        description,
        down,
    } = wish;
    let sub_ports: Vec<Value> = sub_ports
        .iter()
        .map(|sub| {
            json!({"port_id": sub.port, "segmentation_type": sub.segmentation_type,
                "segmentation_id": sub.segmentation_id})
        })
        .collect();
    let mut body = json!({"name": name, "port_id": port, "sub_ports": sub_ports});
    if !description.is_empty() {
        body["description"] = json!(cut(description));
    }
    if *down {
        body["admin_state_up"] = json!(false);
    }
    body
}

/// Gives a trunk its name, and its tags where it has some.
pub(super) async fn apply(
    access: &Access,
    id: &TrunkId,
    name: &str,
    tags: &[String],
) -> Result<(), Fault> {
    let call = Call::put(
        NEUTRON,
        Path::of("trunks", &id),
        format!("name the trunk {id}"),
        json!({"trunk": {"name": name}}),
    );
    access.send(&call).await?;
    if tags.is_empty() {
        return Ok(());
    }
    let call = Call::put(
        NEUTRON,
        Path::of("trunks", &id).word("tags"),
        format!("set the tags of the trunk {id}"),
        json!({ "tags": tags }),
    );
    access.send(&call).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{effect, id::PortId};

    #[test]
    fn only_what_is_wished_for_is_named() {
        let wish = |description: &str, down| NewTrunk {
            port: PortId::new("p"),
            sub_ports: vec![effect::SubPort {
                port: PortId::new("s"),
                segmentation_type: "vlan".to_owned(),
                segmentation_id: 101,
            }],
            description: description.to_owned(),
            down,
        };
        let sub_ports =
            json!([{"port_id": "s", "segmentation_type": "vlan", "segmentation_id": 101}]);
        assert_eq!(
            body("t", &wish("", false)),
            json!({"name": "t", "port_id": "p", "sub_ports": sub_ports})
        );
        assert_eq!(
            body("t", &wish("d", true)),
            json!({"name": "t", "port_id": "p", "sub_ports": sub_ports, "description": "d",
                "admin_state_up": false})
        );
    }
}
