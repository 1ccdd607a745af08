//! What a database itself needs for a turn of one operation: the same statements, written by somebody who
//! knows that nothing can be wrong; it may not know the store.
//!
//! All are prepared, nothing is decided on what they answer, no other thread is waited for, and in
//! PostgreSQL they go in one way to the server and back. What a store records in a second can come near
//! to this and not above it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use diesel::{
    RunQueryDsl, SqliteConnection,
    connection::SimpleConnection as _,
    query_builder::{AstPass, QueryFragment, QueryId},
    result::QueryResult,
    sql_types::{BigInt, Text},
    sqlite::Sqlite,
};
use drbackup::{
    domain::{id::Lane, operation::Operation},
    port::clock::Clock as _,
};

use super::{backups, table::rate};

/// The statements of a turn, with the name under which PostgreSQL keeps each: whether the lane is held,
/// whether the operation is open, the effect, its resource, the position of the event, the event.
const STATEMENTS: [(&str, &str); 6] = [
    (
        "held",
        "SELECT epoch FROM lanes
         WHERE cloud = $5 AND project = $6 AND epoch = $7 AND owner IS NOT NULL",
    ),
    (
        "open",
        "SELECT id FROM operations
         WHERE id = $1 AND cloud = $5 AND project = $6 AND state = 'open'",
    ),
    (
        "effect",
        "INSERT INTO effects (operation, key, ordinal, cloud, project, name, request, disposal, state,
                              external, status, fact, fault, attempt, changed)
         VALUES ($1, $2, 0, $5, $6, $8, $9, 'product', 'requested', NULL, NULL, NULL, NULL, 1, $3)
         ON CONFLICT (operation, key) DO UPDATE
         SET ordinal = excluded.ordinal, cloud = excluded.cloud, project = excluded.project,
             name = excluded.name, request = excluded.request, disposal = excluded.disposal,
             state = excluded.state, external = excluded.external, status = excluded.status,
             fact = excluded.fact, fault = excluded.fault, attempt = excluded.attempt,
             changed = excluded.changed",
    ),
    (
        "resource",
        "UPDATE dr_backups
         SET state = 'CREATING', runtime_state = $10, progress = $11, updated = $3, revision = revision + 1
         WHERE id = $4 RETURNING revision, error",
    ),
    (
        "position",
        "UPDATE counters SET value = value + 1 WHERE name = 'events'",
    ),
    (
        "event",
        "INSERT INTO events (position, resource_kind, resource_id, sequence, time, state, runtime_state,
                             progress, error)
         SELECT counters.value, 'dr_backup', $4, dr_backups.revision, $3, 'CREATING', $10, $11, NULL
         FROM counters, dr_backups
         WHERE counters.name = 'events' AND dr_backups.id = $4",
    ),
];

/// The types of the values in PostgreSQL, in the order of [`values`].
const TYPES: &str = "text, text, bigint, text, text, text, bigint, text, text, text, text";

enum Value {
    Text(String),
    Number(i64),
}

/// What the statements of one turn are given.
fn values(lane: &Lane, operation: &Operation, step: usize) -> anyhow::Result<[Value; 11]> {
    let ordinal = u32::try_from(step / 3 % 8)?;
    let effect = backups::effect(operation, ordinal);
    let turn = backups::turn(operation, Vec::new(), u32::try_from(step)?);
    let report = turn.update.map(|update| update.report).unwrap_or_default();
    Ok([
        Value::Text(operation.id.to_string()),
        Value::Text(effect.key.as_str().to_owned()),
        Value::Number(backups::SystemClock.now().0),
        Value::Text(operation.resource.uuid().to_string()),
        Value::Text(lane.tenant.cloud.as_str().to_owned()),
        Value::Text(lane.tenant.project.as_str().to_owned()),
        Value::Number(lane.epoch),
        Value::Text(effect.name),
        Value::Text(serde_json::to_string(&effect.request)?),
        Value::Text(report.runtime_state),
        Value::Text(serde_json::to_string(&report.progress)?),
    ])
}

