//! Neutron networks, subnets and floating addresses; this file may not know what is attached to them.

use std::collections::BTreeSet;

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;

use super::{
    access::Access,
    call::Call,
    wire::{flag, nullable},
};
use crate::domain::{
    fault::{Fault, FaultKind, Service},
    id::{NetworkId, SubnetId, Tenant},
    inventory,
};

const NEUTRON: Service = Service::Network;

/// A network as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Network {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default)]
    project_id: Option<String>,
    #[serde(default)]
    tenant_id: Option<String>,
    #[serde(default, deserialize_with = "flag")]
    shared: bool,
    #[serde(default, rename = "router:external", deserialize_with = "flag")]
    external: bool,
}

/// A subnet as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Subnet {
    pub(super) id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub(super) cidr: String,
    #[serde(default)]
    ip_version: u8,
    #[serde(default, deserialize_with = "nullable")]
    network_id: String,
    #[serde(default)]
    ipv6_address_mode: Option<String>,
}

/// A floating address as Neutron shows it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct FloatingAddress {
    #[serde(default, deserialize_with = "nullable")]
    pub(super) floating_ip_address: String,
    #[serde(default)]
    pub(super) port_id: Option<String>,
}

/// Everything of a collection that has one of `values` in `field`; nothing when none is given. What
/// others want of the same collection at the same time comes with the same answers.
pub(super) async fn having<T: DeserializeOwned>(
    access: &Access,
    collection: &'static str,
    field: &str,
    values: &[String],
) -> Result<Vec<T>, Fault> {
    access
        .coalesced(collection, field, values.to_vec(), |values| {
            portions(access, collection, field, values, None)
        })
        .await
}

/// The same, asked for in portions, since an address must not become too long; of one project only,
/// where that is named.
pub(super) async fn portions(
    access: &Access,
    collection: &'static str,
    field: &str,
    values: Vec<String>,
    project: Option<&str>,
) -> Result<Vec<Box<RawValue>>, Fault> {
    let mut found = Vec::new();
    let key = collection.replace('-', "_");
    for portion in values.chunks(access.session.connection.limits().ids_per_filter) {
        let call = Call::get(NEUTRON, collection, format!("list the {collection}"));
        let call = portion
            .iter()
            .fold(call, |call, value| call.query(field, value.as_str()));
        let call = project
            .into_iter()
            .fold(call, |call, project| call.query("project_id", project));
        found.extend(access.pages(call, &key).await?);
    }
    Ok(found)
}

/// The extensions that Neutron has, by alias; nothing where it does not say.
pub(super) async fn extensions(access: &Access) -> Result<Option<BTreeSet<String>>, Fault> {
    #[derive(Deserialize)]
    struct Extensions {
        extensions: Vec<Extension>,
    }
    #[derive(Deserialize)]
    struct Extension {
        #[serde(default, deserialize_with = "nullable")]
        alias: String,
    }
    let call = Call::get(NEUTRON, "extensions", "list the extensions of Neutron");
    match access.read::<Extensions>(&call).await {
        Ok(Extensions { extensions }) => {
            let aliases = extensions.into_iter().map(|one| one.alias);
            Ok(Some(aliases.collect()))
        }
        Err(fault) if is_refusal(&fault) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The floating addresses of ports; none where Neutron has no routers.
pub(super) async fn floating(
    access: &Access,
    ports: &[String],
) -> Result<Vec<FloatingAddress>, Fault> {
    match having(access, "floatingips", "port_id", ports).await {
        Err(fault) if fault.status == Some(404) => Ok(Vec::new()),
        other => other,
    }
}

/// The networks that a tenant may use, with their subnets. An admin is shown those of everybody;
/// the ones that the tenant neither owns nor shares are left out.
pub(super) async fn list(
    access: &Access,
    tenant: &Tenant,
) -> Result<Vec<inventory::Network>, Fault> {
    let (networks, subnets) = futures::try_join!(
        access.pages::<Network>(
            Call::get(NEUTRON, "networks", "list the networks"),
            "networks",
        ),
        access.pages::<Subnet>(Call::get(NEUTRON, "subnets", "list the subnets"), "subnets"),
    )?;
    let project = Some(tenant.project.as_str());
    Ok(networks
        .into_iter()
        .map(|network| {
            let owner = network
                .project_id
                .as_deref()
                .or(network.tenant_id.as_deref());
            inventory::Network {
                owned: owner == project,
                shared: network.shared,
                external: network.external,
                subnets: subnets
                    .iter()
                    .filter(|subnet| subnet.network_id == network.id)
                    .map(|subnet| inventory::Subnet {
                        id: SubnetId::new(subnet.id.clone()),
                        name: subnet.name.clone(),
                        cidr: subnet.cidr.clone(),
                        ip_version: subnet.ip_version,
                        address_mode: subnet.ipv6_address_mode.clone(),
                    })
                    .collect(),
                id: NetworkId::new(network.id),
                name: network.name,
            }
        })
        .filter(|network| network.owned || network.shared || network.external)
        .collect())
}

/// Whether a fault of an optional read means "may not" or "is not there", and not "does not answer".
pub(super) fn is_refusal(fault: &Fault) -> bool {
    matches!(fault.kind, FaultKind::Forbidden | FaultKind::NotFound)
}
