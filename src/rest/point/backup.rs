//! Regular backups at `/api/openstack-backups/`; it may not know how one is made.

use axum::Json;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    super::{
        extract::{Asked, Body, Id, Key, MissingCloud, Paging, Parameters},
        listing::{Accepted, Created, Listing},
        problem::{ChangeRefusals, Problem, Refusals},
        server::{Rest, RestState},
    },
    Backup, BackupChange, BackupFilter, NewBackup,
};
use crate::domain::id::{PointId, PointKind};

const KIND: PointKind = PointKind::Regular;

/// Its addresses.
pub(in crate::rest) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, update, post, delete))
}

/// Lists regular backups.
#[utoipa::path(
    get,
    path = "/api/openstack-backups/",
    operation_id = "list_backups",
    tag = "Regular backups",
    params(Paging, BackupFilter),
    responses((status = 200, body = Vec<Backup>), Refusals)
)]
async fn list(rest: Rest, asked: Asked<BackupFilter>) -> Result<Listing<Backup>, Problem> {
    super::list(&rest, KIND, asked).await
}

/// Makes a regular backup of an instance. With an `Idempotency-Key` it is safe to ask again.
#[utoipa::path(
    post,
    path = "/api/openstack-backups/",
    operation_id = "create_backup",
    tag = "Regular backups",
    params(Key),
    request_body = NewBackup,
    responses((status = 201, body = Backup, headers(("Location" = String))), ChangeRefusals)
)]
async fn create(
    rest: Rest,
    Key(request_id): Key,
    Body(wanted): Body<NewBackup>,
) -> Result<Created<Backup>, Problem> {
    super::create(&rest, KIND, request_id, wanted).await
}

/// Tells of a regular backup.
#[utoipa::path(
    get,
    path = "/api/openstack-backups/{uuid}/",
    operation_id = "get_backup",
    tag = "Regular backups",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = Backup), Refusals)
)]
async fn get(rest: Rest, Id(id): Id) -> Result<Json<Backup>, Problem> {
    super::get(&rest, PointId::regular(id)).await
}

/// Changes a regular backup, whose name has to be given.
#[utoipa::path(
    put,
    path = "/api/openstack-backups/{uuid}/",
    operation_id = "replace_backup",
    tag = "Regular backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = BackupChange,
    responses((status = 200, body = Backup), ChangeRefusals)
)]
async fn replace(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    super::change(&rest, PointId::regular(id), request_id, wanted, true).await
}

/// Changes a regular backup.
#[utoipa::path(
    patch,
    path = "/api/openstack-backups/{uuid}/",
    operation_id = "update_backup",
    tag = "Regular backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = BackupChange,
    responses((status = 200, body = Backup), ChangeRefusals)
)]
async fn update(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    super::change(&rest, PointId::regular(id), request_id, wanted, false).await
}

/// The same as PATCH, as the original's manual has it.
#[utoipa::path(
    post,
    path = "/api/openstack-backups/{uuid}/",
    operation_id = "post_backup",
    tag = "Regular backups",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = BackupChange,
    responses((status = 200, body = Backup), ChangeRefusals)
)]
async fn post(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    super::change(&rest, PointId::regular(id), request_id, wanted, false).await
}

/// Deletes a regular backup with its snapshots. It is gone when its address answers 404.
#[utoipa::path(
    delete,
    path = "/api/openstack-backups/{uuid}/",
    operation_id = "delete_backup",
    tag = "Regular backups",
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
    super::delete(&rest, PointId::regular(id), &asked, request_id).await
}
