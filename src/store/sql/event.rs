//! The events, and the one order over all of them; it may not know who follows.
//!
//! A change and its event are one: the sequence number of an event is the revision that it tells of.
//! Events are written by whoever ends the transaction, as its last thing: the row that counts positions
//! stays locked until the commit, so positions become visible in their order, and a reader that has seen
//! position 7 can never meet a 6 later.

use diesel::prelude::*;
use diesel_async::RunQueryDsl;
use serde::Serialize;

use super::Conn;
use crate::{
    domain::{event::Event, id::ResourceId, time::Timestamp},
    port::store::StoreError,
    store::{
        schema::{counters, events},
        text::{
            column, from_json, from_json_option, json, json_option, number, resource,
            resource_kind, state,
        },
    },
};

/// An event at a position.
#[derive(Queryable, Selectable, Insertable, Serialize)]
#[diesel(table_name = events, treat_none_as_default_value = false)]
pub(in super::super) struct Row {
    position: i64,
    resource_kind: String,
    resource_id: String,
    sequence: i64,
    time: i64,
    state: String,
    runtime_state: String,
    progress: String,
    error: Option<String>,
}

/// The rows of events, of which the first gets the position `first`.
pub(in super::super) fn rows(first: i64, told: &[Event]) -> Result<Vec<Row>, StoreError> {
    (first..)
        .zip(told)
        .map(|(position, event)| Row::of(position, event))
        .collect()
}

/// The events of a resource behind a sequence number.
pub(super) async fn list(
    conn: &mut Conn,
    about: ResourceId,
    after: u64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let rows: Vec<Row> = events::table
        .filter(events::resource_id.eq(about.uuid().to_string()))
        .filter(events::sequence.gt(column(after)))
        .order(events::sequence)
        .limit(limit)
        .select(Row::as_select())
        .load(conn)
        .await?;
    rows.into_iter().map(Event::try_from).collect()
}

/// Writes a number that nobody reads, to see whether anything can be written.
pub(super) async fn ping(conn: &mut Conn) -> Result<(), StoreError> {
    diesel::update(counters::table.find("pings"))
        .set(counters::value.eq(counters::value + 1))
        .execute(conn)
        .await?;
    Ok(())
}

/// The resources that have events behind a position, each once, and the position to go on from.
pub(super) async fn changes(
    conn: &mut Conn,
    after: u64,
    limit: i64,
) -> Result<(Vec<ResourceId>, u64), StoreError> {
    let rows: Vec<(i64, String, String)> = events::table
        .filter(events::position.gt(column(after)))
        .order(events::position)
        .limit(limit)
        .select((events::position, events::resource_kind, events::resource_id))
        .load(conn)
        .await?;
    let last = match rows.last() {
        Some((position, ..)) => number("a position", *position)?,
        None => after,
    };
    let mut seen = std::collections::HashSet::new();
    let mut changed = Vec::new();
    for (_, kind, id) in &rows {
        let about = resource(kind, id)?;
        if seen.insert(about) {
            changed.push(about);
        }
    }
    Ok((changed, last))
}

impl Row {
    fn of(position: i64, event: &Event) -> Result<Self, StoreError> {
        Ok(Self {
            position,
            resource_kind: resource_kind(event.resource).to_owned(),
            resource_id: event.resource.uuid().to_string(),
            sequence: column(event.sequence),
            time: event.time.0,
            state: event.state.name().to_owned(),
            runtime_state: event.runtime_state.clone(),
            progress: json(&event.progress)?,
            error: json_option(event.error.as_ref())?,
        })
    }
}

impl TryFrom<Row> for Event {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        Ok(Self {
            resource: resource(&row.resource_kind, &row.resource_id)?,
            sequence: number("a sequence number", row.sequence)?,
            time: Timestamp(row.time),
            state: state(&row.state)?,
            runtime_state: row.runtime_state,
            progress: from_json("the progress of an event", &row.progress)?,
            error: from_json_option("the error of an event", row.error)?,
        })
    }
}
