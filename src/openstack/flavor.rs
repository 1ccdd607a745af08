//! Nova flavors; this file may not know which server has one.

use serde::Deserialize;

use super::{
    access::Access,
    call::Call,
    path::Path,
    version::Microversion,
    wire::{nullable, number, properties},
};
use crate::domain::{
    fault::{Fault, Service},
    id::FlavorId,
    inventory,
    manifest::{FlavorShape, Properties},
};

const NOVA: Service = Service::Compute;

/// From here on a flavor comes with its extra specs.
const EXTRA_SPECS: Microversion = Microversion(2, 61);

/// A flavor as Nova shows it: in the list, or within a server from 2.47 on.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Flavor {
    #[serde(default)]
    pub(super) id: Option<String>,
    #[serde(default, alias = "original_name", deserialize_with = "nullable")]
    name: String,
    #[serde(default, deserialize_with = "number")]
    vcpus: u64,
    #[serde(default, deserialize_with = "number")]
    ram: u64,
    #[serde(default, deserialize_with = "number")]
    disk: u64,
    #[serde(
        default,
        alias = "OS-FLV-EXT-DATA:ephemeral",
        deserialize_with = "number"
    )]
    ephemeral: u64,
    #[serde(default, deserialize_with = "number")]
    swap: u64,
    #[serde(default, deserialize_with = "properties")]
    extra_specs: Properties,
}

#[derive(Deserialize)]
struct One {
    flavor: Flavor,
}

impl Flavor {
    pub(super) fn shape(self) -> FlavorShape {
        FlavorShape {
            id: self.id.map(FlavorId::new),
            name: self.name,
            cores: self.vcpus,
            ram_mib: self.ram,
            disk_gib: self.disk,
            ephemeral_gib: self.ephemeral,
            swap_mib: self.swap,
            properties: self.extra_specs,
        }
    }
}

/// The flavors that the tenant may use.
pub(super) async fn list(access: &Access) -> Result<Vec<inventory::Flavor>, Fault> {
    let version = access.first_of(NOVA, &[EXTRA_SPECS]).await?;
    let call = Call::get(NOVA, "flavors/detail", "list the flavors").at(version);
    let flavors: Vec<Flavor> = access.pages(call, "flavors").await?;
    Ok(flavors
        .into_iter()
        .filter_map(|flavor| {
            Some(inventory::Flavor {
                id: FlavorId::new(flavor.id.clone()?),
                shape: flavor.shape(),
            })
        })
        .collect())
}

/// One flavor, if it is still there.
pub(super) async fn get(access: &Access, id: &str) -> Result<Option<Flavor>, Fault> {
    let version = access.first_of(NOVA, &[EXTRA_SPECS]).await?;
    let call = Call::get(
        NOVA,
        Path::of("flavors", &id),
        format!("read the flavor {id}"),
    );
    let found: Option<One> = access.read_if_there(&call.at(version)).await?;
    Ok(found.map(|one| one.flavor))
}