/// Records so many turns of a lane in SQLite; answers the rate.
pub(crate) fn in_sqlite(
    conn: &mut SqliteConnection,
    lane: &Lane,
    operations: &[Operation],
    count: usize,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for (step, operation) in operations.iter().cycle().take(count).enumerate() {
        turn_in_sqlite(conn, &values(lane, operation, step)?)?;
    }
    Ok(rate(count, begun.elapsed()))
}

/// The same for somebody who must not stand still while the disk is waited for, as a service must not:
/// each turn is asked of another thread.
pub(crate) async fn in_sqlite_elsewhere(
    conn: &Arc<Mutex<SqliteConnection>>,
    lane: &Lane,
    operations: &[Operation],
    count: usize,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for (step, operation) in operations.iter().cycle().take(count).enumerate() {
        let (conn, values) = (Arc::clone(conn), values(lane, operation, step)?);
        tokio::task::spawn_blocking(move || {
            let mut conn = conn.lock().unwrap_or_else(PoisonError::into_inner);
            turn_in_sqlite(&mut conn, &values)
        })
        .await??;
    }
    Ok(rate(count, begun.elapsed()))
}

fn turn_in_sqlite(conn: &mut SqliteConnection, values: &[Value]) -> anyhow::Result<()> {
    conn.batch_execute("BEGIN IMMEDIATE")?;
    for (_, text) in STATEMENTS {
        Kept { text, values }.execute(conn)?;
    }
    conn.batch_execute("COMMIT")?;
    Ok(())
}

/// Prepares the statements in PostgreSQL.
pub(crate) async fn prepare(client: &tokio_postgres::Client) -> anyhow::Result<()> {
    for (name, text) in STATEMENTS {
        let lock = if name == "held" {
            "FOR NO KEY UPDATE"
        } else {
            ""
        };
        let text = format!("PREPARE {name} ({TYPES}) AS {text} {lock}");
        client.batch_execute(&text).await?;
    }
    Ok(())
}

/// Records so many turns of a lane in PostgreSQL, where they are prepared; answers the rate.
pub(crate) async fn in_postgresql(
    client: &tokio_postgres::Client,
    lane: &Lane,
    operations: &[Operation],
    count: usize,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    for (step, operation) in operations.iter().cycle().take(count).enumerate() {
        let values = values(lane, operation, step)?
            .map(|value| match value {
                Value::Text(text) => format!("'{text}'"),
                Value::Number(number) => number.to_string(),
            })
            .join(", ");
        let rows = STATEMENTS
            .map(|(name, _)| format!("EXECUTE {name} ({values})"))
            .join("; ");
        client
            .batch_execute(&format!("BEGIN; {rows}; NOTIFY drbackup, 'c'; COMMIT"))
            .await?;
    }
    Ok(rate(count, begun.elapsed()))
}

/// A statement that SQLite's connection keeps prepared by its text.
struct Kept<'v> {
    text: &'static str,
    values: &'v [Value],
}

impl QueryFragment<Sqlite> for Kept<'_> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Sqlite>) -> QueryResult<()> {
        let mut parts = self.text.split('$');
        pass.push_sql(parts.next().unwrap_or_default());
        for part in parts {
            let digits = part.chars().take_while(char::is_ascii_digit).count();
            let (number, text) = part.split_at(digits);
            let place = number.parse::<usize>().unwrap_or_default();
            match self.values.get(place.wrapping_sub(1)) {
                Some(Value::Text(value)) => pass.push_bind_param::<Text, _>(value)?,
                Some(Value::Number(value)) => pass.push_bind_param::<BigInt, _>(value)?,
                None => return Err(diesel::result::Error::NotFound),
            }
            pass.push_sql(text);
        }
        Ok(())
    }
}

impl QueryId for Kept<'_> {
    type QueryId = ();

    // It is known by its text.
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl RunQueryDsl<SqliteConnection> for Kept<'_> {}
