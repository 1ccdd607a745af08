//! The statements of SQLite that differ from those of PostgreSQL; it may not know which transaction they are in.

use diesel::{define_sql_function, prelude::*, sql_types::Text};
use diesel_async::RunQueryDsl;

use super::{
    Conn,
    sql::{
        audit::{ENDS, EndsRow},
        event,
        prepared::Prepared,
    },
};
use crate::{
    domain::{
        event::Event,
        id::{Lane, PointId},
        time::Timestamp,
    },
    port::store::StoreError,
    store::{
        POSITIONS,
        schema::{audit_ends, counters, events, lanes, points},
        text::{kind_word, unreadable},
    },
};

/// Does one thing after the other.
macro_rules! each {
    ($conn:ident, $items:expr, |$item:pat_param| $work:expr) => {{
        let mut done = Vec::new();
        for $item in $items {
            done.push($work.await?);
        }
        done
    }};
}
pub(super) use each;

/// Does several things, one after the other, and answers what came of each.
macro_rules! together {
    ($conn:ident, $($work:expr),+ $(,)?) => {
        ($($work.await,)+)
    };
}
pub(super) use together;

define_sql_function! {
    /// Where a part begins in a text, counted from 1; 0 where it does not. It tells large letters
    /// from small ones in both databases, as their pattern matching does not.
    #[sql_name = "instr"]
    fn place_in(text: Text, part: Text) -> Integer;
}

/// How rows are read that nobody else may change until the end of the transaction, and that nobody else holds:
/// here the writer is alone.
pub(super) const UNHELD: &str = "";

/// The time by which leases are compared: there is one process, so it is that of the process.
pub(super) fn lease_time(
    _: &mut Conn,
    now: Timestamp,
) -> impl Future<Output = QueryResult<Timestamp>> {
    std::future::ready(Ok(now))
}

/// Whether a lane is owned in its epoch. Nothing has to be locked: the writer is alone.
pub(super) async fn lane_hold(conn: &mut Conn, lane: &Lane, _: bool) -> QueryResult<bool> {
    let epoch: Option<i64> = lanes::table
        .find((lane.tenant.cloud.as_str(), lane.tenant.project.as_str()))
        .filter(lanes::epoch.eq(lane.epoch))
        .filter(lanes::owner.is_not_null())
        .select(lanes::epoch)
        .first(conn)
        .await
        .optional()?;
    Ok(epoch.is_some())
}

/// Writes events with the positions that come next.
pub(super) async fn append(conn: &mut Conn, told: &[Event]) -> Result<(), StoreError> {
    let count = i64::try_from(told.len()).map_err(|error| unreadable("events", error))?;
    if count == 0 {
        return Ok(());
    }
    let counted = diesel::update(counters::table.find(POSITIONS))
        .set(counters::value.eq(counters::value + count))
        .returning(counters::value);
    let last: i64 = Prepared(counted).get_result(conn).await?;
    for row in event::rows(last - count + 1, told)? {
        let row = diesel::insert_into(events::table).values(row);
        Prepared(row).execute(conn).await?;
    }
    Ok(())
}

/// Fails where the disk of the database is full; here every commit is written behind the last one,
/// and so needs room by itself.
pub(super) fn room(_: &mut Conn) -> impl Future<Output = QueryResult<()>> {
    std::future::ready(Ok(()))
}

/// Whether nobody else prunes. Nothing has to be locked: the writer is alone.
pub(super) fn history_hold(_: &mut Conn) -> impl Future<Output = QueryResult<bool>> {
    std::future::ready(Ok(true))
}

/// The ends of the audit. Nothing has to be locked: the writer is alone.
pub(super) async fn audit_hold(conn: &mut Conn) -> QueryResult<EndsRow> {
    audit_ends::table
        .find(ENDS)
        .select(EndsRow::as_select())
        .first(conn)
        .await
}

/// The state of a point. Nothing has to be locked: the writer is alone.
pub(super) async fn source_hold(conn: &mut Conn, source: PointId) -> QueryResult<Option<String>> {
    points::table
        .find(source.to_string())
        .filter(points::kind.eq(kind_word(source.kind)))
        .select(points::state)
        .first(conn)
        .await
        .optional()
}
