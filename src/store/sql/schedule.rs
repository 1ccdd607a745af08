//! The rows of schedules; it may not know what their runs do.

use std::{collections::HashSet, time::Duration};

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::{Deserialize, Serialize};

use super::{
    Conn, Engine, dialect,
    page::{
        behind, cursor, cut, first, first_readable, narrowed, ordered, projects_by_cloud,
        text_cursor, time_cursor, within,
    },
};
use crate::{
    domain::{
        caller::Scope,
        capture::Capture,
        error::OperationError,
        event::Event,
        id::{PointKind, ResourceId, ScheduleId, ServerId},
        lifecycle::State,
        page::{OrderField, Page, Query},
        progress::Progress,
        schedule::{Keep, MissedRuns, Plan, Schedule},
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        aside::{Gaps, Stored, readable},
        schema::schedules,
        text::{from_json, from_json_option, json, json_option, number, tenant, uuid},
    },
};

/// Also the form in which answers are kept, so a new column needs `#[serde(default)]`.
#[derive(Queryable, Selectable, Insertable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = schedules, treat_none_as_default_value = false, treat_none_as_null = true)]
struct Row {
    id: String,
    name: String,
    cloud: String,
    project: String,
    server: String,
    plan: String,
    active: i64,
    next: Option<String>,
    begins: Option<i64>,
    failures: i64,
    runtime_state: String,
    error: Option<String>,
    created: i64,
    updated: i64,
    revision: i64,
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut Conn, schedule: &Schedule) -> Result<(), StoreError> {
    diesel::insert_into(schedules::table)
        .values(Row::of(schedule)?)
        .execute(conn)
        .await?;
    Ok(())
}

/// One, where it is there.
pub(super) async fn get(conn: &mut Conn, id: ScheduleId) -> Result<Option<Schedule>, StoreError> {
    let row = first!(conn, schedules::table.find(id.to_string()));
    Ok(row.map(Row::salvaged))
}

/// Which of these can be read in full.
pub(super) async fn readable_of(
    conn: &mut Conn,
    ids: &[String],
) -> Result<HashSet<String>, StoreError> {
    let rows: Vec<Row> = schedules::table
        .filter(schedules::id.eq_any(ids))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let read = readable(rows).into_iter();
    Ok(read.map(|schedule| schedule.id.to_string()).collect())
}

/// Refuses one that cannot be read in full: what would be written over it is not all that it held.
async fn check_readable(conn: &mut Conn, id: ScheduleId) -> Result<(), StoreError> {
    let row = first!(conn, schedules::table.find(id.to_string()));
    row.map(Row::whole).transpose().map(drop)
}

/// Writes everything of one at the revision that was read; answers it with the next revision.
pub(super) async fn change(conn: &mut Conn, schedule: &Schedule) -> Result<Schedule, StoreError> {
    check_readable(conn, schedule.id).await?;
    let changed = Schedule {
        revision: schedule.revision + 1,
        ..schedule.clone()
    };
    let written = diesel::update(
        schedules::table
            .find(schedule.id.to_string())
            .filter(schedules::revision.eq(schedule.revision)),
    )
    .set(Row::of(&changed)?)
    .execute(conn)
    .await?;
    if written == 1 {
        return Ok(changed);
    }
    let about = ResourceId::Schedule(schedule.id);
    match get(conn, schedule.id).await? {
        Some(_) => Err(StoreError::Outdated(about)),
        None => Err(StoreError::NotFound(about)),
    }
}

/// Removes one, and its runs with it.
pub(super) async fn remove(conn: &mut Conn, id: ScheduleId) -> Result<(), StoreError> {
    diesel::delete(schedules::table.find(id.to_string()))
        .execute(conn)
        .await?;
    Ok(())
}

