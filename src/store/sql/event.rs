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
        aside::{self, Gaps},
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

/// The events of a resource behind a sequence number. One whose state cannot be read is left out: who
/// follows sees that a number is missing, and what comes behind it.
pub(super) async fn list(
    conn: &mut Conn,
    about: ResourceId,
    after: u64,
    limit: i64,
) -> Result<Vec<Event>, StoreError> {
    let (mut told, mut last) = (Vec::new(), column(after));
    loop {
        let rows: Vec<Row> = events::table
            .filter(events::resource_id.eq(about.uuid().to_string()))
            .filter(events::sequence.gt(last))
            .order(events::sequence)
            .limit(limit)
            .select(Row::as_select())
            .load(conn)
            .await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count >= limit);
        last = rows.last().map_or(last, |row| row.sequence);
        told.extend(rows.into_iter().filter_map(Row::salvaged));
        // Who asks takes an answer of nothing for the end.
        if !full || !told.is_empty() {
            return Ok(told);
        }
    }
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
        match resource(kind, id) {
            Ok(about) if seen.insert(about) => changed.push(about),
            Ok(_) => {}
            // A kind of resource that this version does not have.
            Err(problem) => aside::set_aside("event", id, &problem),
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

impl Row {
    /// What can be read of it; where that is not all, it says so. Nothing where its state cannot be.
    fn salvaged(self) -> Option<Event> {
        let key = format!("{} of {}", self.sequence, self.resource_id);
        let head = resource(&self.resource_kind, &self.resource_id)
            .and_then(|about| Ok((about, state(&self.state)?)))
            .and_then(|(about, is)| Ok((about, is, number("a sequence number", self.sequence)?)));
        let (about, is, sequence) = head
            .inspect_err(|problem| aside::set_aside("event", &key, problem))
            .ok()?;
        let mut gaps = Gaps::default();
        let mut event = Event {
            resource: about,
            sequence,
            time: Timestamp(self.time),
            state: is,
            runtime_state: self.runtime_state,
            progress: gaps.or_default(from_json("the progress of an event", &self.progress)),
            error: gaps.or_default(from_json_option("the error of an event", self.error)),
        };
        if let Some((told, error)) = gaps.told("event", &key) {
            event.runtime_state = told;
            event.error = Some(error);
        }
        Some(event)
    }
}
