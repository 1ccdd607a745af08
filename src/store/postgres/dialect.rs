//! The statements of PostgreSQL that differ from those of SQLite; it may not know which transaction they are in.

use diesel::{
    define_sql_function,
    dsl::sql,
    prelude::*,
    sql_types::{BigInt, Bool, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection as _};

use super::{
    Conn, Handle,
    sql::audit::{ENDS, EndsRow},
};
use crate::{
    domain::{
        id::{Lane, PointId},
        time::Timestamp,
    },
    store::{
        schema::{audit_ends, lanes, points},
        text::kind_word,
    },
};

/// Sends all before it waits for the first answer: the server does one after the other, but
/// the ways there and back are paid once.
macro_rules! each {
    ($conn:ident, $items:expr, |$item:pat_param| $work:expr) => {{
        let shared: &super::Conn = $conn;
        let work = $items.iter().map(|$item| async move {
            let mut handle = shared;
            let $conn = &mut handle;
            $work.await
        });
        futures::future::try_join_all(work).await?
    }};
}
pub(super) use each;

/// The same with several things, which may differ; answers what came of each. The server does all of
/// them even where one failed, so that none may stay unless all were good.
macro_rules! together {
    ($conn:ident, $($work:expr),+ $(,)?) => {{
        let shared: &super::Conn = $conn;
        futures::join!($(async {
            let mut handle = shared;
            let $conn = &mut handle;
            $work.await
        }),+)
    }};
}
pub(super) use together;

define_sql_function! {
    /// Where a part begins in a text, counted from 1; 0 where it does not. It tells large letters
    /// from small ones in both databases, as their pattern matching does not.
    #[sql_name = "strpos"]
    fn place_in(text: Text, part: Text) -> Integer;
}

/// How rows are read that nobody else may change until the end of the transaction, and that nobody else holds.
pub(super) const UNHELD: &str = "FOR UPDATE SKIP LOCKED";

/// The time by which leases are compared: that of the server, since the clocks of two replicas
/// may differ by more than a lease.
pub(super) async fn lease_time(conn: &mut Conn, _: Timestamp) -> QueryResult<Timestamp> {
    let micros = sql::<BigInt>("(extract(epoch FROM clock_timestamp()) * 1000000)::bigint");
    diesel::select(micros).get_result(conn).await.map(Timestamp)
}

/// Whether a lane is owned in its epoch. The row stays locked until the end of the transaction:
/// else another replica could take the lane over between this look and the commit. Where another
/// transaction has locked it, it waits, or answers no.
pub(super) async fn lane_hold(
    conn: &mut Handle<'_>,
    lane: &Lane,
    waits: bool,
) -> QueryResult<bool> {
    let row = lanes::table
        .find((lane.tenant.cloud.as_str(), lane.tenant.project.as_str()))
        .filter(lanes::epoch.eq(lane.epoch))
        .filter(lanes::owner.is_not_null())
        .select(lanes::epoch)
        .for_no_key_update();
    let epoch: QueryResult<i64> = if waits {
        row.first(conn).await
    } else {
        row.skip_locked().first(conn).await
    };
    Ok(epoch.optional()?.is_some())
}

/// Fails where the disk of the database is full. A number is written into room that its file has
/// already, so the server is made to write a file that it throws away: for a result that is longer
/// than the memory it may have.
pub(super) async fn room(conn: &mut Conn) -> QueryResult<()> {
    conn.batch_execute("SET LOCAL work_mem = '64kB'; SELECT count(*) FROM generate_series(1, 4000)")
        .await
}

/// Whether nobody else prunes, and then nobody does until the end of the transaction: two replicas
/// that delete the same rows in different orders would wait for each other.
pub(super) async fn history_hold(conn: &mut Conn) -> QueryResult<bool> {
    let held = sql::<Bool>("pg_try_advisory_xact_lock(4812077316)");
    diesel::select(held).get_result(conn).await
}

/// The ends of the audit. The row stays locked until the end of the transaction: whoever enters something
/// next goes on from what this one leaves.
pub(super) async fn audit_hold(conn: &mut Conn) -> QueryResult<EndsRow> {
    audit_ends::table
        .find(ENDS)
        .select(EndsRow::as_select())
        .for_no_key_update()
        .first(conn)
        .await
}

/// The state of a point. The row stays as it is until the end of the transaction: else its
/// deletion could begin beside the restoration that is being admitted.
pub(super) async fn source_hold(conn: &mut Conn, source: PointId) -> QueryResult<Option<String>> {
    points::table
        .find(source.to_string())
        .filter(points::kind.eq(kind_word(source.kind)))
        .select(points::state)
        .for_share()
        .first(conn)
        .await
        .optional()
}
