//! Restorations, of DR backups at `/api/openstack-dr-backup-restorations/` and of regular ones at
//! `/api/openstack-backup-restorations/`; it may not know how an instance is rebuilt.

#![expect(
    unused_qualifications,
    reason = "utoipa writes out the names of parameters"
)]

use axum::Json;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    extract::{Asked, Body, Id, Key, Paging, Wanted, once, reference, tenant},
    instance,
    listing::{Created, Listing},
    point,
    problem::{ChangeRefusals, Names, Problem, Refusals},
    query,
    responses::{self, StateName},
    server::{Rest, RestState},
};
use crate::{
    domain::{
        error::Error,
        id::{CloudName, FlavorId, PointId, PointKind, ProjectId, RestorationId, Tenant},
        page::Filter,
        restoration::{Restoration as Kept, RestoreOptions},
    },
    service::{fields::Fields, restoration::CreateRestoration},
};

/// Where those of DR backups are.
pub(super) const OF_DR_BACKUPS: &str = "/api/openstack-dr-backup-restorations/";
/// Where those of regular backups are.
pub(super) const OF_BACKUPS: &str = "/api/openstack-backup-restorations/";

/// What fields are called elsewhere, and here.
const NAMES: Names = &[("flavor_id", "flavor")];

/// What the parameters of its list are called.
const PARAMETERS: Names = &[
    ("dr_backup_id", "backup_uuid"),
    ("backup_id", "backup_uuid"),
];

/// A restoration: the rebuilding of an instance from a backup.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Restoration {
    /// Its address.
    url: String,
    /// Its id.
    uuid: Uuid,
    /// The address of the backup that it restores.
    backup: String,
    /// The id of that.
    backup_uuid: Uuid,
    /// The cloud in which the instance is made.
    cloud: String,
    /// The project in that cloud.
    tenant: String,
    /// The flavor that was asked for.
    flavor: Option<String>,
    /// The address of the instance.
    instance: String,
    /// The id of that, known from the first answer on.
    instance_uuid: Uuid,
    /// The name of that.
    instance_name: String,
    /// The state of that.
    instance_state: StateName,
    /// The state of the restoration itself.
    state: StateName,
    /// The same for people.
    runtime_state: String,
    /// Why it failed, and what to do; empty where it did not.
    error_message: String,
    /// What is not exactly as it was, and why, one sentence each.
    adjustments: Vec<String>,
    /// The same by its parts; empty means an exact copy.
    differences: Vec<Difference>,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    modified: String,
}

/// One thing of a restored instance that is not exactly as it was.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Difference {
    /// What differs, as a path, such as `port 0 (eth-a) security_groups`.
    attribute: String,
    /// As it was; empty where it was nothing, or is not known.
    was: String,
    /// As it is; empty where it is nothing, or is not known.
    is: String,
    /// Why it differs.
    why: String,
}

/// A restoration, as its backup lists it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RestorationSummary {
    /// Its address.
    url: String,
    /// Its id.
    uuid: Uuid,
    /// The address of the instance.
    instance: String,
    /// The id of that.
    instance_uuid: Uuid,
    /// The name of that.
    instance_name: String,
    /// The state of that.
    instance_state: StateName,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created: String,
}

/// What restores a DR backup.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDrBackupRestoration {
    /// The DR backup, by its address or its id.
    #[serde(default)]
    #[schema(required, min_length = 1)]
    backup: String,
    /// The cloud to restore it in, by its name in the configuration.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 255)]
    cloud: String,
    /// The project in that cloud, by its id.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 255)]
    tenant: String,
    /// The flavor, by its id; where none is given, the smallest that fits.
    #[schema(max_length = 255)]
    flavor: Option<String>,
    /// The name of the instance; that of the original where none is given.
    name: Option<String>,
}

impl Wanted for NewDrBackupRestoration {
    type Told = Restoration;
}

/// What restores a regular backup, in the tenant in which it was made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackupRestoration {
    /// The regular backup, by its address or its id.
    #[serde(default)]
    #[schema(required, min_length = 1)]
    backup: String,
    /// The flavor, by its id; where none is given, the smallest that fits.
    #[schema(max_length = 255)]
    flavor: Option<String>,
    /// The name of the instance; that of the original where none is given.
    name: Option<String>,
}

impl Wanted for NewBackupRestoration {
    type Told = Restoration;
}

