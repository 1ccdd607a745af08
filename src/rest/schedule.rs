//! Schedules at `/api/openstack-backup-schedules/`; it may not know when one runs.

#![expect(
    unused_qualifications,
    reason = "utoipa writes out the names of parameters"
)]

use std::time::Duration;

use axum::{Json, http::StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use super::{
    extract::{Asked, Body, Id, Key, Paging, Wanted, once, tenant},
    listing::{Created, Listing},
    problem::{ChangeRefusals, Names, Problem, Refusals},
    query,
    responses::{self, StateName},
    server::{Rest, RestState},
};
use crate::{
    domain::{
        calendar::USUAL_ZONE,
        capture::Capture,
        error::Error,
        id::{CloudName, PointKind, ProjectId, ScheduleId, ServerId},
        page::Filter,
        schedule::{Keep, MissedRuns, Plan, Schedule as Kept},
    },
    service::{
        fields::Fields,
        request::etag,
        schedule::{CreateSchedule, OneSchedule, PlanChange, UpdateSchedule},
    },
};

/// Where they are.
const PATH: &str = "/api/openstack-backup-schedules/";

/// What fields are called elsewhere, and here.
const NAMES: Names = &[("time_zone", "timezone"), ("instance_id", "instance")];

/// What the parameters of its list are called elsewhere.
const PARAMETERS: Names = &[("instance_id", "instance_uuid")];

/// Which kind of backup a schedule makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(super) enum BackupType {
    /// Snapshots, in the tenant of the instance.
    Regular,
    /// What brings the instance back in another cloud.
    #[serde(rename = "DR")]
    Dr,
}

impl From<BackupType> for PointKind {
    fn from(word: BackupType) -> Self {
        match word {
            BackupType::Regular => Self::Regular,
            BackupType::Dr => Self::Dr,
        }
    }
}

impl From<PointKind> for BackupType {
    fn from(kind: PointKind) -> Self {
        match kind {
            PointKind::Regular => Self::Regular,
            PointKind::Dr => Self::Dr,
        }
    }
}

/// A schedule: what makes backups of an instance on time.
#[expect(clippy::struct_field_names, reason = "the original named it so")]
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Schedule {
    /// Its address.
    url: String,
    /// Its id.
    uuid: Uuid,
    /// Its name, which its backups begin with.
    name: String,
    /// Its description, which its backups get.
    description: String,
    /// Whether it runs by itself.
    is_active: bool,
    /// `OK`, or `Erred` while its last run is one that failed.
    state: StateName,
    /// How it stands, for people.
    runtime_state: String,
    /// Why its last run failed, and what to do; empty where it did not.
    error_message: String,
    /// When it was made.
    #[schema(format = DateTime)]
    created: String,
    /// When it last changed.
    #[schema(format = DateTime)]
    modified: String,
    /// The cloud in which the instance lives.
    cloud: String,
    /// The project in that cloud.
    tenant: String,
    /// The instance, by the id of its server.
    instance: String,
    /// Which kind of backup it makes.
    backup_type: BackupType,
    /// When: a cron expression of five fields, or a word such as `@daily`.
    schedule: String,
    /// The zone whose wall clock that is about.
    timezone: String,
    /// When it runs next; nothing while it is not active.
    #[schema(format = DateTime)]
    next_trigger_at: Option<String>,
    /// For how many days a backup is kept; 0 is no rule.
    retention_time: u32,
    /// How many backups are kept at most; 0 is no rule.
    maximal_number_of_resources: u32,
}

/// What makes a schedule.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewSchedule {
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
    /// When: a cron expression of five fields, or a word such as `@daily`.
    #[serde(default)]
    #[schema(required, min_length = 1)]
    schedule: String,
    /// The zone whose wall clock that is about, such as `Europe/Tallinn`; UTC where none is given.
    timezone: Option<String>,
    /// Which kind of backup it makes; `Regular` where none is given.
    backup_type: Option<BackupType>,
    /// Its name; that of the instance where none is given.
    name: Option<String>,
    /// Its description.
    description: Option<String>,
    /// Whether it runs by itself from the start.
    #[serde(default)]
    is_active: bool,
    /// For how many days a backup is kept; 0 is no rule.
    #[serde(default)]
    #[schema(minimum = 0)]
    retention_time: i32,
    /// How many backups are kept at most; 0 is no rule.
    #[serde(default)]
    #[schema(minimum = 0)]
    maximal_number_of_resources: i32,
}

