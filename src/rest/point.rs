//! What the doors to DR backups and to regular backups tell and ask alike; it may not know how one is made.
//!
//! The JSON of both has the same fields but for the names of the instance. The document needs a name for
//! each, so each kind has structs of its own; those of regular backups stand for both here.

pub(super) mod backup;
pub(super) mod dr_backup;

use axum::Json;
use futures::future::try_join_all;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::{
    extract::{Asked, MissingCloud, Wanted, moment, nullable, once, tenant},
    listing::{Accepted, Created, Listing},
    problem::{Names, Problem},
    query,
    responses::{self, Metadata, StateName},
    restoration::{self, RestorationSummary},
    schedule,
    server::Rest,
};
use crate::{
    domain::{
        capture::Capture,
        id::{CloudName, PointId, PointKind, ProjectId, ScheduleId, ServerId},
        keeping::{Keeping, Rekeeping},
        page::Filter,
        point::Point,
    },
    service::{
        fields::Fields,
        point::{CreatePoint, DeletePoint, UpdatePoint},
    },
};

/// The words of a kind.
struct Words {
    path: &'static str,
    resource_type: &'static str,
    /// The field of its instance.
    instance: &'static str,
    /// The parameter of its instance.
    instance_uuid: &'static str,
    /// What fields are called elsewhere, and here.
    names: Names,
    /// What the parameters of its list are called elsewhere.
    parameters: Names,
}

const DR_BACKUPS: Words = Words {
    path: "/api/openstack-dr-backups/",
    resource_type: "OpenStack.DRBackup",
    instance: "source_instance",
    instance_uuid: "source_instance_uuid",
    names: &[("instance_id", "source_instance")],
    parameters: &[
        ("instance_id", "source_instance_uuid"),
        ("schedule_id", "backup_schedule_uuid"),
    ],
};

const BACKUPS: Words = Words {
    path: "/api/openstack-backups/",
    resource_type: "OpenStack.Backup",
    instance: "instance",
    instance_uuid: "instance_uuid",
    names: &[("instance_id", "instance")],
    parameters: &[
        ("instance_id", "instance_uuid"),
        ("schedule_id", "backup_schedule_uuid"),
    ],
};

fn words(kind: PointKind) -> &'static Words {
    match kind {
        PointKind::Dr => &DR_BACKUPS,
        PointKind::Regular => &BACKUPS,
    }
}

/// Where those of a kind are.
pub(super) fn path(kind: PointKind) -> &'static str {
    words(kind).path
}

/// The address of one.
pub(super) fn url(id: PointId) -> String {
    format!("{}{id}/", path(id.kind))
}

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

/// A page of those of a kind.
async fn list<T: From<Backup>>(
    rest: &Rest,
    kind: PointKind,
    asked: Asked<BackupFilter>,
) -> Result<Listing<T>, Problem> {
    let wanted = asked.filter;
    let words = words(kind);
    let mut fields = Fields::new(rest.service.limits());
    let given = &mut fields;
    let filter = Filter {
        cloud: query::foreign(given, "cloud", wanted.cloud).map(CloudName::new),
        project: query::foreign(given, "tenant", wanted.tenant).map(ProjectId::new),
        server: query::foreign(given, words.instance_uuid, wanted.instance_uuid).map(ServerId::new),
        kind: Some(kind),
        points: query::id(given, "uuid", wanted.uuid, |id| PointId { kind, id })
            .into_iter()
            .collect(),
        schedule: query::id(
            given,
            "backup_schedule_uuid",
            wanted.backup_schedule_uuid,
            ScheduleId,
        ),
        states: query::states(given, &wanted.state),
        name_part: query::part(given, "name", wanted.name),
        description_part: query::part(given, "description", wanted.description),
        ..Filter::default()
    };
    let (query, page) = query::query(fields, filter, &asked.paging, rest.sizes)?;
    let found = rest.service.points_list(query).await;
    let found = found.map_err(|error| Problem::of(error, words.parameters))?;
    let rows = found.items.into_iter().map(|point| tell(rest, point));
    Ok(Listing {
        rows: try_join_all(rows).await?,
        page,
        more: found.next.is_some(),
        uri: asked.uri,
    })
}

