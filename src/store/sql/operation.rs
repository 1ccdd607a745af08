//! The rows of operations; it may not know ledgers or who works on them.

use std::{collections::HashMap, time::Duration};

use diesel::{
    dsl::{count_star, min, sql},
    expression::SqlLiteral,
    prelude::*,
    sql_types::Bool,
};
use diesel_async::RunQueryDsl;

use super::{Conn, Handle, prepared::Prepared};
use crate::{
    domain::{
        id::{CloudName, OperationId, ResourceId, Tenant},
        lifecycle::State,
        operation::{Operation, UnderWay},
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        aside,
        schema::operations,
        seal,
        text::{number, resource, resource_kind, tenant, uuid},
    },
};

/// How an operation stands.
#[derive(Clone, Copy)]
pub(super) enum Standing {
    /// Somebody works on it.
    Open,
    /// It reached its goal.
    Done,
    /// It gave up.
    Erred,
}

impl Standing {
    fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Done => "done",
            Self::Erred => "erred",
        }
    }
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = operations, treat_none_as_default_value = false)]
pub(super) struct Row {
    id: String,
    resource_kind: String,
    resource_id: String,
    cloud: String,
    project: String,
    kind: String,
    ask: String,
    state: String,
    created: i64,
    deadline: i64,
    deadline_fixed: i64,
    per_gib: i64,
    cancelled: Option<i64>,
    ended: Option<i64>,
    idle: i64,
    cancel_keeps_volumes: i64,
}

/// Whether an operation is open, as a literal: the indexes hold the open ones only, and a database
/// that plans for any parameter cannot use them.
pub(super) fn is_open() -> SqlLiteral<Bool> {
    sql("operations.state = 'open'")
}