impl Wanted for NewSchedule {
    type Told = Schedule;
}

/// What changes a schedule; what is not given stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ScheduleChange {
    /// Its name.
    name: Option<String>,
    /// Its description.
    description: Option<String>,
    /// When: a cron expression of five fields, or a word such as `@daily`.
    schedule: Option<String>,
    /// The zone whose wall clock that is about.
    timezone: Option<String>,
    /// For how many days a backup is kept; 0 is no rule.
    #[schema(minimum = 0)]
    retention_time: Option<i32>,
    /// How many backups are kept at most; 0 is no rule.
    #[schema(minimum = 0)]
    maximal_number_of_resources: Option<i32>,
}

impl Wanted for ScheduleChange {
    type Told = Schedule;
}

/// What became of a word.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Status {
    /// In words.
    status: &'static str,
}

/// What narrows a list of schedules.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ScheduleFilter {
    /// A part of the name.
    #[serde(default, deserialize_with = "once")]
    name: Option<String>,
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
    /// Whether it runs by itself.
    #[serde(default, deserialize_with = "once")]
    #[param(value_type = Option<bool>)]
    is_active: Option<String>,
}

/// Their addresses.
pub(super) fn router() -> OpenApiRouter<RestState> {
    OpenApiRouter::new()
        .routes(routes!(list, create))
        .routes(routes!(get, replace, update, post, delete))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
}

/// Lists schedules.
#[utoipa::path(
    get,
    path = "/api/openstack-backup-schedules/",
    operation_id = "list_schedules",
    tag = "Schedules",
    params(Paging, ScheduleFilter),
    responses((status = 200, body = Vec<Schedule>), Refusals)
)]
async fn list(rest: Rest, asked: Asked<ScheduleFilter>) -> Result<Listing<Schedule>, Problem> {
    let wanted = asked.filter;
    let mut fields = Fields::new(rest.service.limits());
    let given = &mut fields;
    let active = wanted.is_active.map(|text| text.parse::<bool>());
    let filter = Filter {
        cloud: query::foreign(given, "cloud", wanted.cloud).map(CloudName::new),
        project: query::foreign(given, "tenant", wanted.tenant).map(ProjectId::new),
        server: query::foreign(given, "instance_uuid", wanted.instance_uuid).map(ServerId::new),
        active: given.take(
            "is_active",
            active.transpose().map_err(|_| "is neither true nor false"),
        ),
        name_part: query::part(given, "name", wanted.name),
        ..Filter::default()
    };
    let (query, page) = query::query(fields, filter, &asked.paging, rest.sizes)?;
    let found = rest.service.schedules_list(query).await;
    let found = found.map_err(|error| Problem::of(error, PARAMETERS))?;
    Ok(Listing {
        rows: found.items.into_iter().map(tell).collect(),
        page,
        more: found.next.is_some(),
        uri: asked.uri,
    })
}

