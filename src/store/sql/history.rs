//! What may go when it is old; it may not know how old that is.

use diesel::{dsl::sql, expression::SqlLiteral, prelude::*, sql_types::Bool};
use diesel_async::RunQueryDsl;

use super::Conn;
use crate::{
    domain::time::Timestamp,
    port::store::StoreError,
    store::schema::{events, operations, replicas, requests, runs},
};

/// Removes what came to its end before `before`, the oldest first, until about `limit` rows are
/// gone; answers how many.
pub(super) async fn prune(
    conn: &mut Conn,
    before: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut removed = requests(conn, before, limit).await?;
    removed += ended_operations(conn, before, limit.saturating_sub(removed)).await?;
    removed += ended_runs(conn, before, limit.saturating_sub(removed)).await?;
    removed += events_of_gone(conn, before, limit.saturating_sub(removed)).await?;
    // A few rows that nobody asks for; they count as little as ledgers do.
    diesel::delete(replicas::table.filter(replicas::expires_at.lt(before.0)))
        .execute(conn)
        .await?;
    u64::try_from(removed).map_err(|error| StoreError::Defect(error.to_string()))
}

/// Removes the keys of requests, with their answers.
async fn requests(conn: &mut Conn, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let old: Vec<(String, i64)> = requests::table
        .filter(requests::created.lt(before.0))
        .order(requests::created)
        .limit(rows(limit))
        .select((requests::id, requests::created))
        .load(conn)
        .await?;
    let Some((_, last)) = old.last() else {
        return Ok(0);
    };
    let last = *last;
    // Another method may have had the same id; it is as old, so it may go with this one.
    let ids: Vec<String> = old.into_iter().map(|(id, _)| id).collect();
    let gone = requests::table
        .filter(requests::created.le(last))
        .filter(requests::id.eq_any(ids));
    Ok(diesel::delete(gone).execute(conn).await?)
}

/// Removes operations that have ended, and their ledgers with them.
async fn ended_operations(
    conn: &mut Conn,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let old: Vec<String> = operations::table
        .filter(operations::ended.lt(before.0))
        .order(operations::ended)
        .limit(rows(limit))
        .select(operations::id)
        .load(conn)
        .await?;
    if old.is_empty() {
        return Ok(0);
    }
    let gone = operations::table.filter(operations::id.eq_any(old));
    Ok(diesel::delete(gone).execute(conn).await?)
}

/// Removes runs of schedules that have ended.
async fn ended_runs(conn: &mut Conn, before: Timestamp, limit: usize) -> Result<usize, StoreError> {
    let old: Vec<String> = runs::table
        .filter(runs::ended.lt(before.0))
        .order(runs::ended)
        .limit(rows(limit))
        .select(runs::id)
        .load(conn)
        .await?;
    if old.is_empty() {
        return Ok(0);
    }
    Ok(diesel::delete(runs::table.filter(runs::id.eq_any(old)))
        .execute(conn)
        .await?)
}

/// Removes the events of resources that are gone, of each all or none: whoever still reads them must
/// not meet a gap.
async fn events_of_gone(
    conn: &mut Conn,
    before: Timestamp,
    limit: usize,
) -> Result<usize, StoreError> {
    let gone: Vec<String> = events::table
        .filter(is_last())
        .filter(events::time.lt(before.0))
        .order(events::time)
        .limit(rows(limit))
        .select(events::resource_id)
        .load(conn)
        .await?;
    let mut removed = 0;
    for resource in gone {
        if removed >= limit {
            break;
        }
        let told = events::table.filter(events::resource_id.eq(resource));
        removed += diesel::delete(told).execute(conn).await?;
    }
    Ok(removed)
}

/// Whether an event tells that its resource is gone, as a literal: the index holds only such ones.
fn is_last() -> SqlLiteral<Bool> {
    sql("events.state = 'DELETED'")
}

fn rows(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