/// What narrows a list of restorations.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RestorationFilter {
    /// A part of the name of the instance.
    #[serde(default, deserialize_with = "once")]
    name: Option<String>,
    /// One of these states of the restoration; may be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<StateName>>)]
    state: Vec<String>,
    /// The backup.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<Uuid>)]
    backup_uuid: Option<String>,
    /// The cloud, by name.
    #[serde(default, deserialize_with = "once")]
    #[param(min_length = 1, max_length = 255)]
    cloud: Option<String>,
    /// The project, by id.
    #[serde(default, deserialize_with = "once")]
    #[param(min_length = 1, max_length = 255)]
    tenant: Option<String>,
}

/// Their addresses.
pub(super) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list_of_dr_backups, create_of_dr_backup))
        .routes(routes!(get_of_dr_backup))
        .routes(routes!(list_of_backups, create_of_backup))
        .routes(routes!(get_of_backup))
}

/// Lists the restorations of DR backups.
#[utoipa::path(
    get,
    path = "/api/openstack-dr-backup-restorations/",
    operation_id = "list_dr_backup_restorations",
    tag = "DR backup restorations",
    params(Paging, RestorationFilter),
    responses((status = 200, body = Vec<Restoration>), Refusals)
)]
async fn list_of_dr_backups(
    rest: Rest,
    asked: Asked<RestorationFilter>,
) -> Result<Listing<Restoration>, Problem> {
    list(&rest, asked, PointKind::Dr).await
}

/// Restores a DR backup. With an `Idempotency-Key` it is safe to ask again.
#[utoipa::path(
    post,
    path = "/api/openstack-dr-backup-restorations/",
    operation_id = "create_dr_backup_restoration",
    tag = "DR backup restorations",
    params(Key),
    request_body = NewDrBackupRestoration,
    responses((status = 201, body = Restoration, headers(("Location" = String))), ChangeRefusals)
)]
async fn create_of_dr_backup(
    rest: Rest,
    Key(request_id): Key,
    Body(wanted): Body<NewDrBackupRestoration>,
) -> Result<Created<Restoration>, Problem> {
    let mut fields = Fields::new(rest.service.limits());
    let id = reference(
        &mut fields,
        "backup",
        &wanted.backup,
        point::path(PointKind::Dr),
    );
    let tenant = tenant(&mut fields, wanted.cloud, wanted.tenant);
    let options = options(&mut fields, wanted.flavor, wanted.name);
    let request_id = fields.request_id(request_id);
    fields.done()?;
    create(&rest, PointId::dr(id), tenant, options, request_id).await
}

/// Tells of a restoration of a DR backup.
#[utoipa::path(
    get,
    path = "/api/openstack-dr-backup-restorations/{uuid}/",
    operation_id = "get_dr_backup_restoration",
    tag = "DR backup restorations",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = Restoration), Refusals)
)]
async fn get_of_dr_backup(rest: Rest, Id(id): Id) -> Result<Json<Restoration>, Problem> {
    get(&rest, id, PointKind::Dr).await
}

/// Lists the restorations of regular backups.
#[utoipa::path(
    get,
    path = "/api/openstack-backup-restorations/",
    operation_id = "list_backup_restorations",
    tag = "Regular backup restorations",
    params(Paging, RestorationFilter),
    responses((status = 200, body = Vec<Restoration>), Refusals)
)]
async fn list_of_backups(
    rest: Rest,
    asked: Asked<RestorationFilter>,
) -> Result<Listing<Restoration>, Problem> {
    list(&rest, asked, PointKind::Regular).await
}

/// Restores a regular backup in its own tenant. With an `Idempotency-Key` it is safe to ask again.
#[utoipa::path(
    post,
    path = "/api/openstack-backup-restorations/",
    operation_id = "create_backup_restoration",
    tag = "Regular backup restorations",
    params(Key),
    request_body = NewBackupRestoration,
    responses((status = 201, body = Restoration, headers(("Location" = String))), ChangeRefusals)
)]
async fn create_of_backup(
    rest: Rest,
    Key(request_id): Key,
    Body(wanted): Body<NewBackupRestoration>,
) -> Result<Created<Restoration>, Problem> {
    let mut fields = Fields::new(rest.service.limits());
    let id = PointId::regular(reference(
        &mut fields,
        "backup",
        &wanted.backup,
        point::path(PointKind::Regular),
    ));
    let options = options(&mut fields, wanted.flavor, wanted.name);
    let request_id = fields.request_id(request_id);
    fields.done()?;
    let found = rest.service.point_get(id).await;
    let found = found.map_err(|error| Problem::about(error, "backup", NAMES))?;
    create(&rest, id, found.tenant, options, request_id).await
}