/// Makes a schedule. With an `Idempotency-Key` it is safe to ask again.
#[utoipa::path(
    post,
    path = "/api/openstack-backup-schedules/",
    operation_id = "create_schedule",
    tag = "Schedules",
    params(Key),
    request_body = NewSchedule,
    responses((status = 201, body = Schedule, headers(("Location" = String))), ChangeRefusals)
)]
async fn create(
    rest: Rest,
    Key(request_id): Key,
    Body(wanted): Body<NewSchedule>,
) -> Result<Created<Schedule>, Problem> {
    let mut fields = Fields::new(rest.service.limits());
    let ask = CreateSchedule {
        tenant: tenant(&mut fields, wanted.cloud, wanted.tenant),
        server: ServerId::new(fields.required("instance", wanted.instance)),
        plan: Plan {
            kind: wanted.backup_type.unwrap_or(BackupType::Regular).into(),
            ..plan(
                &mut fields,
                ScheduleChange {
                    name: wanted.name,
                    description: wanted.description,
                    schedule: Some(wanted.schedule),
                    timezone: wanted.timezone,
                    retention_time: Some(wanted.retention_time),
                    maximal_number_of_resources: Some(wanted.maximal_number_of_resources),
                },
                Keep::default(),
            )
        },
        active: wanted.is_active,
        validate_only: false,
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let made = rest.service.schedule_create(ask).await;
    let made = made.map_err(|error| Problem::about(error, "instance", NAMES))?;
    Ok(Created {
        url: url(made.id),
        told: tell(made),
    })
}

/// Tells of a schedule.
#[utoipa::path(
    get,
    path = "/api/openstack-backup-schedules/{uuid}/",
    operation_id = "get_schedule",
    tag = "Schedules",
    params(("uuid" = Uuid, Path)),
    responses((status = 200, body = Schedule), Refusals)
)]
async fn get(rest: Rest, Id(id): Id) -> Result<Json<Schedule>, Problem> {
    let found = rest.service.schedule_get(ScheduleId(id)).await?;
    Ok(Json(tell(found)))
}

/// Changes a schedule, whose cron expression has to be given.
#[utoipa::path(
    put,
    path = "/api/openstack-backup-schedules/{uuid}/",
    operation_id = "replace_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = ScheduleChange,
    responses((status = 200, body = Schedule), ChangeRefusals)
)]
async fn replace(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<ScheduleChange>,
) -> Result<Json<Schedule>, Problem> {
    if wanted.schedule.is_none() {
        return Err(Error::field("schedule", "is required").into());
    }
    change(&rest, id, request_id, wanted).await
}

/// Changes a schedule.
#[utoipa::path(
    patch,
    path = "/api/openstack-backup-schedules/{uuid}/",
    operation_id = "update_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = ScheduleChange,
    responses((status = 200, body = Schedule), ChangeRefusals)
)]
async fn update(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<ScheduleChange>,
) -> Result<Json<Schedule>, Problem> {
    change(&rest, id, request_id, wanted).await
}

/// The same as PATCH, as the original's manual has it.
#[utoipa::path(
    post,
    path = "/api/openstack-backup-schedules/{uuid}/",
    operation_id = "post_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    request_body = ScheduleChange,
    responses((status = 200, body = Schedule), ChangeRefusals)
)]
async fn post(
    rest: Rest,
    Id(id): Id,
    Key(request_id): Key,
    Body(wanted): Body<ScheduleChange>,
) -> Result<Json<Schedule>, Problem> {
    change(&rest, id, request_id, wanted).await
}

async fn change(
    rest: &Rest,
    id: Uuid,
    request_id: String,
    wanted: ScheduleChange,
) -> Result<Json<Schedule>, Problem> {
    let given = [
        ("name", wanted.name.is_some()),
        ("description", wanted.description.is_some()),
        ("schedule", wanted.schedule.is_some()),
        ("time_zone", wanted.timezone.is_some()),
        (
            "retention",
            wanted.retention_time.is_some() || wanted.maximal_number_of_resources.is_some(),
        ),
    ];
    let named = given.into_iter().filter(|(_, given)| *given);
    let before = rest.service.schedule_get(ScheduleId(id)).await?;
    let mut fields = Fields::new(rest.service.limits());
    let ask = UpdateSchedule {
        id: before.id,
        change: PlanChange {
            wanted: plan(&mut fields, wanted, before.plan.keep),
            fields: named.map(|(field, _)| field).collect(),
        },
        // What retention keeps is changed as a whole, of which only two numbers are told here: nobody
        // may have changed the others since they were read.
        etag: etag(before.revision),
        request_id: fields.request_id(request_id),
    };
    fields.done()?;
    let changed = rest.service.schedule_update(ask).await;
    let changed = changed.map_err(|error| Problem::of(error, NAMES))?;
    Ok(Json(tell(changed)))
}