/// Writes a new one.
pub(super) async fn insert(conn: &mut Conn, operation: &Operation) -> Result<(), StoreError> {
    let id = operation.id.to_string();
    let row = Row {
        ask: seal::ASK.write(&[&id], &operation.ask)?,
        id,
        resource_kind: resource_kind(operation.resource).to_owned(),
        resource_id: operation.resource.uuid().to_string(),
        cloud: operation.tenant.cloud.as_str().to_owned(),
        project: operation.tenant.project.as_str().to_owned(),
        kind: operation.ask.name().to_owned(),
        state: Standing::Open.name().to_owned(),
        created: operation.created.0,
        deadline: operation.deadline.0,
        deadline_fixed: operation.deadline_fixed.into(),
        per_gib: micros(operation.per_gib),
        cancelled: operation.cancelled.map(|time| time.0),
        ended: None,
        idle: micros(operation.idle),
        cancel_keeps_volumes: operation.cancel_keeps_volumes.into(),
    };
    diesel::insert_into(operations::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Notes how long nobody worked at an open one.
pub(super) async fn note_idle(
    conn: &mut Conn,
    id: OperationId,
    idle: Duration,
) -> Result<(), StoreError> {
    let noted = diesel::update(operations::table.find(id.to_string()))
        .filter(is_open())
        .set(operations::idle.eq(micros(idle)));
    noted.execute(conn).await?;
    Ok(())
}

/// Adds to the open ones of a lane that nobody worked at them from `since`, or from their admission on.
pub(super) async fn add_idle(
    conn: &mut Conn,
    lane: (&str, &str),
    since: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    let of_lane = || {
        operations::table
            .filter(operations::cloud.eq(lane.0.to_owned()))
            .filter(operations::project.eq(lane.1.to_owned()))
            .filter(is_open())
    };
    diesel::update(of_lane().filter(operations::created.le(since)))
        .set(operations::idle.eq(operations::idle + (now.0 - since)))
        .execute(conn)
        .await?;
    let younger = of_lane().filter(operations::created.gt(since));
    diesel::update(younger.filter(operations::created.lt(now.0)))
        .set(operations::idle.eq(operations::idle + (operations::created * -1 + now.0)))
        .execute(conn)
        .await?;
    Ok(())
}

/// How many are open and since when, by cloud and kind: the index of the open ones leads to them.
pub(super) async fn under_way(conn: &mut Conn) -> Result<Vec<UnderWay>, StoreError> {
    let counts: Vec<(String, String, i64, Option<i64>)> = operations::table
        .filter(is_open())
        .group_by((operations::cloud, operations::kind))
        .order((operations::cloud, operations::kind))
        .select((
            operations::cloud,
            operations::kind,
            count_star(),
            min(operations::created),
        ))
        .load(conn)
        .await?;
    counts
        .into_iter()
        .map(|(cloud, kind, count, oldest)| {
            Ok(UnderWay {
                cloud: CloudName::new(cloud),
                kind,
                count: number("a count", count)?,
                oldest: Timestamp(oldest.unwrap_or_default()),
            })
        })
        .collect()
}

/// Marks the open operation of a resource as cancelled; the first time counts. Answers its tenant; nothing
/// when none is open.
pub(super) async fn cancel(
    conn: &mut Conn,
    about: ResourceId,
    time: Timestamp,
    keep_volumes: bool,
) -> Result<Option<Tenant>, StoreError> {
    let open = operations::table
        .filter(operations::resource_id.eq(about.uuid().to_string()))
        .filter(is_open());
    let unmarked = open.clone().filter(operations::cancelled.is_null());
    diesel::update(unmarked)
        .set((
            operations::cancelled.eq(time.0),
            operations::cancel_keeps_volumes.eq(i64::from(keep_volumes)),
        ))
        .execute(conn)
        .await?;
    let marked: Option<(String, String)> = open
        .select((operations::cloud, operations::project))
        .first(conn)
        .await
        .optional()?;
    Ok(marked.map(|(cloud, project)| tenant(cloud, project)))
}

/// What each of these is to do, and when it was admitted, by its id.
pub(super) async fn begun(
    conn: &mut Conn,
    ids: &[String],
) -> Result<HashMap<String, (String, Timestamp)>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<(String, String, i64)> = operations::table
        .filter(operations::id.eq_any(ids))
        .select((operations::id, operations::kind, operations::created))
        .load(conn)
        .await?;
    let rows = rows.into_iter();
    Ok(rows
        .map(|(id, kind, created)| (id, (kind, Timestamp(created))))
        .collect())
}

/// The ids of the open operations of a lane, each with whether it was cancelled. One whose id is none
/// cannot be named, and is left alone.
pub(super) async fn open(
    conn: &mut Conn,
    lane: &Tenant,
) -> Result<Vec<(OperationId, bool)>, StoreError> {
    let rows: Vec<(String, Option<i64>)> = operations::table
        .filter(operations::cloud.eq(lane.cloud.as_str()))
        .filter(operations::project.eq(lane.project.as_str()))
        .filter(is_open())
        .order(operations::id)
        .select((operations::id, operations::cancelled))
        .load(conn)
        .await?;
    let named = rows.into_iter().filter_map(|(id, cancelled)| {
        let read = uuid(&id).inspect_err(|problem| aside::set_aside("operation", &id, problem));
        Some((OperationId(read.ok()?), cancelled.is_some()))
    });
    Ok(named.collect())
}

/// Several, by id.
pub(super) async fn of_ids(conn: &mut Conn, ids: &[String]) -> Result<Vec<Row>, StoreError> {
    Ok(operations::table
        .filter(operations::id.eq_any(ids))
        .order(operations::id)
        .select(Row::as_select())
        .load(conn)
        .await?)
}

/// Whether one is open in a lane.
pub(super) async fn is_open_in(
    conn: &mut Handle<'_>,
    lane: &Tenant,
    id: OperationId,
) -> Result<bool, StoreError> {
    let open = operations::table
        .find(id.to_string())
        .filter(operations::cloud.eq(lane.cloud.as_str()))
        .filter(operations::project.eq(lane.project.as_str()))
        .filter(is_open())
        .select(operations::id);
    let found: Option<String> = Prepared(open).get_result(conn).await.optional()?;
    Ok(found.is_some())
}

/// Ends operations.
pub(super) async fn end(
    conn: &mut Conn,
    ids: &[String],
    standing: Standing,
    time: Timestamp,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::update(operations::table.filter(operations::id.eq_any(ids)))
        .set((
            operations::state.eq(standing.name()),
            operations::ended.eq(time.0),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// The ids of those of a resource that have ended.
pub(super) async fn ended_of(
    conn: &mut Conn,
    about: ResourceId,
) -> Result<Vec<String>, StoreError> {
    let ids = operations::table
        .filter(operations::resource_kind.eq(resource_kind(about)))
        .filter(operations::resource_id.eq(about.uuid().to_string()))
        .filter(operations::ended.is_not_null())
        .select(operations::id)
        .load(conn)
        .await?;
    Ok(ids)
}

/// Removes those of a resource, and their ledgers with them.
pub(super) async fn remove_of(conn: &mut Conn, about: ResourceId) -> Result<(), StoreError> {
    diesel::delete(operations::table.filter(operations::resource_id.eq(about.uuid().to_string())))
        .execute(conn)
        .await?;
    Ok(())
}

impl Row {
    /// Which one it is.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What it works on.
    pub(super) fn resource(&self) -> Result<ResourceId, StoreError> {
        resource(&self.resource_kind, &self.resource_id)
    }

    /// The operation, given the state of its resource.
    pub(super) fn operation(self, resource_state: State) -> Result<Operation, StoreError> {
        Ok(Operation {
            id: OperationId(uuid(&self.id)?),
            resource: self.resource()?,
            tenant: tenant(self.cloud, self.project),
            ask: seal::ASK.read(&[&self.id], "the ask of an operation", self.ask)?,
            resource_state,
            created: Timestamp(self.created),
            deadline: Timestamp(self.deadline),
            deadline_fixed: self.deadline_fixed != 0,
            per_gib: Duration::from_micros(self.per_gib.unsigned_abs()),
            cancelled: self.cancelled.map(Timestamp),
            cancel_keeps_volumes: self.cancel_keeps_volumes != 0,
            idle: Duration::from_micros(self.idle.unsigned_abs()),
            attended: Timestamp(self.created),
        })
    }
}
