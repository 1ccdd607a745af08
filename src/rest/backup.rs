//! Regular backups at `/api/openstack-backups/`; it may not know how one is made.

#![expect(
    unused_qualifications,
    reason = "utoipa writes out the names of parameters"
)]

use axum::{Json, extract::State, http::Uri};
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    asked::{self, Paging},
    given::{Body, Id, Key, MissingCloud, Parameters, Wanted, moment, nullable, once},
    listing::{Accepted, Created, Listing},
    problem::{ChangeRefusals, Names, Problem, Refusals},
    restoration::{self, RestorationSummary},
    schedule,
    server::Face,
    told::{self, Metadata, StateName},
};
use crate::{
    domain::{
        capture::Capture,
        id::{CloudName, PointId, PointKind, ProjectId, ScheduleId, ServerId, Tenant},
        keeping::{Keeping, Rekeeping},
        page::Filter,
        point::Point,
    },
    service::{
        fields::Fields,
        point::{CreatePoint, DeletePoint, UpdatePoint},
    },
};

/// Where they are.
pub(super) const PATH: &str = "/api/openstack-backups/";

/// What fields are called elsewhere, and here.
const NAMES: Names = &[("instance_id", "instance")];

/// What the parameters of its list are called elsewhere.
const PARAMETERS: Names = &[
    ("instance_id", "instance_uuid"),
    ("schedule_id", "backup_schedule_uuid"),
];

/// A regular backup: snapshots that bring an instance back in its own tenant.
#[expect(clippy::struct_field_names, reason = "the original named it so")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Backup {
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
    instance: String,
    /// The name of the instance.
    instance_name: String,
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

/// What makes a regular backup.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackup {
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
    instance: String,
    /// Its name; that of the instance where none is given.
    name: Option<String>,
    /// Its description, which its snapshots get too.
    description: Option<String>,
    /// When it goes by itself.
    #[schema(format = DateTime)]
    kept_until: Option<String>,
    /// Whether it is on hold.
    #[serde(default)]
    held: bool,
}

impl Wanted for NewBackup {
    type Told = Backup;
}

/// What changes a regular backup; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BackupChange {
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

impl Wanted for BackupChange {
    type Told = Backup;
}

/// What narrows a list of regular backups.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BackupFilter {
    /// Which page, counted from 1.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<u64>, minimum = 1)]
    page: Option<String>,
    /// Rows of a page; more than `rest.page_max` are not answered.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<u64>, minimum = 1)]
    page_size: Option<String>,
    /// By what the list is ordered, the largest first behind a `-`; the newest first without it.
    #[serde(default, deserialize_with = "once")]
    #[param(pattern = "^-?(created|modified|name)$")]
    o: Option<String>,
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
    instance_uuid: Option<String>,
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