/// Makes one of a kind.
async fn create<T: From<Backup>>(
    rest: &Rest,
    kind: PointKind,
    request_id: String,
    wanted: NewBackup,
) -> Result<Created<T>, Problem> {
    let words = words(kind);
    let mut fields = Fields::new(rest.service.limits());
    let ask = CreatePoint {
        kind,
        tenant: tenant(&mut fields, wanted.cloud, wanted.tenant),
        server: ServerId::new(fields.required(words.instance, wanted.instance)),
        name: fields.name("name", wanted.name.unwrap_or_default()),
        description: fields.description("description", wanted.description.unwrap_or_default()),
        capture: Capture::default(),
        incremental: false,
        keeping: Keeping {
            schedule: None,
            until: moment(&mut fields, "kept_until", wanted.kept_until.as_deref()),
            held: wanted.held,
        },
        minimum: None,
        deadline: None,
        validate_only: false,
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let made = rest.service.point_create(ask).await;
    let made = made.map_err(|error| Problem::about(error, words.instance, words.names))?;
    Ok(Created {
        url: url(made.id),
        told: tell(rest, made).await?,
    })
}

/// Tells of one.
async fn get<T: From<Backup>>(rest: &Rest, id: PointId) -> Result<Json<T>, Problem> {
    let point = rest.service.point_get(id).await?;
    tell(rest, point).await.map(Json)
}

/// Changes one, `whole` where its name has to be given.
async fn change<T: From<Backup>>(
    rest: &Rest,
    id: PointId,
    request_id: String,
    wanted: BackupChange,
    whole: bool,
) -> Result<Json<T>, Problem> {
    let mut fields = Fields::new(rest.service.limits());
    if whole && wanted.name.is_none() {
        fields.bad("name", "is required");
    }
    let ask = UpdatePoint {
        id,
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
    let changed = rest.service.point_update(ask).await;
    let changed = changed.map_err(|error| Problem::of(error, words(id.kind).names))?;
    tell(rest, changed).await.map(Json)
}

/// Deletes one.
async fn delete(
    rest: &Rest,
    id: PointId,
    asked: &MissingCloud,
    request_id: String,
) -> Result<Accepted, Problem> {
    let mut fields = Fields::new(rest.service.limits());
    let ask = DeletePoint {
        allow_missing_cloud: asked.allow_missing_cloud,
        id,
        etag: String::new(),
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let gone = rest.service.point_delete(ask).await?;
    let detail = format!("the deletion of {} was scheduled", gone.id.named());
    Ok(Accepted::new(detail))
}

/// One with what is kept beside it.
async fn tell<T: From<Backup>>(rest: &Rest, backup: Point) -> Result<T, Problem> {
    let source = backup.id;
    let restorations = rest.service.restorations_of(source).await?;
    let unrecoverable_reason = backup.unrecoverable_reason();
    let manifest = backup.detail.manifest.as_deref();
    let told = Backup {
        url: url(source),
        uuid: source.id,
        resource_type: words(source.kind).resource_type,
        state: responses::state(backup.head.state),
        runtime_state: backup.head.runtime_state,
        error_message: responses::error(backup.head.error.as_ref()),
        created: responses::time(backup.head.created),
        modified: responses::time(backup.head.updated),
        start_time: backup.head.progress.started.map(responses::time),
        cloud: backup.tenant.cloud.to_string(),
        tenant: backup.tenant.project.to_string(),
        instance: backup.server.to_string(),
        instance_name: backup.instance_name,
        tags: manifest.map(|one| one.tags.clone()).unwrap_or_default(),
        backup_schedule: backup.keeping.schedule.map(schedule::url),
        kept_until: backup.keeping.until.map(responses::time),
        held: backup.keeping.held,
        recoverable: unrecoverable_reason.is_none(),
        unrecoverable_reason: unrecoverable_reason.unwrap_or_default(),
        verified_time: backup.verification.time.map(responses::time),
        metadata: manifest.map(responses::metadata),
        restorations: restorations.iter().map(restoration::summary).collect(),
        name: backup.name,
        description: backup.description,
    };
    Ok(told.into())
}