/// Removes a schedule; what it made stays.
#[utoipa::path(
    delete,
    path = "/api/openstack-backup-schedules/{uuid}/",
    operation_id = "delete_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    responses((status = 204, description = "It is gone."), ChangeRefusals)
)]
async fn delete(rest: Rest, Id(id): Id, Key(request_id): Key) -> Result<StatusCode, Problem> {
    let ask = one(&rest, id, request_id)?;
    rest.service.schedule_delete(ask).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a schedule run by itself from now on.
#[utoipa::path(
    post,
    path = "/api/openstack-backup-schedules/{uuid}/activate/",
    operation_id = "activate_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    responses((status = 200, body = Status), ChangeRefusals)
)]
async fn activate(rest: Rest, Id(id): Id, Key(request_id): Key) -> Result<Json<Status>, Problem> {
    let ask = one(&rest, id, request_id)?;
    rest.service.schedule_activate(ask).await?;
    let status = "A schedule was activated";
    Ok(Json(Status { status }))
}

/// Keeps a schedule from running by itself.
#[utoipa::path(
    post,
    path = "/api/openstack-backup-schedules/{uuid}/deactivate/",
    operation_id = "deactivate_schedule",
    tag = "Schedules",
    params(
        ("uuid" = Uuid, Path),
        Key
    ),
    responses((status = 200, body = Status), ChangeRefusals)
)]
async fn deactivate(rest: Rest, Id(id): Id, Key(request_id): Key) -> Result<Json<Status>, Problem> {
    let ask = one(&rest, id, request_id)?;
    rest.service.schedule_deactivate(ask).await?;
    let status = "A schedule was deactivated";
    Ok(Json(Status { status }))
}

fn one(rest: &Rest, id: Uuid, request_id: String) -> Result<OneSchedule, Error> {
    let mut fields = Fields::new(rest.service.limits());
    let ask = OneSchedule {
        id: ScheduleId(id),
        etag: String::new(),
        request_id: fields.request_id(request_id),
    };
    fields.done().map(|()| ask)
}

/// The plan with what is given; of what retention keeps, the rest stays.
fn plan(fields: &mut Fields<'_>, wanted: ScheduleChange, keep: Keep) -> Plan {
    let mut count = |field: &str, given: Option<i32>, before: u32| {
        let given = given.map_or(Ok(before), u32::try_from);
        fields.take(field, given.map_err(|_| "is negative"))
    };
    let keep = Keep {
        days: count("retention_time", wanted.retention_time, keep.days),
        maximum: count(
            "maximal_number_of_resources",
            wanted.maximal_number_of_resources,
            keep.maximum,
        ),
        ..keep
    };
    Plan {
        name: fields.name("name", wanted.name.unwrap_or_default()),
        description: fields.description("description", wanted.description.unwrap_or_default()),
        kind: PointKind::Regular,
        capture: Capture::default(),
        minimum: None,
        full_every: 0,
        calendar: wanted.schedule.unwrap_or_default(),
        time_zone: wanted
            .timezone
            .filter(|zone| !zone.is_empty())
            .unwrap_or_else(|| USUAL_ZONE.to_owned()),
        jitter: Duration::ZERO,
        missed: MissedRuns::default(),
        failures_maximum: 0,
        keep,
    }
}

/// The address of one.
pub(super) fn url(id: ScheduleId) -> String {
    format!("{PATH}{id}/")
}

fn tell(schedule: Kept) -> Schedule {
    let state = schedule.state();
    let plan = schedule.plan;
    Schedule {
        url: url(schedule.id),
        uuid: schedule.id.0,
        is_active: schedule.active,
        state: responses::state(state),
        runtime_state: schedule.runtime_state,
        error_message: responses::error(schedule.error.as_ref()),
        created: responses::time(schedule.created),
        modified: responses::time(schedule.updated),
        cloud: schedule.tenant.cloud.to_string(),
        tenant: schedule.tenant.project.to_string(),
        instance: schedule.server.to_string(),
        backup_type: plan.kind.into(),
        schedule: plan.calendar,
        timezone: plan.time_zone,
        next_trigger_at: schedule.next.map(|slot| responses::time(slot.begins)),
        retention_time: plan.keep.days,
        maximal_number_of_resources: plan.keep.maximum,
        name: plan.name,
        description: plan.description,
    }
}