/// Its addresses.
pub(super) fn router() -> OpenApiRouter<Face> {
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
    params(BackupFilter),
    responses((status = 200, body = Vec<Backup>), Refusals)
)]
async fn list(
    State(face): State<Face>,
    uri: Uri,
    Parameters(asked): Parameters<BackupFilter>,
) -> Result<Listing<Backup>, Problem> {
    let mut fields = Fields::new(face.service.limits());
    let given = &mut fields;
    let filter = Filter {
        cloud: asked::foreign(given, "cloud", asked.cloud).map(CloudName::new),
        project: asked::foreign(given, "tenant", asked.tenant).map(ProjectId::new),
        server: asked::foreign(given, "instance_uuid", asked.instance_uuid).map(ServerId::new),
        kind: Some(PointKind::Regular),
        points: asked::id(given, "uuid", asked.uuid, PointId::regular)
            .into_iter()
            .collect(),
        schedule: asked::id(
            given,
            "backup_schedule_uuid",
            asked.backup_schedule_uuid,
            ScheduleId,
        ),
        states: asked::states(given, &asked.state),
        name_part: asked::part(given, "name", asked.name),
        description_part: asked::part(given, "description", asked.description),
        ..Filter::default()
    };
    let paging = Paging {
        page: asked.page,
        page_size: asked.page_size,
        order: asked.o,
    };
    let (query, page) = asked::query(fields, filter, &paging, face.sizes)?;
    let found = face.service.points_list(query).await;
    let found = found.map_err(|error| Problem::of(error, PARAMETERS))?;
    let rows = found.items.into_iter().map(|backup| tell(&face, backup));
    let rows = try_join_all(rows).await?;
    Ok(Listing {
        rows,
        page,
        more: found.next.is_some(),
        uri,
    })
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
    State(face): State<Face>,
    Key(request_id): Key,
    Body(wanted): Body<NewBackup>,
) -> Result<Created<Backup>, Problem> {
    let mut fields = Fields::new(face.service.limits());
    let ask = CreatePoint {
        kind: PointKind::Regular,
        tenant: Tenant {
            cloud: CloudName::new(fields.required("cloud", wanted.cloud)),
            project: ProjectId::new(fields.required("tenant", wanted.tenant)),
        },
        server: ServerId::new(fields.required("instance", wanted.instance)),
        name: fields.name("name", wanted.name.unwrap_or_default()),
        description: fields.description("description", wanted.description.unwrap_or_default()),
        keeping: Keeping {
            schedule: None,
            until: moment(&mut fields, "kept_until", wanted.kept_until.as_deref()),
            held: wanted.held,
        },
        capture: Capture::default(),
        incremental: false,
        minimum: None,
        deadline: None,
        validate_only: false,
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let made = face.service.point_create(ask).await;
    let made = made.map_err(|error| Problem::about(error, "instance", NAMES))?;
    Ok(Created {
        url: url(made.id),
        told: tell(&face, made).await?,
    })
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
async fn get(State(face): State<Face>, Id(id): Id) -> Result<Json<Backup>, Problem> {
    let backup = face.service.point_get(PointId::regular(id)).await?;
    Ok(Json(tell(&face, backup).await?))
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
    State(face): State<Face>,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    change(&face, id, request_id, wanted, true).await
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
    State(face): State<Face>,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    change(&face, id, request_id, wanted, false).await
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
    State(face): State<Face>,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<BackupChange>,
) -> Result<Json<Backup>, Problem> {
    change(&face, id, request_id, wanted, false).await
}

async fn change(
    face: &Face,
    id: Uuid,
    request_id: String,
    wanted: BackupChange,
    whole: bool,
) -> Result<Json<Backup>, Problem> {
    let mut fields = Fields::new(face.service.limits());
    if whole && wanted.name.is_none() {
        fields.bad("name", "is required");
    }
    let ask = UpdatePoint {
        id: PointId::regular(id),
        name: wanted.name.map(|name| fields.name("name", name)),
        description: wanted
            .description
            .map(|text| fields.description("description", text)),
        keeping: Rekeeping {
            until: wanted
                .kept_until
                .map(|until| moment(&mut fields, "kept_until", until.as_deref())),
            held: wanted.held,
        },
        etag: String::new(),
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let changed = face.service.point_update(ask).await;
    let changed = changed.map_err(|error| Problem::of(error, NAMES))?;
    Ok(Json(tell(face, changed).await?))
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
    State(face): State<Face>,
    Id(id): Id,
    Parameters(asked): Parameters<MissingCloud>,
    Key(request_id): Key,
) -> Result<Accepted, Problem> {
    let mut fields = Fields::new(face.service.limits());
    let ask = DeletePoint {
        allow_missing_cloud: asked.allow_missing_cloud,
        id: PointId::regular(id),
        etag: String::new(),
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let gone = face.service.point_delete(ask).await?;
    let detail = format!("the deletion of regular backup {} was scheduled", gone.id);
    Ok(Accepted::new(detail))
}

/// The address of one.
pub(super) fn url(id: PointId) -> String {
    format!("{PATH}{id}/")
}

/// One with what is kept beside it.
async fn tell(face: &Face, backup: Point) -> Result<Backup, Problem> {
    let source = backup.id;
    let restorations = face.service.restorations_of(source).await?;
    let unrecoverable_reason = backup.unrecoverable_reason();
    let manifest = backup.detail.manifest.as_deref();
    Ok(Backup {
        url: url(backup.id),
        uuid: backup.id.id,
        resource_type: "OpenStack.Backup",
        state: told::state(backup.head.state),
        runtime_state: backup.head.runtime_state,
        error_message: told::error(backup.head.error.as_ref()),
        created: told::time(backup.head.created),
        modified: told::time(backup.head.updated),
        start_time: backup.head.progress.started.map(told::time),
        cloud: backup.tenant.cloud.to_string(),
        tenant: backup.tenant.project.to_string(),
        instance: backup.server.to_string(),
        instance_name: backup.instance_name,
        tags: manifest.map(|one| one.tags.clone()).unwrap_or_default(),
        backup_schedule: backup.keeping.schedule.map(schedule::url),
        kept_until: backup.keeping.until.map(told::time),
        held: backup.keeping.held,
        recoverable: unrecoverable_reason.is_none(),
        unrecoverable_reason: unrecoverable_reason.unwrap_or_default(),
        verified_time: backup.verification.time.map(told::time),
        metadata: manifest.map(told::metadata),
        restorations: restorations.iter().map(restoration::summary).collect(),
        name: backup.name,
        description: backup.description,
    })
}
