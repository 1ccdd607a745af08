//! DR backups at `/api/openstack-dr-backups/`; it may not know how one is made.

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
    super::{
        extract::{Asked, Body, Id, Key, MissingCloud, Paging, Parameters, Wanted, nullable, once},
        listing::{Accepted, Created, Listing},
        problem::{ChangeRefusals, Problem, Refusals},
        responses::{Metadata, StateName},
        restoration::RestorationSummary,
        server::{Rest, RestState},
    },
    Backup, BackupChange, BackupFilter, NewBackup,
};
use crate::domain::id::{PointId, PointKind};

const KIND: PointKind = PointKind::Dr;

/// A DR backup: what brings an instance back in another cloud.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct DrBackup {
    /// Its address.
    url: String,
    /// Its id.
    uuid: Uuid,
    /// Always the same.
    resource_type: &'static str,
    /// Its name.
    name: String,
    /// Its description.
    description: String,
    /// For programs.
    state: StateName,
    /// For people.
    runtime_state: String,
    /// Why the last work on it failed, and what to do; empty where nothing did.
    error_message: String,
    /// When it was asked for.
    #[schema(format = DateTime)]
    created: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    modified: String,
    /// When the work on it last began.
    #[schema(format = DateTime)]
    start_time: Option<String>,
    /// The cloud in which the instance lives.
    cloud: String,
    /// The project in that cloud.
    tenant: String,
    /// The instance, by the id of its server.
    source_instance: String,
    /// The name of the instance.
    source_instance_name: String,
    /// Always empty: it is more than one thing in a cloud.
    backend_id: &'static str,
    /// The tags of the instance.
    tags: Vec<String>,
    /// The address of the schedule that made it.
    backup_schedule: Option<String>,
    /// When it goes by itself.
    #[schema(format = DateTime)]
    kept_until: Option<String>,
    /// Whether it is on hold: nobody removes it before that is lifted.
    held: bool,
    /// Whether it can be restored.
    recoverable: bool,
    /// Why not; empty where it can.
    unrecoverable_reason: String,
    /// When all of it was last seen: the age of the claim that it can be restored.
    #[schema(format = DateTime)]
    verified_time: Option<String>,
    /// What is known of the instance, as soon as it was read.
    metadata: Option<Metadata>,
    /// Its restorations, newest first.
    restorations: Vec<RestorationSummary>,
}

/// What makes a DR backup.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDrBackup {
    /// The cloud in which the instance lives, by its name in the configuration.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 255)]
    cloud: String,
    /// The project in that cloud, by its id.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 255)]
    tenant: String,
    /// The instance, by the id of its server.
    #[serde(default)]
    #[schema(required, min_length = 1, max_length = 255)]
    source_instance: String,
    /// Its name; that of the instance where none is given.
    name: Option<String>,
    /// Its description, which its volume backups get too.
    description: Option<String>,
    /// When it goes by itself.
    #[schema(format = DateTime)]
    kept_until: Option<String>,
    /// Whether it is on hold.
    #[serde(default)]
    held: bool,
}

impl Wanted for NewDrBackup {
    type Told = DrBackup;
}

/// What changes a DR backup; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DrBackupChange {
    /// Its name.
    #[schema(min_length = 1)]
    name: Option<String>,
    /// Its description.
    description: Option<String>,
    /// When it goes by itself; null means never.
    #[serde(default, deserialize_with = "nullable")]
    #[schema(value_type = Option<String>, format = DateTime)]
    #[expect(clippy::option_option, reason = "null and missing are two things")]
    kept_until: Option<Option<String>>,
    /// Whether it is on hold.
    held: Option<bool>,
}

impl Wanted for DrBackupChange {
    type Told = DrBackup;
}

/// What narrows a list of DR backups.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DrBackupFilter {
    /// A part of the name.
    #[serde(default, deserialize_with = "once")]
    name: Option<String>,
    /// A part of the description.
    #[serde(default, deserialize_with = "once")]
    description: Option<String>,
    /// One of these states; may be repeated.
    #[serde(default)]
    #[param(value_type = Option<Vec<StateName>>)]
    state: Vec<String>,
    /// The id.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<Uuid>)]
    uuid: Option<String>,
    /// The instance, by the id of its server.
    #[serde(default, deserialize_with = "once")]
    #[param(min_length = 1, max_length = 255)]
    source_instance_uuid: Option<String>,
    /// The cloud, by name.
    #[serde(default, deserialize_with = "once")]
    #[param(min_length = 1, max_length = 255)]
    cloud: Option<String>,
    /// The project, by id.
    #[serde(default, deserialize_with = "once")]
    #[param(min_length = 1, max_length = 255)]
    tenant: Option<String>,
    /// The schedule that made it.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<Uuid>)]
    backup_schedule_uuid: Option<String>,
}