/// Tells of a restoration of a regular backup.
#[utoipa::path(
    get,
    path = "/api/openstack-backup-restorations/{uuid}/",
    operation_id = "get_backup_restoration",
    tag = "Regular backup restorations",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = Restoration), Refusals)
)]
async fn get_of_backup(rest: Rest, Id(id): Id) -> Result<Json<Restoration>, Problem> {
    get(&rest, id, PointKind::Regular).await
}

async fn list(
    rest: &Rest,
    asked: Asked<RestorationFilter>,
    kind: PointKind,
) -> Result<Listing<Restoration>, Problem> {
    let wanted = asked.filter;
    let mut fields = Fields::new(rest.service.limits());
    let given = &mut fields;
    let filter = Filter {
        cloud: query::foreign(given, "cloud", wanted.cloud).map(CloudName::new),
        project: query::foreign(given, "tenant", wanted.tenant).map(ProjectId::new),
        kind: Some(kind),
        points: query::id(given, "backup_uuid", wanted.backup_uuid, |id| PointId {
            kind,
            id,
        })
        .into_iter()
        .collect(),
        states: query::states(given, &wanted.state),
        name_part: query::part(given, "name", wanted.name),
        ..Filter::default()
    };
    let (query, page) = query::query(fields, filter, &asked.paging, rest.sizes)?;
    let found = rest.service.restorations_list(query).await;
    let found = found.map_err(|error| Problem::of(error, PARAMETERS))?;
    Ok(Listing {
        rows: found.items.into_iter().map(tell).collect(),
        page,
        more: found.next.is_some(),
        uri: asked.uri,
    })
}

async fn get(rest: &Rest, id: Uuid, kind: PointKind) -> Result<Json<Restoration>, Problem> {
    let found = rest.service.restoration_get(RestorationId(id)).await?;
    if found.source.kind == kind {
        return Ok(Json(tell(found)));
    }
    Err(Error::not_found("restoration", id)
        .advise("restorations of the other kind of backup have another address")
        .into())
}

fn options(
    fields: &mut Fields<'_>,
    flavor: Option<String>,
    name: Option<String>,
) -> RestoreOptions {
    RestoreOptions {
        name: fields.instance_name("name", name.unwrap_or_default()),
        flavor: fields
            .optional("flavor", flavor.unwrap_or_default())
            .map(FlavorId::new),
        ..RestoreOptions::default()
    }
}

async fn create(
    rest: &Rest,
    source: PointId,
    tenant: Tenant,
    options: RestoreOptions,
    request_id: String,
) -> Result<Created<Restoration>, Problem> {
    let ask = CreateRestoration {
        source,
        tenant,
        options,
        deadline: None,
        validate_only: false,
        request_id,
    };
    let made = rest.service.restoration_create(ask).await;
    let made = made.map_err(|error| Problem::about(error, "backup", NAMES))?;
    Ok(Created {
        url: url(&made),
        told: tell(made),
    })
}

/// The address of one.
pub(super) fn url(restoration: &Kept) -> String {
    let below = match restoration.source.kind {
        PointKind::Dr => OF_DR_BACKUPS,
        PointKind::Regular => OF_BACKUPS,
    };
    format!("{below}{}/", restoration.id)
}

/// One as its backup lists it.
pub(super) fn summary(restoration: &Kept) -> RestorationSummary {
    RestorationSummary {
        url: url(restoration),
        uuid: restoration.id.0,
        instance: instance::url(restoration.instance),
        instance_uuid: restoration.instance.0,
        instance_name: restoration.instance_name.clone(),
        instance_state: responses::state(restoration.instance_state()),
        created: responses::time(restoration.head.created),
    }
}

fn tell(restoration: Kept) -> Restoration {
    let source = restoration.source;
    let flavor = restoration.options.flavor.as_ref();
    Restoration {
        url: url(&restoration),
        uuid: restoration.id.0,
        backup: point::url(source),
        backup_uuid: source.id,
        cloud: restoration.tenant.cloud.to_string(),
        tenant: restoration.tenant.project.to_string(),
        flavor: flavor.map(ToString::to_string),
        instance: instance::url(restoration.instance),
        instance_uuid: restoration.instance.0,
        instance_state: responses::state(restoration.instance_state()),
        state: responses::state(restoration.head.state),
        error_message: responses::error(restoration.head.error.as_ref()),
        created: responses::time(restoration.head.created),
        modified: responses::time(restoration.head.updated),
        instance_name: restoration.instance_name,
        runtime_state: restoration.head.runtime_state,
        adjustments: restoration.detail.adjustments(),
        differences: restoration
            .detail
            .differences
            .into_iter()
            .map(|one| Difference {
                attribute: one.attribute,
                was: one.was,
                is: one.is,
                why: one.why,
            })
            .collect(),
    }
}
