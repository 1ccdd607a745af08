//! The rows of runs; it may not know what a schedule is.

use std::collections::HashMap;

use diesel::{dsl::sql, expression::SqlLiteral, prelude::*, sql_types::Bool};
use diesel_async::RunQueryDsl;

use super::{
    Conn, Engine,
    page::{behind, cut, first, time_cursor},
    point, schedule,
};
use crate::{
    domain::{
        error::OperationError,
        id::{CloudName, PointId, RunId, ScheduleId},
        lifecycle::State,
        page::{Cursor, OrderValue, Page},
        schedule::{Run, RunCause, RunOutcome},
        time::Timestamp,
    },
    port::{schedules::Made, store::StoreError},
    store::{
        aside::{Gaps, Stored, readable_one},
        schema::runs,
        text::{from_word, kind_of_word, kind_word, number, unreadable, uuid, word},
    },
};

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = runs, treat_none_as_default_value = false)]
struct Row {
    id: String,
    schedule: String,
    cloud: String,
    slot: i64,
    cause: String,
    outcome: String,
    reason: String,
    point_kind: Option<String>,
    point_id: Option<String>,
    began: i64,
    ended: Option<i64>,
}

/// Whether a run is under way, as a literal: the index holds only such ones.
fn is_started() -> SqlLiteral<Bool> {
    sql("runs.outcome = 'STARTED'")
}

/// Writes a new one.
pub(super) async fn insert(
    conn: &mut Conn,
    run: &Run,
    cloud: &CloudName,
) -> Result<(), StoreError> {
    let row = Row {
        id: run.id.to_string(),
        schedule: run.schedule.to_string(),
        cloud: cloud.as_str().to_owned(),
        slot: run.slot.0,
        cause: word(&run.cause)?,
        outcome: run.outcome.name().to_owned(),
        reason: run.reason.clone(),
        point_kind: run.point.map(|point| kind_word(point.kind).to_owned()),
        point_id: run.point.map(|point| point.to_string()),
        began: run.began.0,
        ended: run.ended.map(|time| time.0),
    };
    diesel::insert_into(runs::table)
        .values(row)
        .execute(conn)
        .await?;
    Ok(())
}

/// Writes how one ended; one that had ended stays as it is.
pub(super) async fn end(conn: &mut Conn, run: &Run) -> Result<(), StoreError> {
    diesel::update(runs::table.find(run.id.to_string()))
        .filter(is_started())
        .set((
            runs::outcome.eq(run.outcome.name()),
            runs::reason.eq(&run.reason),
            runs::ended.eq(run.ended.map(|time| time.0)),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// One, where it is there.
pub(super) async fn get(conn: &mut Conn, id: RunId) -> Result<Option<Run>, StoreError> {
    let row = first!(conn, runs::table.find(id.to_string()));
    Ok(row.map(Row::salvaged))
}

/// A page of those of a schedule, newest first.
pub(super) async fn page(
    conn: &mut Conn,
    schedule: ScheduleId,
    outcome: Option<RunOutcome>,
    after: Option<Cursor>,
    limit: u32,
) -> Result<Page<Run>, StoreError> {
    let mut rows = runs::table
        .filter(runs::schedule.eq(schedule.to_string()))
        .select(Row::as_select())
        .limit(i64::from(limit) + 1)
        .into_boxed::<Engine>();
    if let Some(outcome) = outcome {
        rows = rows.filter(runs::outcome.eq(outcome.name()));
    }
    let after = time_cursor(after)?;
    let rows: Vec<Row> = behind!(rows, runs::began, runs::id, true, after)
        .load(conn)
        .await?;
    let items = rows.into_iter().map(Row::salvaged).collect();
    Ok(cut(items, limit as usize, |run| Cursor {
        value: OrderValue::Time(run.began),
        id: run.id.0,
    }))
}

/// How many are under way in a cloud.
pub(super) async fn under_way(conn: &mut Conn, cloud: &CloudName) -> Result<u64, StoreError> {
    let count: i64 = runs::table
        .filter(is_started())
        .filter(runs::cloud.eq(cloud.as_str()))
        .count()
        .get_result(conn)
        .await?;
    number("a count", count)
}

/// Those under way whose point came to rest, with what became of it.
pub(super) async fn rested(conn: &mut Conn, limit: u32) -> Result<Vec<(Run, Made)>, StoreError> {
    let rows: Vec<Row> = runs::table
        .filter(is_started())
        .order((runs::began, runs::id))
        .select(Row::as_select())
        .load(conn)
        .await?;
    let ids: Vec<String> = rows.iter().filter_map(|row| row.point_id.clone()).collect();
    let standing: HashMap<_, _> = point::standing(conn, &ids).await?.into_iter().collect();
    let mut rested = Vec::new();
    for row in rows {
        let point = row.point_id.as_ref().and_then(|id| standing.get(id));
        let made = match point {
            None => Made::Gone,
            // It is being made, or nobody here knows how it stands.
            Some(None | Some((State::CreationScheduled | State::Creating, _))) => continue,
            Some(Some((State::Erred, error))) => Made::Failed(error.clone()),
            // Whatever is done to it by now, it was good once.
            Some(Some((
                State::Ok
                | State::UpdateScheduled
                | State::Updating
                | State::DeletionScheduled
                | State::Deleting
                | State::Deleted,
                _,
            ))) => Made::Good,
        };
        if let Some(run) = readable_one(row) {
            rested.push((run, made));
        }
    }
    if !rested.is_empty() {
        // The end of a run is written on its schedule too, so it waits for whoever can read that.
        let schedules: Vec<String> = rested
            .iter()
            .map(|(run, _)| run.schedule.to_string())
            .collect();
        let readable = schedule::readable_of(conn, &schedules).await?;
        rested.retain(|(run, _)| readable.contains(&run.schedule.to_string()));
    }
    rested.truncate(limit as usize);
    Ok(rested)
}

impl Stored for Row {
    type Resource = Run;

    fn kind(&self) -> &'static str {
        "run"
    }

    fn key(&self) -> &str {
        &self.id
    }

    fn read(self, gaps: &mut Gaps) -> Run {
        let outcome = RunOutcome::from_name(&self.outcome)
            .ok_or_else(|| unreadable("the outcome of a run", &self.outcome));
        let point = self.point_kind.as_ref().zip(self.point_id.as_ref());
        let point = point.map(|(kind, id)| {
            Ok(PointId {
                kind: kind_of_word(kind)?,
                id: uuid(id)?,
            })
        });
        Run {
            id: RunId(gaps.or_default(uuid(&self.id))),
            schedule: ScheduleId(gaps.or_default(uuid(&self.schedule))),
            slot: Timestamp(self.slot),
            cause: gaps.fill(
                from_word("the cause of a run", self.cause),
                RunCause::Unreadable,
            ),
            outcome: gaps.fill(outcome, RunOutcome::Unreadable),
            reason: self.reason,
            point: gaps.or_default(point.transpose()),
            began: Timestamp(self.began),
            ended: self.ended.map(Timestamp),
        }
    }

    /// Its reason says so.
    fn say(run: &mut Run, told: String, _error: OperationError) {
        run.reason = told;
    }
}