/// Those whose next run begins at `now` or before, the longest due first.
pub(super) async fn due(
    conn: &mut Conn,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Schedule>, StoreError> {
    let rows = || {
        schedules::table
            .filter(schedules::begins.le(now.0))
            .order((schedules::begins, schedules::id))
    };
    Ok(first_readable!(conn, limit, rows()))
}

/// When the next run after `now` begins.
pub(super) async fn next(conn: &mut Conn, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let begins: Option<Option<i64>> = schedules::table
        .filter(schedules::begins.gt(now.0))
        .order(schedules::begins)
        .select(schedules::begins)
        .first(conn)
        .await
        .optional()?;
    Ok(begins.flatten().map(Timestamp))
}

/// A page, of at most `limit` rows.
pub(super) async fn page(
    conn: &mut Conn,
    query: Query,
    limit: u32,
) -> Result<Page<Schedule>, StoreError> {
    let Query {
        scope,
        filter,
        order,
        after,
        skip,
        ..
    } = query;
    let mut rows = schedules::table
        .select(Row::as_select())
        .limit(i64::from(limit) + 1)
        .offset(i64::try_from(skip).unwrap_or(i64::MAX))
        .into_boxed::<Engine>();
    within!(rows, scope, schedules);
    narrowed!(rows, filter, schedules, name);
    if let Some(server) = filter.server {
        rows = rows.filter(schedules::server.eq(server.as_str().to_owned()));
    }
    if let Some(active) = filter.active {
        rows = rows.filter(schedules::active.eq(i64::from(active)));
    }
    let rows = ordered!(rows, order, after, schedules, name);
    let rows: Vec<Row> = rows.load(conn).await?;
    let items = rows.into_iter().map(Row::salvaged).collect();
    Ok(cut(items, limit as usize, |schedule| {
        let times = (schedule.created, schedule.updated);
        cursor(order, times, &schedule.plan.name, schedule.id.0)
    }))
}

/// One as an answer that is kept.
pub(super) fn answer(schedule: &Schedule) -> Result<String, StoreError> {
    json(&Row::of(schedule)?)
}

/// Reads an answer that was kept.
pub(super) fn answered(text: &str) -> Result<Schedule, StoreError> {
    from_json::<Row>("the answer to a request", text)?.whole()
}

/// The event that tells of one as it is.
pub(super) fn event_of(schedule: &Schedule) -> Result<Event, StoreError> {
    Ok(Event {
        resource: ResourceId::Schedule(schedule.id),
        sequence: number("a revision", schedule.revision)?,
        time: schedule.updated,
        state: schedule.state(),
        runtime_state: schedule.runtime_state.clone(),
        progress: Progress::default(),
        error: schedule.error.clone(),
    })
}

/// The last event of one that goes.
pub(super) fn farewell(schedule: &Schedule) -> Result<Event, StoreError> {
    Ok(Event {
        sequence: number("a revision", schedule.revision + 1)?,
        state: State::Deleted,
        runtime_state: "Deleted".to_owned(),
        error: None,
        ..event_of(schedule)?
    })
}

impl Row {
    fn of(schedule: &Schedule) -> Result<Self, StoreError> {
        // What is not active has no next run, whatever it had before.
        let next = schedule.next.filter(|_| schedule.active);
        Ok(Self {
            id: schedule.id.to_string(),
            name: schedule.plan.name.clone(),
            cloud: schedule.tenant.cloud.as_str().to_owned(),
            project: schedule.tenant.project.as_str().to_owned(),
            server: schedule.server.as_str().to_owned(),
            plan: json(&schedule.plan)?,
            active: schedule.active.into(),
            next: json_option(next.as_ref())?,
            begins: next.map(|slot| slot.begins.0),
            failures: schedule.failures.into(),
            runtime_state: schedule.runtime_state.clone(),
            error: json_option(schedule.error.as_ref())?,
            created: schedule.created.0,
            updated: schedule.updated.0,
            revision: schedule.revision,
        })
    }
}

impl Stored for Row {
    type Resource = Schedule;

    fn kind(&self) -> &'static str {
        "schedule"
    }

    fn key(&self) -> &str {
        &self.id
    }

    /// In place of a plan there is one that names no time and keeps nothing, so
    /// that nobody can work by it.
    fn read(self, gaps: &mut Gaps) -> Schedule {
        let none = Plan {
            name: self.name,
            description: String::new(),
            kind: PointKind::Dr,
            capture: Capture::default(),
            minimum: None,
            full_every: 0,
            calendar: String::new(),
            time_zone: String::new(),
            jitter: Duration::ZERO,
            missed: MissedRuns::default(),
            failures_maximum: 0,
            keep: Keep::default(),
        };
        Schedule {
            id: ScheduleId(gaps.or_default(uuid(&self.id))),
            plan: gaps.fill(from_json("the plan of a schedule", &self.plan), none),
            tenant: tenant(self.cloud, self.project),
            server: ServerId::new(self.server),
            active: self.active != 0,
            next: gaps.or_default(from_json_option("the next slot of a schedule", self.next)),
            failures: gaps.or_default(number("the failures of a schedule", self.failures)),
            runtime_state: self.runtime_state,
            error: gaps.or_default(from_json_option("the error of a schedule", self.error)),
            created: Timestamp(self.created),
            updated: Timestamp(self.updated),
            revision: self.revision,
        }
    }

    fn say(schedule: &mut Schedule, told: String, error: OperationError) {
        schedule.runtime_state = told;
        schedule.error = Some(error);
    }
}