impl From<Backup> for DrBackup {
    fn from(told: Backup) -> Self {
        Self {
            url: told.url,
            uuid: told.uuid,
            resource_type: told.resource_type,
            name: told.name,
            description: told.description,
            state: told.state,
            runtime_state: told.runtime_state,
            error_message: told.error_message,
            created: told.created,
            modified: told.modified,
            start_time: told.start_time,
            cloud: told.cloud,
            tenant: told.tenant,
            source_instance: told.instance,
            source_instance_name: told.instance_name,
            backend_id: "",
            tags: told.tags,
            backup_schedule: told.backup_schedule,
            kept_until: told.kept_until,
            held: told.held,
            recoverable: told.recoverable,
            unrecoverable_reason: told.unrecoverable_reason,
            verified_time: told.verified_time,
            metadata: told.metadata,
            restorations: told.restorations,
        }
    }
}

impl From<NewDrBackup> for NewBackup {
    fn from(asked: NewDrBackup) -> Self {
        Self {
            cloud: asked.cloud,
            tenant: asked.tenant,
            instance: asked.source_instance,
            name: asked.name,
            description: asked.description,
            kept_until: asked.kept_until,
            held: asked.held,
        }
    }
}

impl From<DrBackupChange> for BackupChange {
    fn from(asked: DrBackupChange) -> Self {
        Self {
            name: asked.name,
            description: asked.description,
            kept_until: asked.kept_until,
            held: asked.held,
        }
    }
}

impl From<DrBackupFilter> for BackupFilter {
    fn from(asked: DrBackupFilter) -> Self {
        Self {
            name: asked.name,
            description: asked.description,
            state: asked.state,
            uuid: asked.uuid,
            instance_uuid: asked.source_instance_uuid,
            cloud: asked.cloud,
            tenant: asked.tenant,
            backup_schedule_uuid: asked.backup_schedule_uuid,
        }
    }
}

/// Its addresses.
pub(in crate::rest) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, update, post, delete))
}

/// Lists DR backups.
#[utoipa::path(
    get,
    path = "/api/openstack-dr-backups/",
    operation_id = "list_dr_backups",
    tag = "DR backups",
    params(Paging, DrBackupFilter),
    responses((status = 200, body = Vec<DrBackup>), Refusals)
)]
async fn list(rest: Rest, asked: Asked<DrBackupFilter>) -> Result<Listing<DrBackup>, Problem> {
    super::list(&rest, KIND, asked.named()).await
}

/// Makes a DR backup of an instance. With an `Idempotency-Key` it is safe to ask again.
#[utoipa::path(
    post,
    path = "/api/openstack-dr-backups/",
    operation_id = "create_dr_backup",
    tag = "DR backups",
    params(Key),
    request_body = NewDrBackup,
    responses((status = 201, body = DrBackup, headers(("Location" = String))), ChangeRefusals)
)]
async fn create(
    rest: Rest,
    Key(request_id): Key,
    Body(wanted): Body<NewDrBackup>,
) -> Result<Created<DrBackup>, Problem> {
    super::create(&rest, KIND, request_id, wanted.into()).await
}

/// Tells of a DR backup.
#[utoipa::path(
    get,
    path = "/api/openstack-dr-backups/{uuid}/",
    operation_id = "get_dr_backup",
    tag = "DR backups",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = DrBackup), Refusals)
)]
async fn get(rest: Rest, Id(id): Id) -> Result<Json<DrBackup>, Problem> {
    super::get(&rest, PointId::dr(id)).await
}

/// Changes a DR backup, whose name has to be given.
#[utoipa::path(
    put,
    path = "/api/openstack-dr-backups/{uuid}/",
    operation_id = "replace_dr_backup",
    tag = "DR backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = DrBackupChange,
    responses((status = 200, body = DrBackup), ChangeRefusals)
)]
async fn replace(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<DrBackupChange>,
) -> Result<Json<DrBackup>, Problem> {
    super::change(&rest, PointId::dr(id), request_id, wanted.into(), true).await
}

/// Changes a DR backup.
#[utoipa::path(
    patch,
    path = "/api/openstack-dr-backups/{uuid}/",
    operation_id = "update_dr_backup",
    tag = "DR backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = DrBackupChange,
    responses((status = 200, body = DrBackup), ChangeRefusals)
)]
async fn update(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<DrBackupChange>,
) -> Result<Json<DrBackup>, Problem> {
    super::change(&rest, PointId::dr(id), request_id, wanted.into(), false).await
}

/// The same as PATCH, as the original's manual has it.
#[utoipa::path(
    post,
    path = "/api/openstack-dr-backups/{uuid}/",
    operation_id = "post_dr_backup",
    tag = "DR backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = DrBackupChange,
    responses((status = 200, body = DrBackup), ChangeRefusals)
)]
async fn post(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<DrBackupChange>,
) -> Result<Json<DrBackup>, Problem> {
    super::change(&rest, PointId::dr(id), request_id, wanted.into(), false).await
}

/// Deletes a DR backup with its bytes. It is gone when its address answers 404.
#[utoipa::path(
    delete,
    path = "/api/openstack-dr-backups/{uuid}/",
    operation_id = "delete_dr_backup",
    tag = "DR backups",
    params(
        ("uuid" = Uuid, Path),
        MissingCloud,
        Key
    ),
    responses((status = 202, body = Accepted), ChangeRefusals)
)]
async fn delete(
    rest: Rest,
    Id(id): Id,
    Parameters(asked): Parameters<MissingCloud>,
    Key(request_id): Key,
) -> Result<Accepted, Problem> {
    super::delete(&rest, PointId::dr(id), &asked, request_id).await
}
