//! Addresses that the original had once and gave up, which say where they went; it may not know what
//! they did.

use axum::http::StatusCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    extract::Id,
    point,
    problem::{Problem, Refusal},
    restoration,
    server::RestState,
};
use crate::domain::id::PointId;

/// The addresses.
pub(super) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(delete_dr_backup))
        .routes(routes!(restore_dr_backup))
        .routes(routes!(delete_backup))
        .routes(routes!(restore_backup))
}

/// Went to DELETE of the DR backup itself.
#[utoipa::path(
    post,
    path = "/api/openstack-dr-backups/{uuid}/delete/",
    operation_id = "former_delete_dr_backup",
    tag = "Former addresses",
    params(("uuid" = Uuid, Path)),
    responses((status = 410, body = Refusal), (status = 404, body = Refusal))
)]
async fn delete_dr_backup(Id(id): Id) -> Problem {
    went("DELETE", &point::url(PointId::dr(id)))
}

/// Went to POST of a restoration that names the DR backup.
#[utoipa::path(
    post,
    path = "/api/openstack-dr-backups/{uuid}/restore/",
    operation_id = "former_restore_dr_backup",
    tag = "Former addresses",
    params(("uuid" = Uuid, Path)),
    responses((status = 410, body = Refusal), (status = 404, body = Refusal))
)]
async fn restore_dr_backup(Id(_id): Id) -> Problem {
    went("POST", restoration::OF_DR_BACKUPS)
}

/// Went to DELETE of the regular backup itself.
#[utoipa::path(
    post,
    path = "/api/openstack-backups/{uuid}/delete/",
    operation_id = "former_delete_backup",
    tag = "Former addresses",
    params(("uuid" = Uuid, Path)),
    responses((status = 410, body = Refusal), (status = 404, body = Refusal))
)]
async fn delete_backup(Id(id): Id) -> Problem {
    went("DELETE", &point::url(PointId::regular(id)))
}

/// Went to POST of a restoration that names the regular backup.
#[utoipa::path(
    post,
    path = "/api/openstack-backups/{uuid}/restore/",
    operation_id = "former_restore_backup",
    tag = "Former addresses",
    params(("uuid" = Uuid, Path)),
    responses((status = 410, body = Refusal), (status = 404, body = Refusal))
)]
async fn restore_backup(Id(_id): Id) -> Problem {
    went("POST", restoration::OF_BACKUPS)
}

fn went(method: &str, address: &str) -> Problem {
    Problem::new(
        StatusCode::GONE,
        "MOVED",
        "this address is no more",
        format!("send {method} to {address}"),
    )
    .instead(address)
}
