//! The instances that restorations made, at `/api/openstack-instances/`; it may not know how one is read.

use axum::Json;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    extract::Id,
    problem::{Problem, Refusals},
    responses::{self, Metadata, StateName},
    restoration,
    server::{Rest, RestState},
};
use crate::domain::id::InstanceId;

/// Where they are.
const PATH: &str = "/api/openstack-instances/";

/// An instance that a restoration made or is making.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Instance {
    /// Its address.
    url: String,
    /// Its id here, known before its server exists.
    uuid: Uuid,
    /// Always the same.
    resource_type: &'static str,
    /// The id of its server; empty before that exists.
    backend_id: String,
    /// Its name.
    name: String,
    /// For programs.
    state: StateName,
    /// What its cloud says of the server; empty before that exists.
    runtime_state: String,
    /// Why it was not made, and what to do; empty otherwise.
    error_message: String,
    /// When its restoration was asked for.
    #[schema(format = DateTime)]
    created: String,
    /// The cloud in which it is.
    cloud: String,
    /// The project in that cloud.
    tenant: String,
    /// The address of its restoration.
    restoration: String,
    /// Its cores; missing before its server exists.
    cores: Option<u64>,
    /// Its memory, MiB.
    ram: Option<u64>,
    /// All its volumes together, MiB.
    disk: Option<u64>,
    /// The name of its flavor.
    flavor_name: Option<String>,
    /// The name of its key pair.
    key_name: Option<String>,
    /// Its addresses in its networks.
    internal_ips: Vec<String>,
    /// Its floating addresses.
    external_ips: Vec<String>,
    /// All that is known of it, as its cloud shows it now.
    metadata: Option<Metadata>,
}

/// Their addresses.
pub(super) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Tells of an instance, as its cloud shows it now.
#[utoipa::path(
    get,
    path = "/api/openstack-instances/{uuid}/",
    operation_id = "get_instance",
    tag = "Restored instances",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = Instance), Refusals)
)]
async fn get(rest: Rest, Id(id): Id) -> Result<Json<Instance>, Problem> {
    let instance = InstanceId(id);
    let found = rest.service.restoration_of_instance(instance).await?;
    let read = rest.service.restored_instance(&found).await?;
    let read = read.as_ref();
    let ports = || read.iter().flat_map(|manifest| &manifest.ports);
    let metadata = read.map(responses::metadata);
    Ok(Json(Instance {
        url: url(instance),
        uuid: id,
        resource_type: "OpenStack.Instance",
        backend_id: found
            .detail
            .server
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default(),
        state: responses::state(found.instance_state()),
        runtime_state: read.map_or_else(
            || found.detail.server_status.clone(),
            |manifest| manifest.status.clone(),
        ),
        error_message: responses::error(found.head.error.as_ref()),
        created: responses::time(found.head.created),
        cloud: found.tenant.cloud.to_string(),
        tenant: found.tenant.project.to_string(),
        restoration: restoration::url(&found),
        cores: read.map(|manifest| manifest.flavor.cores),
        ram: read.map(|manifest| manifest.flavor.ram_mib),
        disk: read.map(|manifest| manifest.storage_gib() * responses::MIB),
        flavor_name: read.map(|manifest| manifest.flavor.name.clone()),
        key_name: read.and_then(|manifest| Some(manifest.key.as_ref()?.name.clone())),
        internal_ips: ports()
            .flat_map(|port| &port.fixed)
            .map(|fixed| fixed.address.clone())
            .collect(),
        external_ips: ports().flat_map(|port| port.floating.clone()).collect(),
        metadata,
        name: found.instance_name,
    }))
}

/// The address of one.
pub(super) fn url(id: InstanceId) -> String {
    format!("{PATH}{id}/")
}
